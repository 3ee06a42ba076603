"""The log that a configuration asks for: one line of JSON a command, in a file or the journal.

``seconds`` says where the time went: ``delegate`` are the programs that attach, ``batch`` the tools
that make rules, or the kernel where it was asked without one, and ``lock`` is what was waited for.
What is left of ``total`` is our own.
"""

from __future__ import annotations

import os
import time

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import BUG, TRY_AGAIN, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.linux import journal, process, stderr
from mesos_cni_port_mapper.linux.files import write_all
from mesos_cni_port_mapper.linux.signals import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from mesos_cni_port_mapper.cni.request import Request

    T = TypeVar("T")

JOURNAL = "journal"
_TOOLS = """
iptables-restore iptables-save ip6tables-restore ip6tables-save nft mesos-cni-libiptc nf_tables
""".split()  # noqa: SIM905 - they read better as words
_PRIORITY_OF_ERRORS, _PRIORITY_OF_THE_REST = "3", "6"


def observe(serve: Callable[[Request], T], request: Request) -> T:
    """Serve a request, then log how it went; a log that cannot be written fails nothing."""
    target = parse_target(request.netconf)
    begun = time.monotonic()
    failure: BaseException | None = None
    try:
        return serve(request)
    except BaseException as error:
        failure = error
        raise
    finally:
        entry = describe(request, failure, time.monotonic() - begun, process.waits())
        try:
            _write(target, entry)
        except OSError as error:
            stderr.say(f"log: cannot write to {target}: {error.strerror or error}")


def parse_target(netconf: dict[str, Any]) -> str:
    """Return where a configuration wants its log: a path, or the journal."""
    target = Section(netconf).string("log")
    if target != JOURNAL and not (target.startswith("/") and target.isprintable()):
        refuse("log", f"must be an absolute path or {shown(JOURNAL)}, not {shown(target)}")
    return target


def describe(
    request: Request, failure: BaseException | None, total: float, waited: Mapping[str, float]
) -> dict[str, Any]:
    """Return what a log says of one command."""
    entry: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": request.command,
        "network": request.netconf["name"],
        "container": request.container_id,
        "interface": request.ifname,
        "seconds": {name: round(seconds, 6) for name, seconds in _sums(total, waited).items()},
    }
    if request.environ.get("TRACEPARENT"):
        entry["traceparent"] = request.environ["TRACEPARENT"]
    if isinstance(failure, CniError):
        entry |= {"code": failure.code, "error": str(failure)}
    elif isinstance(failure, Interrupted):
        entry |= {"code": TRY_AGAIN, "error": str(failure)}
    elif failure is not None:
        entry |= {"code": BUG, "error": repr(failure)}
    return entry


def _sums(total: float, waited: Mapping[str, float]) -> dict[str, float]:
    sums = {"total": total, "delegate": 0.0, "lock": 0.0, "batch": 0.0}
    for what, seconds in waited.items():
        name = what.rpartition("/")[2]
        if name in _TOOLS:
            sums["batch"] += seconds
        else:
            sums["delegate" if os.access(what, os.X_OK) else "lock"] += seconds
    return sums


def _write(target: str, entry: dict[str, Any]) -> None:
    line = codec.encode(entry).decode()
    if target == JOURNAL:
        journal.send(
            {
                "MESSAGE": line,
                "PRIORITY": _PRIORITY_OF_ERRORS if "code" in entry else _PRIORITY_OF_THE_REST,
                "SYSLOG_IDENTIFIER": "mesos-cni-port-mapper",
                "CNI_COMMAND": entry["command"],
                "CNI_NETWORK": entry["network"],
                "CNI_CONTAINERID": entry["container"],
                "CNI_IFNAME": entry["interface"],
            }
        )
        return
    file = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, f"{line}\n".encode())
    finally:
        os.close(file)
