"""The bridge plugin's configuration as a value."""

from __future__ import annotations

from delegates.cni_args import parse_cni_args
from delegates.hardware_address import parse_hardware_address
from mesos_cni_port_mapper.cni.errors import INVALID_ENVIRONMENT
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_interface_name
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request

DEFAULT_BRIDGE = "cni0"
_LARGEST_MTU = 65535
_LARGEST_VLAN = 4094
_ARGUMENTS = ("MAC", "IP", "GATEWAY")
"""What CNI_ARGS may hold: those of the IPAM plugins are theirs to look at."""


class Configuration(Value):
    """How a container is joined to a bridge.

    An ``mtu`` of 0, a ``mac`` of "" and a ``vlan`` of 0 are none. ``dns`` goes into the result.
    """

    bridge: str
    is_gateway: bool
    is_default_gateway: bool
    force_address: bool
    masquerade: bool
    hairpin: bool
    promiscuous: bool
    detect_duplicates: bool
    against_spoofing: bool
    mtu: int
    vlan: int
    mac: str
    dns: dict[str, Any]


def parse_configuration(request: Request) -> Configuration:
    """Check the whole configuration (code 7) and CNI_ARGS (code 4)."""
    netconf = Section(request.netconf)
    default_gateway = netconf.boolean("isDefaultGateway")
    configuration = Configuration(
        bridge=_bridge(netconf),
        is_gateway=netconf.boolean("isGateway") or default_gateway,
        is_default_gateway=default_gateway,
        force_address=netconf.boolean("forceAddress"),
        masquerade=netconf.boolean("ipMasq"),
        hairpin=netconf.boolean("hairpinMode"),
        promiscuous=netconf.boolean("promiscMode"),
        detect_duplicates=netconf.boolean("enabledad"),
        against_spoofing=netconf.boolean("macspoofchk"),
        mtu=_number(netconf, "mtu", _LARGEST_MTU),
        vlan=_number(netconf, "vlan", _LARGEST_VLAN),
        mac=_mac(request, netconf),
        dns=netconf.optional_section("dns").document,
    )
    if configuration.hairpin and configuration.promiscuous:
        refuse("promiscMode", "cannot be combined with hairpinMode")
    return configuration


def _bridge(netconf: Section) -> str:
    name = netconf.string("bridge", DEFAULT_BRIDGE)
    if not is_interface_name(name):
        refuse(netconf.path_of("bridge"), f"{shown(name)} is no interface name")
    return name


def _number(netconf: Section, key: str, highest: int) -> int:
    return netconf.integer(key, 0, highest) if netconf.has(key) else 0


def _mac(request: Request, netconf: Section) -> str:
    """Return the hardware address asked for: by capability, by convention or in CNI_ARGS."""
    conventional = netconf.optional_section("args").optional_section("cni")
    for section in (netconf.optional_section("runtimeConfig"), conventional):
        text = section.string("mac", "")
        if text:
            return parse_hardware_address(section.path_of("mac"), text)
    text = parse_cni_args(request.environ, _ARGUMENTS).get("MAC", "")
    return parse_hardware_address("CNI_ARGS: MAC", text, INVALID_ENVIRONMENT) if text else ""
