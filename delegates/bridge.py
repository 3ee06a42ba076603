"""bridge: joins the container to a bridge of the host by a veth pair."""

from __future__ import annotations

import os

from delegates import operations as ops
from delegates.addressing import (
    FORWARDING,
    given_ips,
    given_routes,
    has_ipv6,
    plan_addresses,
    plan_routes,
    plan_wait,
)
from delegates.bridge_configuration import Configuration, parse_configuration
from delegates.checks import check_interface
from delegates.link_plugin import LinkPlugin, Plan
from delegates.results import previous_result
from mesos_cni_port_mapper.cni.address import BITS, number_of, split_prefix, text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, UNSUPPORTED_VALUE, CniError
from mesos_cni_port_mapper.cni.fields import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from delegates.kernel import Kernel
    from delegates.operations import Operation
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result

_CONTAINER_INTERFACE = 2
"""Where the container's link stands among the interfaces of the result: bridge, port, link."""

_DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}


class Bridge(LinkPlugin):
    """Answers the requests of a runtime. Without ``ipam`` the container gets a link alone."""

    def parse(self, request: Request) -> Configuration:
        """See ``LinkPlugin.parse``."""
        return parse_configuration(request)

    def complete(
        self,
        request: Request,  # noqa: ARG002 - the configuration says it all
        configuration: Configuration,
        kernel: Kernel,  # noqa: ARG002 - likewise
    ) -> Configuration:
        """Refuse what is not made: who asks for protection must not go without it unawares."""
        if configuration.against_spoofing:
            refuse("macspoofchk", "true is not supported by this plugin", UNSUPPORTED_VALUE)
        return configuration

    def plan(self, request: Request, configuration: Configuration, given: Result | None) -> Plan:
        """See ``LinkPlugin.plan``; what the host shares first, so that others wait the least."""
        port = f"veth{os.urandom(4).hex()}"
        ips = plan_gateways(configuration, given)
        routes = plan_default_routes(configuration, ips, given_routes(given))
        return Plan(
            operations=[
                ops.BeginShared(),
                *plan_bridge(configuration),
                *plan_gateway_addresses(configuration, ips, f"{port[:-1]}g"),
                *plan_port(configuration, port, request.ifname),
                ops.EndShared(),
                *plan_container(configuration, request.ifname, ips, routes),
                *plan_masquerade(request, configuration, ips),
                ops.AwaitUp(where=ops.HOST, link=port),
            ],
            interfaces=[
                (ops.HOST, configuration.bridge),
                (ops.HOST, port),
                (ops.SANDBOX, request.ifname),
            ],
            ips=ips,
            routes=routes,
            dns=configuration.dns,
        )

    def plan_removal(self, request: Request, configuration: Configuration) -> list[Operation]:
        """See ``LinkPlugin.plan_removal``; the bridge stays, as it may be somebody's."""
        link = ops.DeleteLink(where=ops.SANDBOX, name=request.ifname)
        return [*plan_unmasquerade(request, configuration), link]

    def masquerades(self, configuration: Configuration) -> bool:
        """See ``LinkPlugin.masquerades``."""
        return configuration.masquerade

    def check_links(
        self,
        request: Request,  # noqa: ARG002 - the container's own link is seen to
        configuration: Configuration,
        kernel: Kernel,
        result: Result,
    ) -> None:
        """See ``LinkPlugin.check_links``."""
        bridge = kernel.link(ops.HOST, configuration.bridge)
        if bridge is None or bridge.kind != "bridge":
            raise CniError(INTERNAL, f"bridge {configuration.bridge} is gone")
        if configuration.promiscuous and not bridge.promiscuous:
            raise CniError(INTERNAL, f"bridge {configuration.bridge} is not promiscuous any more")
        for entry in result.document.get("interfaces") or []:
            if not entry.get("sandbox"):
                link = check_interface(kernel, ops.HOST, entry)
                if link.kind == "veth" and link.master != bridge.index:
                    raise CniError(
                        INTERNAL, f"link {link.name} is no port of {configuration.bridge} any more"
                    )


def plan_gateways(configuration: Configuration, given: Result | None) -> list[dict[str, Any]]:
    """Return the addresses for the result, where the bridge is their gateway with that."""
    if given is None:
        return []
    ips = given_ips(given, _CONTAINER_INTERFACE)
    if not configuration.is_gateway:
        return ips
    return [
        ip if ip.get("gateway") else {**ip, "gateway": first_address(ip["address"])} for ip in ips
    ]


def first_address(prefixed: str) -> str:
    """Return the first address after that of the network itself, which is its gateway's."""
    address, prefix = split_prefix(prefixed)
    family, number = number_of(address)
    shift = BITS[family] - prefix
    return text_of(family, (number >> shift << shift) + 1)


