"""How operations on links are carried out.

Each function returns the operations that undo what it did, none where things were as wanted
already. Refusals are ``OSError``, in the kernel's words or better.
"""

from __future__ import annotations

import os

from delegates import operations as ops
from delegates.acting import (
    EEXIST,
    ENODEV,
    EOPNOTSUPP,
    ETIMEDOUT,
    forgive,
    hardware_address,
    steps,
)
from mesos_cni_port_mapper.cni.errors import UNSUPPORTED_VALUE, CniError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from delegates.kernel import Kernel
    from delegates.operations import Operation

    Undo = Sequence[Operation]

_MODULES = {"ipvlan": "ipvlan", "macvlan": "macvlan", "vlan": "8021q"}
"""What the kernel's support for a kind of link is called."""

_NO_QUEUE = ("IFLA_TXQLEN", 0)
"""As the reference plugins make their links."""


def create_veth(kernel: Kernel, op: ops.CreateVeth) -> Undo:
    common = [_NO_QUEUE, *_mtu(op.mtu)]
    peer = [
        ("IFLA_IFNAME", op.peer),
        *common,
        *hardware_address(op.peer_mac),
        *_target(kernel, op.peer_where),
    ]
    data = [("VETH_INFO_PEER", {"attrs": peer})]
    netlink = kernel.netlink(op.where)
    if op.master:
        common.append(("IFLA_MASTER", netlink.index_of(op.master)))
    netlink.create_link(op.name, "veth", data, common)
    return (ops.DeleteLink(where=op.where, name=op.name),)


def create_bridge(kernel: Kernel, op: ops.CreateBridge) -> Undo:
    netlink = kernel.netlink(op.where)
    data = [("IFLA_BR_VLAN_FILTERING", 1)] if op.vlan_filtering else []
    link = netlink.link(op.name)
    if link is not None:
        if link.kind != "bridge":
            raise OSError(EEXIST, f"{op.name} already exists but is not a bridge")
        if not link.up:
            kernel.note_shared_change()
            netlink.set_up(op.name, True)
            return (ops.SetDown(where=op.where, link=op.name),)
        return ()
    attributes = _mtu(op.mtu)
    try:
        netlink.create_link(op.name, "bridge", data, attributes, up=True)
    except OSError as error:
        if data and error.errno == EOPNOTSUPP:
            raise _no_vlan_filtering() from error
        raise
    kernel.note_shared_change()
    return (ops.DeleteLink(where=op.where, name=op.name, if_unused=True),)


def create_vlan_port(kernel: Kernel, op: ops.CreateVlanPort) -> Undo:
    if kernel.netlink(op.where).link(op.name) is not None:
        return ()
    undo = create_veth(
        kernel,
        ops.CreateVeth(
            name=op.port, peer=op.name, peer_where=op.where, mtu=op.mtu, master=op.bridge
        ),
    )
    kernel.note_shared_change()
    try:
        set_port_vlan(kernel, ops.SetPortVlan(link=op.port, vlan=op.vlan))
        for name in (op.port, op.name):
            kernel.netlink(op.where).set_up(name, True)
    except OSError:
        kernel.netlink(op.where).delete_link(op.port)
        raise
    return undo


def create_link(kernel: Kernel, op: ops.CreateLink) -> Undo:
    netlink = kernel.netlink(ops.HOST)
    attributes = [
        ("IFLA_LINK", netlink.index_of(op.parent)),
        _NO_QUEUE,
        *_mtu(op.mtu),
        *hardware_address(op.mac),
        *_target(kernel, op.where),
    ]
    data: dict[str, list[tuple[Any, ...]]] = {
        "macvlan": [("IFLA_MACVLAN_MODE", op.mode)],
        "ipvlan": [("IFLA_IPVLAN_MODE", op.mode)],
        "vlan": [("IFLA_VLAN_ID", op.vlan_id)],
    }
    # Where the host has a link of the same name many kernels refuse this one, although it will be
    # elsewhere: so it gets its name when it is there.
    passing = f"cni{os.urandom(5).hex()}"
    try:
        netlink.create_link(passing, op.kind, data[op.kind], attributes)
    except OSError as error:
        if error.errno == EOPNOTSUPP:
            raise _no_links(op.kind) from error
        raise
    there = kernel.netlink(op.where)
    try:
        there.rename_link(there.index_of(passing), op.name)
    except BaseException:
        forgive(lambda: there.delete_link(passing))
        raise
    return (ops.DeleteLink(where=op.where, name=op.name),)


