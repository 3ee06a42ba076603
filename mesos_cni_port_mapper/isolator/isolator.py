"""The isolator: prepare, isolate, status, usage, cleanup, recover.

Between prepare and isolate a container is known to this object alone; from then on all that is
known is in the state root, and any other process can ask for the status, clean up or recover.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from mesos_cni_port_mapper.cni.errors import os_reason
from mesos_cni_port_mapper.isolator import counters, inside, mounts, paths
from mesos_cni_port_mapper.isolator.attachments import Attached, Attacher, load_attached
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints, ContainerState, CorruptError
from mesos_cni_port_mapper.isolator.concurrency import Turns, all_of
from mesos_cni_port_mapper.isolator.configurations import (
    Catalogue,
    NetworkConfiguration,
    Problem,
    read_directory,
)
from mesos_cni_port_mapper.isolator.container_files import binds_of, binds_of_host, write_files
from mesos_cni_port_mapper.isolator.errors import IsolatorError, os_failure
from mesos_cni_port_mapper.isolator.names import ancestors, check_container_id
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.planning import (
    Joining,
    OnHost,
    OwnNetworks,
    Plan,
    check_request,
    plan_container,
    preparation_for,
)
from mesos_cni_port_mapper.isolator.records import (
    Attachment,
    ContainerRequest,
    Preparation,
    Record,
)
from mesos_cni_port_mapper.isolator.recovery import (
    Detach,
    Keep,
    Leave,
    RecoveryReport,
    StepOver,
    find_lost,
    plan_recovery,
)
from mesos_cni_port_mapper.isolator.settings import Settings, check_settings, ensure_root
from mesos_cni_port_mapper.isolator.survey import find_record, survey
from mesos_cni_port_mapper.isolator.workers import Workers

__all__ = ["ContainerRequest", "Isolator", "IsolatorError", "Preparation", "Settings"]

_LOOK_AGAIN = 0.02

# Plugins wait for each other's locks and are refused each other's transactions, so that many at a
# time get less done. Those that wait for something else, a lease say, have their turn ended soon.
_AT_A_TIME = 3  # for each processor
_TURN = 1.0


class Isolator:
    """Attaches containers to networks. Its coroutines run in asyncio's thread, many at a time."""

    def __init__(self, settings: Settings, workers: Workers | None = None) -> None:
        self._settings = settings
        self._checkpoints = Checkpoints(settings.root)
        turns = Turns(_AT_A_TIME * len(os.sched_getaffinity(0)), _TURN)
        self._attacher = Attacher(settings.plugin_path, settings.plugin_timeout, turns, workers)
        self._plans: dict[str, Plan] = {}

    @classmethod
    def create(cls, settings: Settings, workers: Workers | None = None) -> Self:
        """Check the settings and have the state root; ``workers`` serve the built-in plugins."""
        check_settings(settings)
        return cls(replace(settings, root=ensure_root(settings.root)), workers)

    def networks(self) -> Catalogue:
        """Read the configurations as they are now."""
        if self._settings.config_dir is None:
            return Catalogue()
        try:
            return read_directory(self._settings.config_dir, self._settings.plugin_path)
        except OSError as error:
            raise os_failure("read network_cni_config_dir", error) from error

    def prepare(self, request: ContainerRequest) -> Preparation:
        """Decide how a container will come to its network, before it is launched."""
        check_request(request)
        container_id = request.container_id
        if container_id in self._plans or self._checkpoints.exists(container_id):
            raise IsolatorError(f"container {container_id} has been prepared already")
        catalogue = self.networks() if request.named else Catalogue()
        owner = self._owner(ancestors(container_id))
        plan = plan_container(request, owner.container_id if owner else None, catalogue)
        self._plans[container_id] = plan
        return preparation_for(plan)

    async def isolate(self, container_id: str, pid: int) -> tuple[NetworkInfo, ...]:
        """Attach a container whose first process is held in its new namespaces.

        Returns what ``status`` does. When it fails, what is attached stays so until ``cleanup``.
        """
        plan = self._plans.get(container_id)
        try:
            match plan:
                case OwnNetworks():
                    return await self._isolate_own(plan, pid)
                case Joining(debug=False):
                    inside.check_own_namespace(pid, "mnt")
                    with self._checkpoints.open(plan.owner) as state:
                        binds = binds_of(state)
                    await inside.set_up(pid, inside.Setup(binds, plan.rootfs, self._root))
                case OnHost() if plan.rootfs is not None:
                    inside.check_own_namespace(pid, "mnt")
                    setup = inside.Setup(binds_of_host(), plan.rootfs, self._root)
                    await inside.set_up(pid, setup)
        except OSError as error:
            raise os_failure(f"isolate container {container_id}", error) from error
        return self.status(container_id)

    def status(self, container_id: str) -> tuple[NetworkInfo, ...]:
        """Return the networks a container is attached to, with its addresses there."""
        check_container_id(container_id)
        record = self._owner((container_id, *ancestors(container_id)))
        if record is None:
            return ()
        try:
            with self._checkpoints.open(record.container_id) as state:
                return _status(state, record)
        except OSError:
            return ()  # Detached since, or not attached yet.

    def usage(self, container_id: str) -> dict[str, int]:
        """Return the statistics of a container's interfaces, empty on the host's network."""
        check_container_id(container_id)
        record = self._owner((container_id, *ancestors(container_id)))
        if record is None or not self._settings.metrics:
            return {}
        namespace = self._checkpoints.directory(record.container_id) / paths.NAMESPACE
        if not mounts.is_namespace(namespace):
            return {}
        try:
            table = inside.read_interfaces(namespace)
        except OSError as error:
            raise os_failure(f"read the counters of container {container_id}", error) from error
        return counters.sum_counters(table, {each.ifname for each in record.attachments})

    async def cleanup(self, container_id: str) -> None:
        """Detach a container from all its networks and forget it; to be tried again if it fails."""
        check_container_id(container_id)
        # What is to be detached is in the checkpoints: one that fails is tried again by those too.
        self._plans.pop(container_id, None)
        try:
            if self._checkpoints.exists(container_id):
                await self._clean(container_id)
        except OSError as error:
            raise os_failure(f"clean up container {container_id}", error) from error

    async def recover(
        self, live: Mapping[str, ContainerRequest], orphans: Set[str]
    ) -> RecoveryReport:
        """Find out what an earlier life left: keep what lives, detach what nobody knows.

        ``orphans`` will be cleaned up by the caller; what cannot be read is reported.
        """
        if not self._settings.has_networks:
            return RecoveryReport()
        try:
            entries = survey(self._checkpoints)
        except OSError as error:
            raise os_failure("read the state root", error) from error
        actions = plan_recovery(entries, live, orphans)
        problems = [fault for entry in entries for fault in entry.faults]
        problems += [each.problem for each in actions if isinstance(each, StepOver)]
        problems += self._rewrite(each.rewrite for each in actions if isinstance(each, Keep))
        unknown = [each.container_id for each in actions if isinstance(each, Detach)]
        outcomes = await asyncio.gather(
            *(self.cleanup(container_id) for container_id in unknown), return_exceptions=True
        )
        failed = dict(zip(unknown, outcomes, strict=True))
        return RecoveryReport(
            kept=tuple(each.container_id for each in actions if isinstance(each, Keep)),
            left=tuple(each.container_id for each in actions if isinstance(each, Leave)),
            cleaned=tuple(each for each, failure in failed.items() if failure is None),
            failures=tuple(
                Problem(each, str(failure)) for each, failure in failed.items() if failure
            ),
            lost=tuple(find_lost(entries, live)),
            problems=tuple(problems),
        )

    def close(self) -> None:
        """Take away the state root's own mount, unless a container is still in it."""
        with mounts.exclusive(self._root):
            mounts.release(self._root)

    def _rewrite(self, records: Iterable[Record | None]) -> list[Problem]:
        problems = []
        for record in filter(None, records):
            try:
                with self._checkpoints.open(record.container_id) as state:
                    state.write_record(record)
            except FileNotFoundError:
                continue  # Detached meanwhile.
            except OSError as error:
                path = self._checkpoints.directory(record.container_id)
                problems.append(Problem(str(path), os_reason(error)))
        return problems

    async def _isolate_own(self, plan: OwnNetworks, pid: int) -> tuple[NetworkInfo, ...]:
        record = plan.record
        for kind in ("net", "uts", "mnt"):
            inside.check_own_namespace(pid, kind)
        # Whoever tidies up may have taken it away while no container was in it.
        ensure_root(self._root)
        with mounts.exclusive(self._root):
            mounts.ensure_shared(self._root)
            self._checkpoints.create(record.container_id)
        async with self._locked(record.container_id) as state:
            if state is None:
                raise IsolatorError(f"container {record.container_id} was cleaned up meanwhile")
            state.write_record(record)
            namespace = self._checkpoints.directory(record.container_id) / paths.NAMESPACE
            mounts.bind_namespace(f"/proc/{pid}/ns/net", namespace)
            attached = await all_of(
                self._attacher.attach(state, attachment, configuration, namespace)
                for attachment, configuration in plan.attachments()
            )
            write_files(state, record, attached, self._settings.default_container_dns)
            setup = inside.Setup(binds_of(state), record.rootfs, self._root, record.hostname)
            await inside.set_up(pid, setup)
        return tuple(map(_info, record.attachments, attached))

    async def _clean(self, container_id: str) -> None:
        async with self._locked(container_id) as state:
            if state is None:
                return
            namespace = self._checkpoints.directory(container_id) / paths.NAMESPACE
            # A path that is no handle any more, as after a reboot, would mislead a plugin.
            netns = namespace if mounts.is_namespace(namespace) else None
            await all_of(
                self._attacher.detach(state, network.name, ifname, self._configured, netns)
                for network in state.networks()
                for ifname in network.ifnames
            )
            mounts.forget_namespace(namespace)
            with mounts.exclusive(self._root):
                self._checkpoints.remove(container_id)
                mounts.release(self._root)

    @asynccontextmanager
    async def _locked(self, container_id: str) -> AsyncIterator[ContainerState | None]:
        """Keep other processes from attaching or detaching a container meanwhile.

        Gives the container's directory, or nothing when somebody else has removed it.
        """
        state = None
        try:
            while (state := self._checkpoints.lock(container_id)) is None:
                await asyncio.sleep(_LOOK_AGAIN)
        except FileNotFoundError:
            pass
        try:
            yield state
        finally:
            if state is not None:
                state.close()

    @property
    def _root(self) -> Path:
        return self._checkpoints.root

    def _owner(self, candidates: Iterable[str]) -> Record | None:
        """Return the first of these containers that has networks of its own."""
        return next(filter(None, map(self._record, candidates)), None)

    def _record(self, container_id: str) -> Record | None:
        plan = self._plans.get(container_id)
        if isinstance(plan, OwnNetworks):
            return plan.record
        return find_record(self._checkpoints, container_id)

    def _configured(self, network: str) -> NetworkConfiguration | None:
        try:
            found = self.networks().find(network)
        except IsolatorError:
            return None
        return found.configuration if found else None


def _status(state: ContainerState, record: Record) -> tuple[NetworkInfo, ...]:
    infos = []
    for attachment in record.attachments:
        try:
            attached = load_attached(state, attachment)
        except CorruptError:
            attached = Attached(())  # It is attached; by which address nobody knows any more.
        if attached is not None:
            infos.append(_info(attachment, attached))
    return tuple(infos)


def _info(attachment: Attachment, attached: Attached) -> NetworkInfo:
    return replace(attachment.info, ip_addresses=attached.addresses)