def plan_default_routes(
    configuration: Configuration, ips: Sequence[dict[str, Any]], routes: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the routes for the result, with a default by way of the bridge unless there is one."""
    added = []
    if configuration.is_default_gateway:
        # Without a gateway IPAM's own default route leads to the bridge anyhow.
        present = [route["dst"] for route in routes if route.get("gw")]
        for ip in ips:
            default = _DEFAULT_ROUTE[number_of(ip["gateway"])[0]]
            if default not in present:
                present.append(default)
                added.append({"dst": default, "gw": ip["gateway"]})
    return [*routes, *added]


def plan_bridge(configuration: Configuration) -> list[Operation]:
    """Have the bridge."""
    name = configuration.bridge
    plan: list[Operation] = [
        ops.CreateBridge(
            name=name,
            mtu=configuration.mtu,
            vlan_filtering=configuration.vlan > 0,
        ),
        _own_routes(name),
    ]
    if configuration.promiscuous:
        plan.append(ops.SetPromiscuous(where=ops.HOST, link=name))
    return plan


def plan_port(configuration: Configuration, port: str, ifname: str) -> list[Operation]:
    """Make the container's link, its other end, ``port``, being one of the bridge's."""
    plan: list[Operation] = [
        ops.CreateVeth(
            name=port,
            peer=ifname,
            mtu=configuration.mtu,
            peer_mac=configuration.mac,
            master=configuration.bridge,
        ),
        _own_routes(port),
    ]
    if configuration.hairpin:
        plan.append(ops.SetHairpin(link=port))
    if configuration.vlan:
        plan.append(ops.SetPortVlan(link=port, vlan=configuration.vlan))
    return [*plan, ops.SetUp(where=ops.HOST, link=port)]


def _own_routes(link: str) -> Operation:
    """Refuse routes that somebody on the bridge may advertise to the host."""
    name = f"net/ipv6/conf/{link}/accept_ra"
    return ops.SetSysctl(where=ops.HOST, name=name, value="0", optional=True)


def plan_gateway_addresses(
    configuration: Configuration, ips: Sequence[dict[str, Any]], vlan_port: str
) -> list[Operation]:
    """Give the bridge the gateways' addresses, and let the host forward what is sent there.

    In a VLAN they are those of a link of its own, with ``vlan_port`` as the bridge's port for it.
    """
    if not (configuration.is_gateway and ips):
        return []
    plan: list[Operation] = []
    holder = configuration.bridge
    if configuration.vlan:
        holder = f"{configuration.bridge}.{configuration.vlan}"
        port = ops.CreateVlanPort(
            name=holder,
            port=vlan_port,
            bridge=configuration.bridge,
            vlan=configuration.vlan,
            mtu=configuration.mtu,
        )
        plan.append(port)
    gateways = [f"{ip['gateway']}/{split_prefix(ip['address'])[1]}" for ip in ips]
    families = [number_of(ip["gateway"])[0] for ip in ips]
    force = configuration.force_address
    return [
        *plan,
        *[
            ops.ShareAddress(where=ops.HOST, link=holder, address=gateway, force=force)
            for gateway in dict.fromkeys(gateways)
        ],
        *[
            ops.SetSysctl(where=ops.HOST, name=FORWARDING[family], value="1")
            for family in dict.fromkeys(families)
        ],
    ]


def plan_container(
    configuration: Configuration,
    ifname: str,
    ips: Sequence[dict[str, Any]],
    routes: Sequence[dict[str, Any]],
) -> list[Operation]:
    """Give the container's link its addresses and routes, and bring it up."""
    if not ips:
        return [ops.SetUp(where=ops.SANDBOX, link=ifname)]
    # An address is announced when the link comes up: another container may have had it before. Its
    # own announcement, sent back by a hairpin, would look like a duplicate.
    settings = {
        f"net/ipv4/conf/{ifname}/arp_notify": "1",
        f"net/ipv6/conf/{ifname}/accept_dad": "1" if configuration.detect_duplicates else "0",
    }
    if has_ipv6(ips):
        settings[f"net/ipv6/conf/{ifname}/ndisc_notify"] = "1"
    return [
        *[
            ops.SetSysctl(where=ops.SANDBOX, name=name, value=value, optional=True)
            for name, value in settings.items()
        ],
        *plan_addresses(ifname, ips),
        *plan_wait(ifname, ips),
        *plan_routes(ifname, ips, routes),
    ]


def plan_masquerade(
    request: Request, configuration: Configuration, ips: Sequence[dict[str, Any]]
) -> list[Operation]:
    """Masquerade the container's addresses, where that is asked for."""
    if not (configuration.masquerade and ips):
        return []
    return [
        ops.Masquerade(
            network=request.netconf["name"],
            container_id=request.container_id,
            ifname=request.ifname,
            sources=tuple([ip["address"] for ip in ips]),
        )
    ]


def plan_unmasquerade(request: Request, configuration: Configuration) -> list[Operation]:
    """Remove what ``plan_masquerade`` made."""
    if not configuration.masquerade:
        return []
    result = previous_result(request)
    ips = (result.document.get("ips") or []) if result is not None else []
    return [
        ops.RemoveMasquerade(
            network=request.netconf["name"],
            container_id=request.container_id,
            ifname=request.ifname,
            sources=tuple([ip["address"] for ip in ips]),
        )
    ]
