"""The port mapper's own keys in a network configuration.

DEL gets by with what says where the rules and the delegate are. What only ADD and CHECK need is
parsed apart (``parse_forwarding``), so that a mapping that went wrong cannot keep a rule in place.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.errors import INCOMPATIBLE_VERSION, UNSUPPORTED_VALUE
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_device_pattern, is_plugin_type
from mesos_cni_port_mapper.portmap.chains import find_fault
from mesos_cni_port_mapper.portmap.traffic import (
    BACK_ENDS,
    FAIL,
    TAKEOVER,
    Traffic,
    parse_policy,
    parse_traffic,
)
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mesos_cni_port_mapper.portmap.mapping import PortMapping

DEFAULT_STATE_DIRECTORY = "/run/mesos-cni-port-mapper"


class Timeouts(Value):
    """How long to wait, in seconds: for a command of the delegate, a lock, a run of a tool."""

    delegate: float = 120.0
    lock: float = 15.0
    tools: float = 30.0


class Configuration(Value):
    """What every command needs to know.

    Without ``delegates`` the container is attached already, by whatever made ``prevResult``. A
    ``backend`` of "" is whichever the host has.
    """

    name: str
    chain: str
    delegates: tuple[dict[str, Any], ...]
    state_directory: str
    timeouts: Timeouts
    backend: str = ""


class Forwarding(Value):
    """What is to be forwarded and how, and the devices from which it is not.

    ``policy`` is what happens to a port that somebody has already, ``notices`` are worth telling.
    """

    mappings: tuple[PortMapping, ...]
    excluded_devices: tuple[str, ...]
    traffic: Traffic
    policy: str
    notices: tuple[str, ...] = ()


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
        delegates=_parse_delegates(section, own_type),
        state_directory=state_directory.rstrip("/"),
        timeouts=Timeouts(
            delegate=timeouts.seconds("delegate", 120.0),
            lock=timeouts.seconds("lock", 15.0),
            tools=timeouts.seconds("tools", 30.0),
        ),
        backend=_parse_backend(section),
    )


def parse_forwarding(netconf: dict[str, Any], backend: str) -> Forwarding:
    """Return what ADD and CHECK need besides; ``backend`` is the one that is to do it."""
    from mesos_cni_port_mapper.portmap.inputs import find_oddities, parse_mappings

    section = Section(netconf)
    devices = section.strings("excludeDevices")
    for index, device in enumerate(devices):
        if not is_device_pattern(device):
            refuse(f"excludeDevices[{index}]", f"{shown(device)} is no device name")
    wanted = parse_mappings(netconf)
    return Forwarding(
        mappings=wanted.mappings,
        # Naming a device twice must not give it two guards.
        excluded_devices=tuple(dict.fromkeys(devices)),
        traffic=parse_traffic(section, backend),
        # Mesos offers a port again before the container that had it is gone.
        policy=parse_policy(section, TAKEOVER if wanted.by_mesos else FAIL),
        notices=find_oddities(netconf),
    )


def _parse_backend(section: Section) -> str:
    backend = section.string("backend", "")
    if backend not in ("", *BACK_ENDS):
        refuse("backend", f"{shown(backend)} is none of {', '.join(BACK_ENDS)}", UNSUPPORTED_VALUE)
    return backend


def _parse_chain(section: Section) -> str:
    chain = section.string("chain")
    fault = find_fault(chain)
    if fault:
        refuse("chain", f"{shown(chain)} {fault}")
    return chain


def _parse_delegates(section: Section, own_type: str) -> tuple[dict[str, Any], ...]:
    """Return the configurations of the plugins that attach, in order; none when we are chained."""
    if not section.has("delegates"):
        if not section.has("delegate"):
            return ()
        return (_parse_delegate(section.section("delegate"), own_type),)
    if section.has("delegate"):
        refuse("delegates", "cannot be given together with delegate")
    items = section.array("delegates")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            refuse(f"delegates[{index}]", f"must be an object, not {shown(item)}")
    if not items:
        refuse("delegates", "is empty; name the plugins that attach the container")
    return tuple(
        [
            _parse_delegate(Section(item, f"delegates[{index}]"), own_type)
            for index, item in enumerate(items)
        ]
    )


def _parse_delegate(delegate: Section, own_type: str) -> dict[str, Any]:
    path = delegate.path_of("type")
    delegate_type = delegate.string("type")
    if not is_plugin_type(delegate_type):
        refuse(path, f"{shown(delegate_type)} is no plugin's name")
    if delegate_type == own_type:
        refuse(path, f"{shown(delegate_type)} would delegate to itself")
    version = delegate.string("cniVersion", "") or versions.ASSUMED
    if version not in versions.SUPPORTED:
        refuse(
            delegate.path_of("cniVersion"),
            f"{shown(version)} is not supported",
            INCOMPATIBLE_VERSION,
        )
    return delegate.document
