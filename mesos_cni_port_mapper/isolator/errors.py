"""What an isolator that cannot do its work raises."""

from __future__ import annotations


class IsolatorError(Exception):
    """A failure for people: one line that names what failed on what.

    ``details`` is what the plugin, the kernel or the parser said, in its own words.
    """

    def __init__(self, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return f"{self.msg}: {self.details}" if self.details else self.msg


def os_failure(what: str, error: OSError) -> IsolatorError:
    """Return the error for a system call that failed while doing ``what``."""
    subject = f"{error.filename}: " if error.filename is not None else ""
    return IsolatorError(f"cannot {what}", f"{subject}{error.strerror or error}")
