"""The container's network namespace: entering it and coming back."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from mesos_cni_port_mapper.cni.request import Request

    T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_HOST = "/proc/self/ns/net"
_EINVAL = 22
_ATTEMPTS = 100


class NotANamespaceError(OSError):
    """A path leads to something else than a namespace."""


class Sandbox:
    """A network namespace, held open. Raises ``OSError`` where its path leads to none."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._host = -1
        # Namespaces are files of one device. What a mount point is when nothing is mounted is not.
        if os.fstat(self.file).st_dev != os.stat(_HOST).st_dev:
            self.close()
            raise NotANamespaceError(_EINVAL, "it is no network namespace")

    def inside(self, work: Callable[[], T]) -> T:
        """Do some work in the namespace, and come back whatever happens.

        The work is short and starts no program: sockets and files opened in it stay the sandbox's.
        """
        if self._host < 0:
            self._host = os.open(_HOST, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.file)
        except OSError as error:
            raise OSError(error.errno, f"{self.path}: {os_reason(error)}") from error
        try:
            return work()
        finally:
            _return(self._host)

    def close(self) -> None:
        """Let go of the namespace."""
        for file in (self.file, self._host):
            if file >= 0:
                os.close(file)
        self.file = self._host = -1


def _return(file: int) -> None:
    """Go home. That may fail for want of memory, and there is nothing to be done anywhere else."""
    for _ in range(_ATTEMPTS):
        try:
            _enter(file)
        except OSError:
            continue
        return
    raise RuntimeError("stranded in the network namespace of a container")


def _enter(file: int) -> None:
    if hasattr(os, "setns"):
        os.setns(file, _CLONE_NEWNET)
        return
    from mesos_cni_port_mapper.linux.syscalls import setns

    setns(file, _CLONE_NEWNET)


def open_sandbox(request: Request) -> Sandbox:
    """Return the container's namespace, or raise ``CniError``."""
    try:
        return Sandbox(request.netns)
    except OSError as error:
        raise CniError(
            INTERNAL, f"cannot open the network namespace {request.netns!r}", os_reason(error)
        ) from error


def find_sandbox(request: Request) -> Sandbox | None:
    """Return the container's namespace, or nothing when it is gone or was never named.

    After a reboot its path may still be there, as a file that nothing is mounted on.
    """
    if not request.netns:
        return None
    try:
        return Sandbox(request.netns)
    except (FileNotFoundError, NotADirectoryError, NotANamespaceError):
        return None
    except OSError as error:
        raise CniError(
            INTERNAL, f"cannot open the network namespace {request.netns!r}", os_reason(error)
        ) from error
