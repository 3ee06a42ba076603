"""Carries out operations in order, remembers what it changed, and can undo exactly that.

Every change notes the operations that undo it, and none is noted where things were as wanted
already. So an undo takes away what this ADD made and nothing that was there before.

What several attachments use (a bridge, its address, ``ip_forward``) is changed under a lock. Who
found it as it should be lets go of the lock at once, and nobody can take it away: only the ADD that
made it would, and that one keeps the lock until it has succeeded or has undone everything.
"""

from __future__ import annotations

import os

from delegates import address_actions, link_actions
from delegates import operations as ops
from delegates.facts import TABLE_MAIN
from delegates.netlink import Netlink
from mesos_cni_port_mapper.cni.errors import INTERNAL, TRY_AGAIN, CniError, os_reason
from mesos_cni_port_mapper.linux import files, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from delegates.facts import Address, Link, Route
    from delegates.operations import Operation
    from delegates.sandbox import Sandbox

    T = TypeVar("T")

_LOCK = "/proc/self/ns/net"
"""What is shared belongs to the host's network namespace, and so does the lock: a file that is in
nobody's way and goes with it."""

_LOCK_SECONDS = 15.0


class Kernel:
    """The host and a sandbox, as one request changes them.

    Methods raise ``CniError`` saying which operation failed on what; those that operations are
    carried out with (``link_actions``, ``address_actions``) raise ``OSError``.
    """

    def __init__(self, sandbox: Sandbox | None, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._sandbox = sandbox
        self._netlinks: dict[str, Netlink] = {}
        self._undo: list[Operation] = []
        self._lock = -1
        self._shared_change = False

    def apply(self, plan: Iterable[Operation]) -> None:
        """Carry out operations in order; what was done before a failure waits for ``undo``."""
        for operation in plan:
            self._undo += self._act(operation)

    def undo(self) -> None:
        """Take back every change, the latest first; go on where one cannot be taken back."""
        failures = self.take_back(self._undo)
        if failures:
            raise CniError(INTERNAL, "not everything could be undone", "; ".join(failures))

    def take_back(self, changes: list[Operation]) -> list[str]:
        """Carry out what undoes changes, the latest first, and return what went wrong."""
        failures = []
        while changes:
            try:
                self._act(changes.pop())
            except CniError as error:
                failures.append(str(error))
        return failures

    def close(self) -> None:
        """Let go of sockets and the lock; what was done stays."""
        for netlink in self._netlinks.values():
            netlink.close()
        self._netlinks.clear()
        self._unlock()

    def link(self, where: str, name: str, with_data: bool = False) -> Link | None:
        """Return a link, or nothing when there is none of that name."""
        return self._ask(f"look at {name}", lambda: self.netlink(where).link(name, with_data))

    def link_at(self, where: str, index: int) -> Link | None:
        """Return the link of an index, or nothing when there is none."""
        return self._ask(f"look at link {index}", lambda: self.netlink(where).link_at(index))

    def addresses(self, where: str, index: int, family: int = 0) -> list[Address]:
        """Return a link's addresses, of one family (4 or 6) or of both."""
        return self._ask("list addresses", lambda: self.netlink(where).addresses(index, family))

    def routes(self, where: str, family: int = 0, table: int = TABLE_MAIN) -> list[Route]:
        """Return the unicast routes of a table."""
        return self._ask("list routes", lambda: self.netlink(where).routes(family, table))

    def addresses_of_others(self, ifname: str, certain: bool) -> list[str]:
        """Return the addresses that the sandbox's other links have, without prefix length.

        It is not looked when it is ``certain`` that ``ifname`` is the one meant and it is there.
        """
        if self._sandbox is None or (certain and self._has_link(ifname)):
            return []
        links = self._ask("list links", lambda: self.netlink(ops.SANDBOX).links())
        others = [link.index for link in links if link.name != ifname]
        return [entry.address for index in others for entry in self.addresses(ops.SANDBOX, index)]

    def _has_link(self, name: str) -> bool:
        # Told from a file, because a DEL does not otherwise need the classes for links.
        path = "/proc/thread-self/net/dev"
        table = self._ask("list links", lambda: self.inside(ops.SANDBOX, lambda: files.read(path)))
        names = [line.partition(":")[0].strip() for line in (table or b"").decode().split("\n")]
        return name in names

    def netlink(self, where: str) -> Netlink:
        """Return the socket of a namespace, opened when it is first wanted."""
        if where not in self._netlinks:
            self._netlinks[where] = self.inside(where, Netlink)
        return self._netlinks[where]

    def inside(self, where: str, work: Callable[[], T]) -> T:
        """Do some work in a namespace."""
        if where == ops.HOST:
            return work()
        if self._sandbox is None:
            raise FileNotFoundError(2, "there is no network namespace")
        return self._sandbox.inside(work)

    def sandbox_file(self) -> int:
        """Return the descriptor of the sandbox."""
        if self._sandbox is None:
            raise FileNotFoundError(2, "there is no network namespace")
        return self._sandbox.file

    def note_shared_change(self) -> None:
        """Keep others waiting, from ``EndShared`` on, until this request is over."""
        self._shared_change = True

    def begin_shared(self, _: ops.BeginShared) -> Sequence[Operation]:
        """Take the lock."""
        if self._lock < 0:
            try:
                self._lock = lock.acquire_read_only(_LOCK, _LOCK_SECONDS)
            except lock.LockHeldError as error:
                raise CniError(
                    TRY_AGAIN,
                    "somebody else is changing what the containers of this host share",
                    f"{error}; waited {_LOCK_SECONDS:g} s",
                ) from error
        return ()

    def end_shared(self, _: ops.EndShared) -> Sequence[Operation]:
        """Give the lock back, unless something was changed under it."""
        if not self._shared_change:
            self._unlock()
        return ()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _act(self, operation: Operation) -> Sequence[Operation]:
        try:
            return _ACTIONS[type(operation)](self, operation)
        except OSError as error:
            raise _failure(describe(operation), error) from error

    def _ask(self, what: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except OSError as error:
            raise _failure(what, error) from error


_ACTIONS: dict[type[Operation], Callable[[Kernel, Any], Sequence[Operation]]] = {
    ops.BeginShared: Kernel.begin_shared,
    ops.EndShared: Kernel.end_shared,
    ops.CreateVeth: link_actions.create_veth,
    ops.CreateBridge: link_actions.create_bridge,
    ops.CreateVlanPort: link_actions.create_vlan_port,
    ops.CreateLink: link_actions.create_link,
    ops.DeleteLink: link_actions.delete_link,
    ops.SetMaster: link_actions.set_master,
    ops.SetUp: link_actions.set_up,
    ops.SetDown: link_actions.set_down,
    ops.SetMtu: link_actions.set_mtu,
    ops.SetMac: link_actions.set_mac,
    ops.SetPromiscuous: link_actions.set_promiscuous,
    ops.SetHairpin: link_actions.set_hairpin,
    ops.SetPortVlan: link_actions.set_port_vlan,
    ops.AwaitUp: link_actions.await_up,
    ops.AddAddress: address_actions.add_address,
    ops.ShareAddress: address_actions.share_address,
    ops.RemoveAddress: address_actions.remove_address,
    ops.AddRoute: address_actions.add_route,
    ops.RemoveRoute: address_actions.remove_route,
    ops.SetSysctl: address_actions.set_sysctl,
    ops.AwaitAddresses: address_actions.await_addresses,
    ops.Masquerade: address_actions.masquerade,
    ops.RemoveMasquerade: address_actions.remove_masquerade,
}

_SUBJECTS = ("name", "link", "address", "destination", "gateway", "parent", "master", "value")


def describe(operation: Operation) -> str:
    """Return what an operation is, for an error: "create bridge cni0 on the host"."""
    name = type(operation).__name__
    words = "".join([f" {letter.lower()}" if letter.isupper() else letter for letter in name])
    subjects = [getattr(operation, field, "") for field in _SUBJECTS]
    place = "on the host" if operation.where == ops.HOST else "in the container"
    return " ".join([words.strip(), *[subject for subject in subjects if subject], place])


def _failure(what: str, error: OSError) -> CniError:
    return CniError(INTERNAL, f"cannot {what}", os_reason(error))
