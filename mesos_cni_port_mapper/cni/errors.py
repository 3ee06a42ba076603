"""The one exception a CNI plugin lets escape, and the codes it may carry.

Everything raises ``CniError``; ``cni.skeleton`` alone turns it into the JSON document and exit
status of the specification (section "Error"). Codes below 100 are the specification's. Those from
100 keep the values of the original Mesos plugin where it had them, so that alerts carry over.
"""

from __future__ import annotations

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_VALUE = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
UNDECODABLE = 6
INVALID_CONFIGURATION = 7
TRY_AGAIN = 11
UNAVAILABLE = 50
UNAVAILABLE_AND_IMPAIRED = 51
STDIN_UNREADABLE = 100
DELEGATE_FAILED = 102
RULES_FAILED = 103
UNKNOWN_COMMAND = 104
PORT_TAKEN = 105
UNDO_INCOMPLETE = 106
BUG = 199
INTERNAL = 999
"""What the reference plugins answer where the specification has no code for a failure."""


class CniError(Exception):
    """A failure the runtime should see.

    ``msg`` is one line that names what failed on what; ``details`` is whatever a child process or
    the kernel said, in its own words.
    """

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return f"{self.msg}: {self.details}" if self.details else self.msg


def os_reason(error: OSError) -> str:
    """Return what the operating system gave as the reason, never empty."""
    return error.strerror or str(error) or type(error).__name__