def delete_link(kernel: Kernel, op: ops.DeleteLink) -> Undo:
    netlink = kernel.netlink(op.where)
    if op.if_unused:
        link = netlink.link(op.name)
        if link is None or any(other.master == link.index for other in netlink.links()):
            return ()
    forgive(lambda: netlink.delete_link(op.name))
    return ()


def set_master(kernel: Kernel, op: ops.SetMaster) -> Undo:
    netlink = kernel.netlink(op.where)
    netlink.set_link(op.link, [("IFLA_MASTER", netlink.index_of(op.master))])
    return ()


def set_up(kernel: Kernel, op: ops.SetUp) -> Undo:
    kernel.netlink(op.where).set_up(op.link, True)
    return ()


def set_down(kernel: Kernel, op: ops.SetDown) -> Undo:
    forgive(lambda: kernel.netlink(op.where).set_up(op.link, False))
    return ()


def set_mtu(kernel: Kernel, op: ops.SetMtu) -> Undo:
    kernel.netlink(op.where).set_link(op.link, _mtu(op.mtu))
    return ()


def set_mac(kernel: Kernel, op: ops.SetMac) -> Undo:
    kernel.netlink(op.where).set_link(op.link, hardware_address(op.mac))
    return ()


def set_promiscuous(kernel: Kernel, op: ops.SetPromiscuous) -> Undo:
    netlink = kernel.netlink(op.where)
    link = netlink.link(op.link)
    if link is None or link.promiscuous == op.on:
        return ()
    netlink.set_promiscuous(op.link, op.on)
    kernel.note_shared_change()
    return (op.but(on=not op.on),)


def set_hairpin(kernel: Kernel, op: ops.SetHairpin) -> Undo:
    netlink = kernel.netlink(op.where)
    netlink.set_hairpin(netlink.index_of(op.link), True)
    return ()


def set_port_vlan(kernel: Kernel, op: ops.SetPortVlan) -> Undo:
    netlink = kernel.netlink(op.where)
    try:
        netlink.add_port_vlan(netlink.index_of(op.link), op.vlan)
    except OSError as error:
        if error.errno == EOPNOTSUPP:
            raise _no_vlan_filtering() from error
        raise
    return ()


def await_up(kernel: Kernel, op: ops.AwaitUp) -> Undo:
    netlink = kernel.netlink(op.where)
    for _ in steps(op.seconds):
        link = netlink.link(op.link)
        if link is None:
            raise OSError(ENODEV, f"there is no link {op.link} any more")
        if link.running:
            return ()
    raise OSError(ETIMEDOUT, f"{op.link} carries no traffic after {op.seconds:g} s")


def _mtu(mtu: int) -> list[tuple[Any, ...]]:
    return [("IFLA_MTU", mtu)] if mtu else []


def _target(kernel: Kernel, where: str) -> list[tuple[Any, ...]]:
    return [("IFLA_NET_NS_FD", kernel.sandbox_file())] if where == ops.SANDBOX else []


def _no_links(kind: str) -> CniError:
    return CniError(
        UNSUPPORTED_VALUE,
        f"type: {kind!r} is not supported by this kernel, which lacks the module {_MODULES[kind]}",
    )


def _no_vlan_filtering() -> OSError:
    words = "the kernel has no support for VLAN filtering on bridges (BRIDGE_VLAN_FILTERING)"
    return OSError(EOPNOTSUPP, words)
