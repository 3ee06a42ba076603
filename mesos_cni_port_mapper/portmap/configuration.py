"""The port mapper's own keys in a network configuration.

DEL gets by with what says where the rules and the delegate are. What only ADD and CHECK need is
parsed apart (``parse_forwarding``), so that a mapping that went wrong cannot keep a rule in place.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.errors import INCOMPATIBLE_VERSION
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_device_pattern, is_plugin_type
from mesos_cni_port_mapper.portmap.mapping import PortMapping, parse_mesos_mappings
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_STATE_DIRECTORY = "/run/mesos-cni-port-mapper"

_LONGEST_CHAIN = 28
"""Characters, in both variants of iptables (XT_EXTENSION_MAXNAMELEN less the final zero)."""

_CHAIN_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_BUILT_IN_CHAINS = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_TARGETS = """
ACCEPT DROP QUEUE RETURN AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DSCP
ECN ERROR HL HMARK IDLETIMER LED LOG MARK MASQUERADE MIRROR NETMAP NFLOG NFQUEUE NOTRACK RATEEST
REDIRECT REJECT SECMARK SET SNAT SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG
""".split()  # noqa: SIM905 - they read better as words
"""What ``-j`` takes for a target and not for a chain."""


class Timeouts(Value):
    """How long to wait, in seconds: for a command of the delegate, a lock, a run of a tool."""

    delegate: float = 120.0
    lock: float = 15.0
    tools: float = 30.0


class Configuration(Value):
    """What every command needs to know."""

    name: str
    chain: str
    delegate: dict[str, Any]
    state_directory: str
    timeouts: Timeouts


class Forwarding(Value):
    """What is to be forwarded, and the devices from which it is not."""

    mappings: tuple[PortMapping, ...]
    excluded_devices: tuple[str, ...]


def parse_configuration(netconf: dict[str, Any]) -> Configuration:
    """Return what every command needs, or raise ``CniError`` with the path of the field."""
    section = Section(netconf)
    own_type = section.string("type")
    state_directory = section.string("stateDir", DEFAULT_STATE_DIRECTORY)
    if not state_directory.startswith("/") or not state_directory.isprintable():
        refuse("stateDir", f"must be an absolute path, not {shown(state_directory)}")
    timeouts = section.optional_section("timeouts")
    return Configuration(
        name=section.string("name"),
        chain=_parse_chain(section),
        delegate=_parse_delegate(section, own_type),
        state_directory=state_directory.rstrip("/"),
        timeouts=Timeouts(
            delegate=timeouts.seconds("delegate", 120.0),
            lock=timeouts.seconds("lock", 15.0),
            tools=timeouts.seconds("tools", 30.0),
        ),
    )


def parse_forwarding(netconf: dict[str, Any]) -> Forwarding:
    """Return what ADD and CHECK need besides."""
    section = Section(netconf)
    devices = section.strings("excludeDevices")
    for index, device in enumerate(devices):
        if not is_device_pattern(device):
            refuse(f"excludeDevices[{index}]", f"{shown(device)} is no device name")
    return Forwarding(
        mappings=parse_mesos_mappings(netconf),
        # Naming a device twice must not give it two guards.
        excluded_devices=tuple(dict.fromkeys(devices)),
    )


def _parse_chain(section: Section) -> str:
    chain = section.string("chain")
    if not chain or not _CHAIN_CHARACTERS.issuperset(chain) or chain[0] in "-.":
        refuse(
            "chain",
            f"{shown(chain)} must hold letters, digits, '_', '.' and '-' only and begin with a "
            "letter, a digit or '_'",
        )
    if len(chain) > _LONGEST_CHAIN:
        refuse("chain", f"{shown(chain)} is longer than {_LONGEST_CHAIN} characters")
    if chain in _BUILT_IN_CHAINS:
        refuse("chain", f"{shown(chain)} is a built-in chain; name one for this network")
    if chain in _TARGETS:
        refuse("chain", f"{shown(chain)} is the name of a target; name a chain for this network")
    return chain


def _parse_delegate(section: Section, own_type: str) -> dict[str, Any]:
    delegate = section.section("delegate")
    delegate_type = delegate.string("type")
    if not is_plugin_type(delegate_type):
        refuse("delegate.type", f"{shown(delegate_type)} is no plugin's name")
    if delegate_type == own_type:
        refuse("delegate.type", f"{shown(delegate_type)} would delegate to itself")
    version = delegate.string("cniVersion", "") or versions.ASSUMED
    if version not in versions.SUPPORTED:
        refuse("delegate.cniVersion", f"{shown(version)} is not supported", INCOMPATIBLE_VERSION)
    return delegate.document
