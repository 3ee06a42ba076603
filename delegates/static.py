"""static: addresses as they are configured or asked for; nothing is remembered.

What the runtime asks for replaces what ``args.cni`` asks for, and that the addresses of the
configuration, to which ``IP`` of CNI_ARGS only adds.
"""

from __future__ import annotations

from delegates.cni_args import parse_cni_args
from delegates.ipam_fields import (
    parse_address,
    parse_dns,
    parse_prefixed,
    parse_routes,
    refuse_too_many,
    requested_addresses,
)
from delegates.results import answer, make_result, previous_result
from mesos_cni_port_mapper.cni.address import BITS, number_of, text_of
from mesos_cni_port_mapper.cni.errors import (
    INTERNAL,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    CniError,
)
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request


class Static:
    """Answers with addresses somebody else has chosen."""

    def add(self, request: Request) -> dict[str, Any]:
        """Return the chosen addresses, the routes and the name servers."""
        ipam = Section(request.netconf).section("ipam")
        ips = parse_ips(request)
        routes = parse_routes(ipam, request.version)
        dns = parse_dns(ipam.optional_section("dns"))
        return answer(request, make_result((), ips, routes, dns))

    def delete(self, request: Request) -> None:
        """Succeed: there is nothing to give back."""

    def check(self, request: Request) -> None:
        """Raise unless the previous result has every chosen address, with its gateway."""
        ips = parse_ips(request)
        previous = previous_result(request)
        if previous is None:
            raise CniError(INVALID_CONFIGURATION, "prevResult: is missing; CHECK needs it")
        given = [(ip["address"], ip.get("gateway")) for ip in previous.document.get("ips") or ()]
        for ip in ips:
            # A plugin may have put in a gateway where none was chosen.
            if not any(
                address == ip["address"] and ip.get("gateway") in (None, gateway)
                for address, gateway in given
            ):
                raise CniError(
                    INTERNAL,
                    f"{request.ifname} was not given {ip['address']} with gateway "
                    f"{ip.get('gateway', 'none')}",
                    f"prevResult has {', '.join([address for address, _ in given]) or 'none'}",
                )

    def gc(self, request: Request) -> None:
        """Succeed: nothing is remembered."""

    def status(self, request: Request) -> None:
        """Raise unless the configuration is one to give addresses by."""
        parse_ips(request)


def parse_ips(request: Request) -> list[dict[str, str]]:
    """Return the addresses an attachment is to have, as a result lists them (codes 4 and 7)."""
    netconf = Section(request.netconf)
    ipam = netconf.section("ipam")
    asked = _parse_arguments(request)
    requested = [
        [_ip(path, text) for text in texts] for path, texts in requested_addresses(netconf) if texts
    ]
    ips = requested[-1] if requested else _parse_addresses(ipam) + asked
    refuse_too_many(request, [number_of(ip["address"].partition("/")[0])[0] for ip in ips])
    return ips


def _parse_addresses(ipam: Section) -> list[dict[str, str]]:
    ips = []
    for index, given in enumerate(ipam.array("addresses")):
        path = f"{ipam.path_of('addresses')}[{index}]"
        if not isinstance(given, dict):
            refuse(path, f"must be an object, not {shown(given)}")
        section = Section(given, path)
        ip = _ip(section.path_of("address"), section.string("address"))
        gateway = parse_address(section, "gateway")
        if gateway:
            ip["gateway"] = text_of(*gateway)
        ips.append(ip)
    return ips


def _parse_arguments(request: Request) -> list[dict[str, str]]:
    """Return the addresses of CNI_ARGS, each with the last gateway that is in its subnet."""
    pairs = parse_cni_args(request.environ, ("IP", "GATEWAY"))
    ips = [_ip("CNI_ARGS: IP", text, INVALID_ENVIRONMENT) for text in _listed(pairs, "IP")]
    for text in _listed(pairs, "GATEWAY"):
        try:
            gateway = number_of(text)
        except ValueError:
            refuse("CNI_ARGS: GATEWAY", f"{shown(text)} is no address", INVALID_ENVIRONMENT)
        for ip in ips:
            if _is_in_subnet(gateway, ip["address"]):
                ip["gateway"] = text_of(*gateway)
    return ips


def _listed(pairs: dict[str, str], key: str) -> list[str]:
    value = pairs.get(key, "")
    return [text.strip() for text in value.split(",")] if value else []


def _ip(path: str, text: str, *code: int) -> dict[str, str]:
    address, prefix = parse_prefixed(path, text, *code)
    return {"address": f"{address}/{prefix}"}


def _is_in_subnet(gateway: tuple[int, int], prefixed: str) -> bool:
    address, _, prefix = prefixed.partition("/")
    family, number = number_of(address)
    host_bits = BITS[family] - int(prefix)
    return gateway[0] == family and gateway[1] >> host_bits == number >> host_bits
