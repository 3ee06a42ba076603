"""ptp: a veth pair between host and container, routed, no network of its own.

::

    container                                host
    ADDRESS/PREFIX on CNI_IFNAME             GATEWAY/32 on veth...
    GATEWAY dev CNI_IFNAME                   ADDRESS dev veth...
    NETWORK/PREFIX via GATEWAY

The gateway has the same address on the host's end of every pair. All that a container sends goes by
way of it, also what is for a neighbour.
"""

from __future__ import annotations

import _blake2

from delegates import operations as ops
from delegates.addressing import (
    given_ips,
    given_routes,
    plan_addresses,
    plan_forwarding,
    plan_routes,
    plan_wait,
    require_ipam,
)
from delegates.checks import check_interface
from delegates.link_plugin import LinkPlugin, Plan
from delegates.results import previous_result
from mesos_cni_port_mapper.cni.address import BITS, number_of, split_prefix, text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import Section
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from delegates.kernel import Kernel
    from delegates.operations import Operation
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result

_SCOPE_HOST = 254
_LARGEST_MTU = 65535
_NAME_DIGITS = 11


class Settings(Value):
    """The configuration: ``mtu`` is 0 for what the kernel chooses, ``dns`` empty for IPAM's."""

    ip_masq: bool
    mtu: int
    dns: dict[str, Any]


class Leg(Value):
    """One address of a container, the network it is in, and the gateway; ``bits`` is 32 or 128."""

    prefixed: str
    address: str
    network: str
    gateway: str
    bits: int


class Ptp(LinkPlugin):
    """Answers the requests of a runtime."""

    def parse(self, request: Request) -> Settings:
        """See ``LinkPlugin.parse``."""
        netconf = Section(request.netconf)
        return Settings(
            ip_masq=netconf.boolean("ipMasq"),
            mtu=netconf.integer("mtu", 0, _LARGEST_MTU) if netconf.has("mtu") else 0,
            dns=netconf.optional_section("dns").document,
        )

    def complete(
        self,
        request: Request,
        configuration: Settings,
        kernel: Kernel,  # noqa: ARG002 - nothing depends on the host
    ) -> Settings:
        """See ``LinkPlugin.complete``."""
        require_ipam(request)
        return configuration

    def plan(self, request: Request, configuration: Settings, given: Result | None) -> Plan:
        """See ``LinkPlugin.plan``."""
        ips, routes = given_ips(given, 1), given_routes(given)
        legs = [parse_leg(ip) for ip in ips]
        link, host_link = request.ifname, host_link_of(request)
        masquerade = ops.Masquerade(
            network=request.netconf["name"],
            container_id=request.container_id,
            ifname=link,
            sources=tuple([leg.prefixed for leg in legs]),
        )
        return Plan(
            operations=[
                *plan_forwarding(ips),
                ops.CreateVeth(name=host_link, peer=link, mtu=configuration.mtu),
                ops.SetSysctl(
                    where=ops.HOST,
                    # The container shall not tell the host where to send what.
                    name=f"net/ipv6/conf/{host_link}/accept_ra",
                    value="0",
                    optional=True,
                ),
                ops.SetUp(where=ops.HOST, link=host_link),
                *plan_addresses(link, ips),
                *plan_routes(link, ips, routes),
                *plan_wait(link, ips),
                *plan_detour(link, legs),
                *plan_host_side(host_link, legs),
                *([masquerade] if configuration.ip_masq else []),
            ],
            interfaces=[(ops.HOST, host_link), (ops.SANDBOX, link)],
            ips=ips,
            routes=routes,
            dns=configuration.dns or (given.document.get("dns") if given is not None else None),
        )

    def plan_removal(self, request: Request, configuration: Settings) -> Sequence[Operation]:
        """See ``LinkPlugin.plan_removal``."""
        result = previous_result(request)
        ips = (result.document.get("ips") or []) if result is not None else []
        masquerade = ops.RemoveMasquerade(
            network=request.netconf["name"],
            container_id=request.container_id,
            ifname=request.ifname,
            sources=tuple([ip["address"] for ip in ips]),
        )
        return [
            *([masquerade] if configuration.ip_masq else []),
            ops.DeleteLink(where=ops.SANDBOX, name=request.ifname),
            # Gone with the other end, unless whoever holds the namespace has no path to it.
            ops.DeleteLink(where=ops.HOST, name=host_link_of(request)),
        ]

    def masquerades(self, configuration: Settings) -> bool:
        """See ``LinkPlugin.masquerades``."""
        return configuration.ip_masq

    def check_links(
        self,
        request: Request,
        configuration: Settings,  # noqa: ARG002 - the rules are not ours to compare
        kernel: Kernel,
        result: Result,
    ) -> None:
        """See ``LinkPlugin.check_links``."""
        legs = [parse_leg(ip) for ip in result.document.get("ips") or []]
        for entry in result.document.get("interfaces") or []:
            if not entry.get("sandbox"):
                _check_host_link(kernel, entry, legs)
        ways = {
            (f"{route.destination}/{route.prefix}", route.gateway)
            for route in kernel.routes(ops.SANDBOX)
        }
        for leg in legs:
            # A network of one address is the container's own, and has no route.
            own = leg.network == f"{leg.address}/{leg.bits}"
            way = (f"{leg.gateway}/{leg.bits}", "") if own else (leg.network, leg.gateway)
            if way not in ways:
                raise CniError(INTERNAL, f"{request.ifname} has lost its route to {way[0]}")


