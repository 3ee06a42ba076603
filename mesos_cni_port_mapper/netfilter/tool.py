"""A run of a tool that changes or lists tables, and what is known of the kernel if it fails."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError, os_reason
from mesos_cni_port_mapper.linux import process
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Tool(Value):
    """How programs are run; ``seconds`` is the deadline of one run.

    ``keep`` are file descriptors that it inherits, so that a lock among them lasts until it is over
    even if we are killed meanwhile.
    """

    environ: Mapping[str, str]
    seconds: float
    keep: tuple[int, ...] = ()

    def run(self, argv: list[str], stdin: bytes) -> process.Finished:
        """Run a program to its end; ``RulesUntouchedError`` means that it was not even started."""
        try:
            return process.run(argv, self.environ, stdin, self.seconds, self.keep)
        except OSError as error:
            raise RulesUntouchedError(
                RULES_FAILED, f"cannot run {argv[0]}", os_reason(error)
            ) from error
        except process.DeadlineError as error:
            raise CniError(
                RULES_FAILED, f"{argv[0]} did not finish in {self.seconds:g} s and was killed"
            ) from error


def words_of(done: process.Finished) -> str:
    """Return what a tool had to say."""
    return (done.stderr or done.stdout).decode(errors="replace").strip()
