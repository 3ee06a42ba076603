"""What a container's link gets of IPAM's result, as operations."""

from __future__ import annotations

from delegates import operations as ops
from delegates.facts import TABLE_MAIN
from mesos_cni_port_mapper.cni.address import family_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from delegates.operations import Operation
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result

FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def require_ipam(request: Request) -> None:
    """Refuse a configuration that asks nobody for addresses (code 7)."""
    ipam = Section(request.netconf).optional_section("ipam")
    if not ipam.string("type", ""):
        refuse(ipam.path_of("type"), "is missing; without addresses the link is of no use")


def given_ips(given: Result | None, index: int) -> list[dict[str, Any]]:
    """Return IPAM's addresses as those of interface ``index``; code 999 when there are none."""
    ips = given.document.get("ips") if given is not None else None
    if not ips:
        raise CniError(INTERNAL, "ipam: no address was given")
    return [{**ip, "interface": index} for ip in ips]


def given_routes(given: Result | None) -> list[dict[str, Any]]:
    """Return IPAM's routes."""
    return (given.document.get("routes") or []) if given is not None else []


def plan_addresses(link: str, ips: Sequence[dict[str, Any]]) -> list[Operation]:
    """Give a link in the sandbox its addresses and bring it up.

    In this order, because a kernel that is to announce the addresses does so when the link comes up
    (arp_notify in Documentation/networking/ip-sysctl.rst).
    """
    addresses = [ip["address"] for ip in ips]
    enabling: list[Operation] = []
    if has_ipv6(ips):
        # Some runtimes switch IPv6 off in every new namespace, whatever the network offers.
        enabling = [
            ops.SetSysctl(
                where=ops.SANDBOX,
                name=f"net/ipv6/conf/{name}/disable_ipv6",
                value="0",
                optional=True,
            )
            for name in ("lo", link)
        ]
    return [
        *enabling,
        *[ops.AddAddress(where=ops.SANDBOX, link=link, address=address) for address in addresses],
        ops.SetUp(where=ops.SANDBOX, link=link),
    ]


def plan_routes(
    link: str, ips: Sequence[dict[str, Any]], routes: Sequence[dict[str, Any]]
) -> list[Operation]:
    """Add a result's routes; one without a gateway leads to the first of its family."""
    gateways: dict[int, str] = {}
    for ip in ips:
        if ip.get("gateway"):
            gateways.setdefault(family_of(ip["gateway"]), ip["gateway"])
    return [
        ops.AddRoute(
            where=ops.SANDBOX,
            link=link,
            destination=route["dst"],
            gateway=_gateway_of(route, gateways),
            scope=route.get("scope") or ops.SCOPE_UNIVERSE,
            table=route.get("table") or TABLE_MAIN,
            priority=route.get("priority") or 0,
            mtu=route.get("mtu") or 0,
            advmss=route.get("advmss") or 0,
            # Of two routes to one destination the first is meant.
            shared=True,
        )
        for route in routes
    ]


def _gateway_of(route: dict[str, Any], gateways: dict[int, str]) -> str:
    # What is on the link itself has no gateway; the kernel would refuse it.
    if not route.get("gw") and (route.get("scope") or 0) >= ops.SCOPE_LINK:
        return ""
    return route.get("gw") or gateways.get(family_of(_address_of(route["dst"])), "")


def plan_wait(link: str, ips: Sequence[dict[str, Any]]) -> list[Operation]:
    """Wait for IPv6 addresses, which cannot be used before they are known to be nobody else's."""
    return [ops.AwaitAddresses(where=ops.SANDBOX, link=link)] if has_ipv6(ips) else []


def plan_forwarding(ips: Sequence[dict[str, Any]]) -> list[Operation]:
    """Have the host forward what addresses of these families send and receive."""
    families = {family_of(_address_of(ip["address"])) for ip in ips}
    return [
        ops.BeginShared(),
        *[
            ops.SetSysctl(where=ops.HOST, name=name, value="1")
            for family, name in FORWARDING.items()
            if family in families
        ],
        ops.EndShared(),
    ]


def has_ipv6(ips: Sequence[dict[str, Any]]) -> bool:
    """Tell whether an IPv6 address is among those of a result."""
    return any(family_of(_address_of(ip["address"])) == 6 for ip in ips)


def _address_of(prefixed: str) -> str:
    return prefixed.partition("/")[0]
