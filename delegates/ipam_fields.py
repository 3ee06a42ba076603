"""The fields that every plugin which gives addresses reads alike."""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.address import number_of, split_prefix, text_of
from mesos_cni_port_mapper.cni.errors import INVALID_CONFIGURATION, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request

_ROUTE_NUMBERS = ("mtu", "advmss", "priority", "table", "scope")
"""What version 1.1.0 lets a route say besides where it leads."""

_DNS_LISTS = ("nameservers", "search", "options")


def parse_address(section: Section, key: str) -> tuple[int, int] | None:
    """Return an address as family and number, or nothing when there is none or it is ""."""
    text = section.string(key, "")
    if not text:
        return None
    try:
        return number_of(text)
    except ValueError:
        refuse(section.path_of(key), f"{shown(text)} is no address")


def parse_prefixed(path: str, text: str, *code: int) -> tuple[str, int]:
    """Split "192.0.2.1/24" into the address, in its one spelling, and the prefix length."""
    try:
        address, prefix = split_prefix(text)
    except ValueError:
        words = f"{shown(text)} is no address with a prefix length, as in 192.0.2.1/24"
        refuse(path, words, *code)
    family, number = number_of(address)
    if family == 4 and ":" in address:
        refuse(path, f"{shown(text)} is an IPv4 address in IPv6's spelling", *code)
    return text_of(family, number), prefix


def parse_routes(ipam: Section, version: str) -> list[dict[str, Any]]:
    """Return the routes to pass on in a result of ``version``."""
    routes = []
    for index, given in enumerate(ipam.array("routes")):
        path = f"{ipam.path_of('routes')}[{index}]"
        if not isinstance(given, dict):
            refuse(path, f"must be an object, not {shown(given)}")
        section = Section(given, path)
        address, prefix = parse_prefixed(section.path_of("dst"), section.string("dst"))
        route: dict[str, Any] = {"dst": f"{address}/{prefix}"}
        gateway = parse_address(section, "gw")
        if gateway:
            route["gw"] = text_of(*gateway)
        if version == versions.NEWEST:
            numbers = [key for key in _ROUTE_NUMBERS if section.has(key)]
            route.update({key: section.integer(key, 0, 0xFFFFFFFF) for key in numbers})
        routes.append(route)
    return routes


def parse_dns(section: Section) -> dict[str, Any]:
    """Return name servers and the like as a result has them, without what is empty."""
    dns: dict[str, Any] = {key: list(section.strings(key)) for key in _DNS_LISTS}
    dns["domain"] = section.string("domain", "")
    return {key: value for key, value in dns.items() if value}


def requested_addresses(netconf: Section) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is asked for by configuration, each source with its path, the weakest first."""
    conventional = netconf.optional_section("args").optional_section("cni")
    capability = netconf.optional_section("runtimeConfig")
    return [
        (section.path_of("ips"), section.strings("ips")) for section in (conventional, capability)
    ]


def refuse_too_many(request: Request, families: Iterable[int]) -> None:
    """Complain when the version's result has no room for as many addresses."""
    listed = list(families)
    if versions.shape(request.version) == "0.1.0" and len(listed) > len(set(listed)):
        raise CniError(
            INVALID_CONFIGURATION,
            f"ipam: more than one address of a family, which cniVersion {request.version} cannot "
            "express",
        )
