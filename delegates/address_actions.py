"""How operations on addresses, routes, settings and rules are carried out.

Each function returns the operations that undo what it did, none where things were as wanted
already. Refusals are ``OSError``, in the kernel's words or better.
"""

from __future__ import annotations

from delegates import operations as ops
from delegates import sysctl
from delegates.acting import (
    EEXIST,
    ETIMEDOUT,
    forgive,
    hardware_address,
    steps,
)
from delegates.facts import IPV6_DUPLICATE, IPV6_TENTATIVE, Address, Route
from mesos_cni_port_mapper.cni.address import BITS, number_of, split_prefix, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from delegates.kernel import Kernel
    from delegates.operations import Operation

    Undo = Sequence[Operation]


def add_address(kernel: Kernel, op: ops.AddAddress) -> Undo:
    netlink = kernel.netlink(op.where)
    netlink.add_address(_address(netlink.index_of(op.link), op.address))
    return (ops.RemoveAddress(where=op.where, link=op.link, address=op.address),)


def share_address(kernel: Kernel, op: ops.ShareAddress) -> Undo:
    netlink = kernel.netlink(op.where)
    wanted = _address(netlink.index_of(op.link), op.address)
    present = netlink.addresses(wanted.index, wanted.family)
    if any((entry.address, entry.prefix) == (wanted.address, wanted.prefix) for entry in present):
        return ()
    rivals = [entry for entry in present if entry.family == 4 or _overlap(entry, wanted)]
    if rivals and not op.force:
        raise OSError(
            EEXIST, f"{op.link} already has {_texts(rivals)}, and forceAddress is not set"
        )
    kernel.note_shared_change()
    undo: list[Operation] = []
    try:
        for rival in rivals:
            netlink.remove_address(rival)
            undo.append(ops.AddAddress(where=op.where, link=op.link, address=_texts([rival])))
        netlink.add_address(wanted)
        undo.append(ops.RemoveAddress(where=op.where, link=op.link, address=op.address))
        # Given explicitly, an address no longer follows those of a bridge's ports.
        link = netlink.link(op.link)
        netlink.set_link(op.link, hardware_address(link.mac if link else ""))
    except OSError:
        kernel.take_back(undo)
        raise
    return undo


def remove_address(kernel: Kernel, op: ops.RemoveAddress) -> Undo:
    netlink = kernel.netlink(op.where)
    link = netlink.link(op.link)
    if link is not None:
        address = _address(link.index, op.address)
        if forgive(lambda: netlink.remove_address(address)):
            return (ops.AddAddress(where=op.where, link=op.link, address=op.address),)
    return ()


def add_route(kernel: Kernel, op: ops.AddRoute) -> Undo:
    netlink = kernel.netlink(op.where)
    try:
        netlink.add_route(_route(netlink.index_of(op.link), op))
    except FileExistsError:
        if op.shared:
            return ()
        raise
    return (
        ops.RemoveRoute(
            where=op.where,
            link=op.link,
            destination=op.destination,
            gateway=op.gateway,
            scope=op.scope,
            table=op.table,
            priority=op.priority,
        ),
    )


def remove_route(kernel: Kernel, op: ops.RemoveRoute) -> Undo:
    netlink = kernel.netlink(op.where)
    link = netlink.link(op.link)
    if link is not None:
        route = _route(link.index, op)
        forgive(lambda: netlink.remove_route(route))
    return ()


def set_sysctl(kernel: Kernel, op: ops.SetSysctl) -> Undo:
    before = kernel.inside(op.where, lambda: sysctl.read(op.name))
    if before == op.value:
        return ()
    try:
        kernel.inside(op.where, lambda: sysctl.write(op.name, op.value))
    except OSError:
        if op.optional:
            return ()
        raise
    if op.where == ops.HOST:
        kernel.note_shared_change()
    return (op.but(value=before or "", optional=True),)


def await_addresses(kernel: Kernel, op: ops.AwaitAddresses) -> Undo:
    netlink = kernel.netlink(op.where)
    index = netlink.index_of(op.link)
    for _ in steps(op.seconds):
        addresses = netlink.addresses(index, 6)
        duplicates = [entry for entry in addresses if entry.flags & IPV6_DUPLICATE]
        if duplicates:
            raise OSError(EEXIST, f"{_texts(duplicates)} is in use elsewhere on the network")
        if not any(entry.flags & IPV6_TENTATIVE for entry in addresses):
            return ()
    raise OSError(ETIMEDOUT, f"addresses are still tentative after {op.seconds:g} s")


def masquerade(kernel: Kernel, op: ops.Masquerade) -> Undo:
    from delegates.masquerade import add_masquerade

    add_masquerade(op, kernel.environ)
    removal = ops.RemoveMasquerade(
        network=op.network, container_id=op.container_id, ifname=op.ifname, sources=op.sources
    )
    return (removal,)


def remove_masquerade(kernel: Kernel, op: ops.RemoveMasquerade) -> Undo:
    from delegates import masquerade as rules

    def others(several: bool) -> list[str]:
        return kernel.addresses_of_others(op.ifname, certain=not several)

    rules.remove_masquerade(op, others, kernel.environ)
    return ()


def _address(index: int, text: str) -> Address:
    address, prefix = split_prefix(text)
    family, number = number_of(address)
    # A network of fewer than four addresses has none to spare (RFC 3021).
    host_bits = BITS[family] - prefix
    broadcast = text_of(4, number | (1 << host_bits) - 1) if family == 4 and host_bits > 1 else ""
    return Address(index=index, family=family, address=address, prefix=prefix, broadcast=broadcast)


def _overlap(first: Address, second: Address) -> bool:
    shift = BITS[first.family] - min(first.prefix, second.prefix)
    return number_of(first.address)[1] >> shift == number_of(second.address)[1] >> shift


def _texts(addresses: Sequence[Address]) -> str:
    return ", ".join([f"{entry.address}/{entry.prefix}" for entry in addresses])


def _route(index: int, op: ops.AddRoute | ops.RemoveRoute) -> Route:
    destination, prefix = split_prefix(op.destination)
    route = Route(
        index=index,
        family=number_of(destination)[0],
        destination=destination,
        prefix=prefix,
        gateway=op.gateway,
        scope=op.scope,
        table=op.table,
        priority=op.priority,
    )
    if isinstance(op, ops.RemoveRoute):
        return route
    return route.but(source=op.source, onlink=op.onlink, mtu=op.mtu, advmss=op.advmss)
