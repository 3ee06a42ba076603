"""Attaching a container to one network, and detaching it: ADD and DEL with their checkpoints.

The configuration is checkpointed before ADD and the result after it. An interface's directory says
that something may have to be detached, so it goes when DEL has succeeded: a cleanup that is tried
again leaves out what is done already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.result import Result
from mesos_cni_port_mapper.isolator import netconf, paths, plugins
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints, CorruptError
from mesos_cni_port_mapper.isolator.configurations import (
    NetworkConfiguration,
    parse_configuration,
)
from mesos_cni_port_mapper.isolator.dns import NO_DNS, Dns, parse_dns
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.network_info import IpAddress
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath
from mesos_cni_port_mapper.isolator.records import Attachment


@dataclass(frozen=True, slots=True)
class Attached:
    """What a network gave a container."""

    addresses: tuple[IpAddress, ...]
    dns: Dns = NO_DNS


@dataclass(frozen=True, slots=True)
class Attacher:
    """Runs plugins for containers, ``seconds`` each at the most."""

    checkpoints: Checkpoints
    plugin_path: PluginPath
    seconds: float

    async def attach(
        self,
        container_id: str,
        attachment: Attachment,
        configured: NetworkConfiguration,
        netns: Path,
    ) -> Attached:
        """Run ADD, of every plugin in turn."""
        network, ifname = attachment.network, attachment.ifname
        programs = self._programs(configured, container_id)
        data = netconf.encode(netconf.inject(configured, attachment.info))
        self.checkpoints.write_configuration(container_id, network, ifname, data)
        configuration = parse_configuration(data, checkpointed=True)
        previous: Result | None = None
        attached, answer = Attached(()), b""
        for index, program in enumerate(programs):
            invocation = self._invocation(
                program, "ADD", container_id, configuration, ifname, netns
            )
            try:
                stdin = netconf.encode(netconf.render_for_plugin(configuration, index, previous))
            except ValueError as error:
                raise IsolatorError(
                    f"{invocation.described()} cannot be given the result before its own",
                    str(error),
                ) from error
            answer = await plugins.run(invocation, stdin, self.seconds)
            try:
                previous = netconf.parse_result(answer, configuration.version)
                attached = read_attached(previous, ifname)
            except (CniError, ValueError) as error:
                raise IsolatorError(
                    f"{invocation.described()} returned no usable result", str(error)
                ) from error
        self.checkpoints.write_result(container_id, network, ifname, answer)
        return attached

    async def detach(
        self,
        container_id: str,
        network: str,
        ifname: str,
        configured: Callable[[str], NetworkConfiguration | None],
        netns: Path | None,
    ) -> None:
        """Run DEL by the checkpointed configuration, of every plugin in reverse.

        Only when that cannot be read, the operator's is taken in its place.
        """
        try:
            configuration = self.checkpoints.read_configuration(container_id, network)
        except CorruptError as error:
            configuration = configured(network)
            if configuration is None:
                raise IsolatorError(
                    f"cannot detach container {container_id} from network {network!r}", str(error)
                ) from error
        if configuration is not None:
            await self._delete(container_id, configuration, ifname, netns)
        self.checkpoints.remove_interface(container_id, network, ifname)

    async def _delete(
        self,
        container_id: str,
        configuration: NetworkConfiguration,
        ifname: str,
        netns: Path | None,
    ) -> None:
        programs = self._programs(configuration, container_id)
        try:
            answer = self.checkpoints.read_result(container_id, configuration.name, ifname)
        except CorruptError:
            answer = None
        previous = netconf.result_for_delete(configuration, answer)
        # The last one first, and no further than what fails: an address must not be free while
        # something still leads to it.
        for index in reversed(range(len(programs))):
            invocation = self._invocation(
                programs[index], "DEL", container_id, configuration, ifname, netns
            )
            stdin = netconf.encode(netconf.render_for_plugin(configuration, index, previous))
            await plugins.run(invocation, stdin, self.seconds)

    def _programs(self, configuration: NetworkConfiguration, container_id: str) -> list[str]:
        programs = []
        for plugin in configuration.plugins:
            program = self.plugin_path.find(plugin["type"])
            if not program:
                raise IsolatorError(
                    f"there is no plugin {plugin['type']!r} of network {configuration.name!r} "
                    f"for container {container_id}",
                    self.plugin_path.described(),
                )
            programs.append(program)
        return programs

    def _invocation(
        self,
        program: str,
        command: str,
        container_id: str,
        configuration: NetworkConfiguration,
        ifname: str,
        netns: Path | None,
    ) -> plugins.Invocation:
        return plugins.Invocation(
            program=program,
            command=command,
            container_id=container_id,
            network=configuration.name,
            ifname=ifname,
            cni_path=self.plugin_path.cni_path(configuration.types),
            netns=netns,
        )


def read_attached(result: Result, ifname: str) -> Attached:
    """Return what a result means for the container; ``CniError`` or ``ValueError`` otherwise."""
    dns = parse_dns(netconf.dns_of(result), "dns")
    return Attached(netconf.assigned_addresses(result, ifname), dns)


def load_attached(
    checkpoints: Checkpoints, container_id: str, attachment: Attachment
) -> Attached | None:
    """Return what a network gave a container by its checkpoints, nothing when ADD has not ended.

    Raises ``CorruptError``.
    """
    network, ifname = attachment.network, attachment.ifname
    answer = checkpoints.read_result(container_id, network, ifname)
    if answer is None:
        return None
    try:
        configuration = checkpoints.read_configuration(container_id, network)
        version = configuration.version if configuration else ""
    except CorruptError:
        version = ""  # Most results name their own.
    try:
        return read_attached(netconf.parse_result(answer, version), ifname)
    except (CniError, ValueError) as error:
        path = checkpoints.directory(container_id) / network / ifname / paths.RESULT
        raise CorruptError(path, str(error)) from error