def parse_leg(ip: dict[str, Any]) -> Leg:
    """Return what an address of a result means to the routes; code 999 where it has no gateway."""
    address, prefix = split_prefix(ip["address"])
    gateway = ip.get("gateway")
    if not gateway:
        raise CniError(INTERNAL, f"ipam: {ip['address']} was given without a gateway")
    family, number = number_of(address)
    bits = BITS[family]
    first = number >> bits - prefix << bits - prefix
    return Leg(
        prefixed=ip["address"],
        address=address,
        network=f"{text_of(family, first)}/{prefix}",
        gateway=gateway,
        bits=bits,
    )


def plan_detour(link: str, legs: Sequence[Leg]) -> list[Operation]:
    """Have the container send to its own networks by way of the gateway, too."""
    detour: list[Operation] = []
    for leg in legs:
        to_gateway = f"{leg.gateway}/{leg.bits}"
        detour += [
            ops.RemoveRoute(
                where=ops.SANDBOX, link=link, destination=leg.network, scope=ops.SCOPE_LINK
            ),
            ops.AddRoute(
                where=ops.SANDBOX,
                link=link,
                destination=to_gateway,
                scope=ops.SCOPE_LINK,
                source=leg.address,
                shared=True,
            ),
        ]
        if leg.network != f"{leg.address}/{leg.bits}":
            detour.append(
                ops.AddRoute(
                    where=ops.SANDBOX,
                    link=link,
                    destination=leg.network,
                    gateway=leg.gateway,
                    source=leg.address,
                )
            )
    return detour


def plan_host_side(link: str, legs: Sequence[Leg]) -> list[Operation]:
    """Give the host's end the gateways, and route the container's addresses to it."""
    gateways = dict.fromkeys([f"{leg.gateway}/{leg.bits}" for leg in legs])
    return [
        *[ops.AddAddress(where=ops.HOST, link=link, address=gateway) for gateway in gateways],
        *[
            ops.AddRoute(
                where=ops.HOST,
                link=link,
                destination=f"{leg.address}/{leg.bits}",
                scope=_SCOPE_HOST,
            )
            for leg in legs
        ],
    ]


def host_link_of(request: Request) -> str:
    """Return the name of the host's end, the same at each call so that DEL knows it."""
    attachment = "\0".join((request.netconf["name"], request.container_id, request.ifname))
    digest = _blake2.blake2b(attachment.encode(), digest_size=16).hexdigest()
    return f"veth{digest[:_NAME_DIGITS]}"


def _check_host_link(kernel: Kernel, entry: dict[str, Any], legs: Sequence[Leg]) -> None:
    link = check_interface(kernel, ops.HOST, entry)
    present = {address.address for address in kernel.addresses(ops.HOST, link.index)}
    for leg in legs:
        if leg.gateway not in present:
            raise CniError(INTERNAL, f"{link.name} has lost the gateway's address {leg.gateway}")
