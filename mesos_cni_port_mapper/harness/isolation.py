"""The isolator as the harness uses it: opened by each process that needs one, for what it needs.

A monitor's prepares and isolates one container. From then on all that is known of it is in the
isolator's state root, so that whoever acts for a monitor that is gone opens another.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError, one_line
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.isolator.configurations import Catalogue
from mesos_cni_port_mapper.isolator.network_info import (
    NetworkInfo,
    encode_for_state,
    parse_network_info,
)
from mesos_cni_port_mapper.isolator.paths import state_root
from mesos_cni_port_mapper.isolator.records import ContainerRequest, Preparation
from mesos_cni_port_mapper.isolator.recovery import RecoveryReport

DEFAULT_RUNTIME_DIR = "/var/run/mesos"
DEFAULT_PLUGIN_TIMEOUT = 120.0


class Isolator(Protocol):
    """What a monitor asks of ``isolator.isolator.Isolator``."""

    def prepare(self, request: ContainerRequest) -> Preparation:
        """Decide what namespaces the container gets."""
        ...

    async def isolate(self, container_id: str, pid: int) -> tuple[NetworkInfo, ...]:
        """Attach the namespaces of a process; return the networks with the addresses there."""
        ...

    def networks(self) -> Catalogue:
        """Read the operator's configurations."""
        ...

    def usage(self, container_id: str) -> dict[str, int]:
        """Return the statistics of a container's interfaces."""
        ...

    def status(self, container_id: str) -> tuple[NetworkInfo, ...]:
        """Return the container's networks with their addresses."""
        ...

    async def cleanup(self, container_id: str) -> None:
        """Detach a container; nothing to detach is fine."""
        ...

    async def recover(
        self, live: Mapping[str, ContainerRequest], orphans: Set[str]
    ) -> RecoveryReport:
        """Take up what earlier processes left; what is in neither is detached."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The isolator's flags, as they are kept beside a container that was launched with them."""

    runtime_dir: str = DEFAULT_RUNTIME_DIR
    work_dir: str | None = None
    root_dir_persist: bool = False
    config_dir: str | None = None
    plugins_dir: str | None = None
    builtin_plugins_dir: str | None = None
    default_container_dns: Mapping[str, Any] | None = None
    plugin_timeout: float = DEFAULT_PLUGIN_TIMEOUT
    metrics: bool = True

    @property
    def root(self) -> Path:
        """Return the isolator's state root."""
        if not self.root_dir_persist:
            return state_root(Path(self.runtime_dir))
        if not self.work_dir:
            raise UsageError("--network_cni_root_dir_persist: needs --work_dir")
        return state_root(Path(self.work_dir))


_TEXT: tuple[type, ...] = (str, type(None))
_KINDS: Mapping[str, tuple[type, ...]] = {
    "runtime_dir": (str,),
    "work_dir": _TEXT,
    "root_dir_persist": (bool,),
    "config_dir": _TEXT,
    "plugins_dir": _TEXT,
    "builtin_plugins_dir": _TEXT,
    "default_container_dns": (dict, type(None)),
    "plugin_timeout": (int, float),
    "metrics": (bool,),
}
"""What the fields of ``Options`` can be in JSON."""


def encode_options(options: Options) -> dict[str, Any]:
    """Return the options as a JSON object."""
    # Not by ``asdict``, which copies every value: this is done for each container.
    return {each.name: getattr(options, each.name) for each in fields(Options)}


def decode_options(document: Mapping[str, Any], otherwise: Options) -> Options:
    """Return the options a container was launched with, from a document that may lack some."""
    names = [each.name for each in fields(Options)]
    given = {name: document[name] for name in names if name in document}
    for key, value in given.items():
        if not isinstance(value, _KINDS[key]):
            raise HarnessError(f"{state.SPEC}: settings.{key}: cannot be {shown(value)}")
    return Options(**{**encode_options(otherwise), **given})


def request_of(spec: Spec, path: str = "networks") -> ContainerRequest:
    """Return what the isolator is asked for; raises ``UsageError`` naming the field."""
    try:
        networks = tuple(
            parse_network_info(document, f"{path}[{index}]")
            for index, document in enumerate(spec.networks)
        )
    except CniError as error:
        raise UsageError(error.msg) from error
    return ContainerRequest(
        container_id=spec.container_id,
        networks=networks,
        hostname=spec.hostname,
        rootfs=Path(spec.rootfs) if spec.rootfs else None,
    )


def open_isolator(options: Options, parent_of_workers: socket.socket | None = None) -> Isolator:
    """Return an isolator that knows of no container yet.

    Built-in plugins are served by workers of the process at the other end of ``parent_of_workers``.
    """
    from mesos_cni_port_mapper.isolator.dns import parse_default_container_dns
    from mesos_cni_port_mapper.isolator.isolator import Isolator as NetworkCni
    from mesos_cni_port_mapper.isolator.isolator import IsolatorError, Settings
    from mesos_cni_port_mapper.isolator.workers import Workers

    builtin = _path(options.builtin_plugins_dir)
    workers = Workers(builtin, parent_of_workers) if builtin and parent_of_workers else None
    try:
        dns = parse_default_container_dns(options.default_container_dns or {})
        return NetworkCni.create(
            Settings(
                config_dir=_path(options.config_dir),
                plugins_dir=options.plugins_dir or "",
                root=options.root,
                default_container_dns=dns,
                plugin_timeout=options.plugin_timeout,
                builtin_plugins_dir=builtin,
                metrics=options.metrics,
            ),
            workers,
        )
    except (IsolatorError, CniError, OSError) as error:
        raise HarnessError(one_line(error)) from error


def configuration_problems(isolator: Isolator) -> list[str]:
    """Return which of the operator's files are no configurations, and why, a line for each.

    Of plugins that are missing hears who asks for their network.
    """
    from mesos_cni_port_mapper.isolator.errors import IsolatorError

    try:
        catalogue = isolator.networks()
    except IsolatorError as error:
        return [one_line(error)]
    used = {str(network.file) for network in catalogue.networks}
    return [str(problem) for problem in catalogue.problems if problem.path not in used]


def encode_status(infos: Iterable[NetworkInfo]) -> list[dict[str, Any]]:
    """Return networks as the ``state`` of an agent has them."""
    return [encode_for_state(info) for info in infos]


def first_address(infos: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the first address in a list of networks in the form of ``state``."""
    for info in infos:
        for address in info.get("ip_addresses", ()):
            if address.get("ip_address"):
                return str(address["ip_address"])
    return None


def host_status() -> list[dict[str, Any]]:
    """Return what an agent reports of a container on the host's network: the host's address."""
    address = _host_address()
    return [{"ip_addresses": [{"ip_address": address, "protocol": "IPv4"}]}] if address else []


def _host_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel only chooses the address it would send from.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        name: str = probe.getsockname()[0]
        return name


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
