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
from mesos_cni_port_mapper.isolator.checkpoints import ContainerState, CorruptError
from mesos_cni_port_mapper.isolator.concurrency import Turns
from mesos_cni_port_mapper.isolator.configurations import NetworkConfiguration
from mesos_cni_port_mapper.isolator.dns import NO_DNS, Dns, parse_dns
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.network_info import IpAddress
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath
from mesos_cni_port_mapper.isolator.records import Attachment
from mesos_cni_port_mapper.isolator.workers import Workers


@dataclass(frozen=True, slots=True)
class Attached:
    """What a network gave a container."""

    addresses: tuple[IpAddress, ...]
    dns: Dns = NO_DNS


@dataclass(frozen=True, slots=True)
class Attacher:
    """Runs plugins for containers, ``seconds`` each at the most, a few at a time."""

    plugin_path: PluginPath
    seconds: float
    turns: Turns
    workers: Workers | None = None

    async def attach(
        self,
        state: ContainerState,
        attachment: Attachment,
        configured: NetworkConfiguration,
        netns: Path,
    ) -> Attached:
        """Run ADD, of every plugin in turn."""
        container_id = state.container_id
        network, ifname = attachment.network, attachment.ifname
        programs = self._programs(configured, container_id)
        configuration = netconf.inject(configured, attachment.info)
        state.write_configuration(network, ifname, netconf.encode(configuration.document))
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
            answer = await self._run(invocation, stdin)
            try:
                previous = netconf.parse_result(answer, configuration.version)
                attached = read_attached(previous, ifname)
            except (CniError, ValueError) as error:
                raise IsolatorError(
                    f"{invocation.described()} returned no usable result", str(error)
                ) from error
        state.write_result(network, ifname, answer)
        return attached

    async def detach(
        self,
        state: ContainerState,
        network: str,
        ifname: str,
        configured: Callable[[str], NetworkConfiguration | None],
        netns: Path | None,
    ) -> None:
        """Run DEL by the checkpointed configuration, of every plugin in reverse.

        Only when that cannot be read, the operator's is taken in its place.
        """
        try:
            configuration = state.read_configuration(network)
        except CorruptError as error:
            configuration = configured(network)
            if configuration is None:
                raise IsolatorError(
                    f"cannot detach container {state.container_id} from network {network!r}",
                    str(error),
                ) from error
        if configuration is not None:
            await self._delete(state, configuration, ifname, netns)
        state.remove_interface(network, ifname)

    async def _delete(
        self,
        state: ContainerState,
        configuration: NetworkConfiguration,
        ifname: str,
        netns: Path | None,
    ) -> None:
        programs = self._programs(configuration, state.container_id)
        try:
            answer = state.read_result(configuration.name, ifname)
        except CorruptError:
            answer = None
        previous = netconf.result_for_delete(configuration, answer)
        # The last one first, and no further than what fails: an address must not be free while
        # something still leads to it.
        for index in reversed(range(len(programs))):
            invocation = self._invocation(
                programs[index], "DEL", state.container_id, configuration, ifname, netns
            )
            stdin = netconf.encode(netconf.render_for_plugin(configuration, index, previous))
            await self._run(invocation, stdin)

    async def _run(self, invocation: plugins.Invocation, stdin: bytes) -> bytes:
        async with self.turns.take():
            return await plugins.run(invocation, stdin, self.seconds, self.workers)

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


def load_attached(state: ContainerState, attachment: Attachment) -> Attached | None:
    """Return what a network gave a container by its checkpoints, nothing when ADD has not ended.

    Raises ``CorruptError``.
    """
    network, ifname = attachment.network, attachment.ifname
    answer = state.read_result(network, ifname)
    if answer is None:
        return None
    try:
        configuration = state.read_configuration(network)
        version = configuration.version if configuration else ""
    except CorruptError:
        version = ""  # Most results name their own.
    try:
        return read_attached(netconf.parse_result(answer, version), ifname)
    except (CniError, ValueError) as error:
        path = "/".join((state.path, network, ifname, paths.RESULT))
        raise CorruptError(path, str(error)) from error
