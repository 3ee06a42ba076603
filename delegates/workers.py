"""The built-in plugins in processes that stay (``cni.workers``)."""

from __future__ import annotations

from delegates import messages
from delegates.catalogue import BUILT_IN, make_plugin
from mesos_cni_port_mapper.cni.workers import fork_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from mesos_cni_port_mapper.cni.skeleton import Plugin

LATER = (
    "_sha512",
    "delegates.link_reply",
    "delegates.masquerade",
    "mesos_cni_port_mapper.cni.request",
    "mesos_cni_port_mapper.linux.syscalls",
)
"""What is imported only when it is wanted, and better before there are workers."""


def main(number: int, make: Callable[[str], Plugin], program: str) -> NoReturn:
    """Fork workers for any built-in plugin as they are asked for."""
    import_all()
    fork_workers(number, make, program)


def import_all() -> None:
    """Import whatever a request may need."""
    for name in LATER:
        __import__(name)
    for name in BUILT_IN:
        make_plugin(name)
    messages.import_all()
