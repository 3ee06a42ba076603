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
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints, CorruptError
from mesos_cni_port_mapper.isolator.concurrency import all_of
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
from mesos_cni_port_mapper.isolator.records import ContainerRequest, Preparation, Record
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

__all__ = ["ContainerRequest", "Isolator", "IsolatorError", "Preparation", "Settings"]

_LOOK_AGAIN = 0.02


class Isolator:
    """Attaches containers to networks. Its coroutines run in asyncio's thread, many at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._checkpoints = Checkpoints(settings.root)
        self._attacher = Attacher(self._checkpoints, settings.plugin_path, settings.plugin_timeout)
        self._plans: dict[str, Plan] = {}

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Check the settings and have the state root."""
        check_settings(settings)
        return cls(replace(settings, root=ensure_root(settings)))

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
        plan = plan_container(request, self._owner(ancestors(container_id)), catalogue)
        self._plans[container_id] = plan
        return preparation_for(plan)

    async def isolate(self, container_id: str, pid: int) -> None:
        """Attach a container whose first process is held in its new namespaces.

        When it fails, what is attached stays so until ``cleanup``.
        """
        plan = self._plans.get(container_id)
        try:
            match plan:
                case OwnNetworks():
                    await self._isolate_own(plan, pid)
                case Joining(debug=False):
                    inside.check_own_namespace(pid, "mnt")
                    binds = binds_of(self._checkpoints, plan.owner)
                    await inside.set_up(pid, inside.Setup(binds, plan.rootfs, self._root))
                case OnHost() if plan.rootfs is not None:
                    inside.check_own_namespace(pid, "mnt")
                    setup = inside.Setup(binds_of_host(), plan.rootfs, self._root)
                    await inside.set_up(pid, setup)
        except OSError as error:
            raise os_failure(f"isolate container {container_id}", error) from error

    def status(self, container_id: str) -> tuple[NetworkInfo, ...]:
        """Return the networks a container is attached to, with its addresses there."""
        check_container_id(container_id)
        owner = self._owner((container_id, *ancestors(container_id)))
        record = self._record(owner) if owner is not None else None
        if record is None:
            return ()
        infos = []
        for attachment in record.attachments:
            try:
                attached = load_attached(self._checkpoints, record.container_id, attachment)
            except CorruptError:
                attached = Attached(())  # It is attached; by which address nobody knows any more.
            if attached is not None:
                infos.append(replace(attachment.info, ip_addresses=attached.addresses))
        return tuple(infos)

    def usage(self, container_id: str) -> dict[str, int]:
        """Return the statistics of a container's interfaces, empty on the host's network."""
        check_container_id(container_id)
        owner = self._owner((container_id, *ancestors(container_id)))
        record = self._record(owner) if owner is not None else None
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
        try:
            if self._checkpoints.exists(container_id):
                await self._clean(container_id)
        except OSError as error:
            raise os_failure(f"clean up container {container_id}", error) from error
        self._plans.pop(container_id, None)

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
        problems += [
            Problem(
                str(self._checkpoints.directory(lost)), "it is missing, and its container lives"
            )
            for lost in find_lost(entries, live)
        ]
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
                self._checkpoints.write_record(record)
            except OSError as error:
                path = self._checkpoints.directory(record.container_id)
                problems.append(Problem(str(path), os_reason(error)))
        return problems

    async def _isolate_own(self, plan: OwnNetworks, pid: int) -> None:
        record = plan.record
        for kind in ("net", "uts", "mnt"):
            inside.check_own_namespace(pid, kind)
        with mounts.exclusive(self._root):
            mounts.ensure_shared(self._root)
            self._checkpoints.create(record.container_id)
        async with self._locked(record.container_id) as is_there:
            if not is_there:
                raise IsolatorError(f"container {record.container_id} was cleaned up meanwhile")
            self._checkpoints.write_record(record)
            namespace = self._checkpoints.directory(record.container_id) / paths.NAMESPACE
            mounts.bind_namespace(f"/proc/{pid}/ns/net", namespace)
            pairs = zip(record.attachments, plan.configurations, strict=True)
            attached = await all_of(
                self._attacher.attach(record.container_id, attachment, configuration, namespace)
                for attachment, configuration in pairs
            )
            defaults = self._settings.default_container_dns
            write_files(self._checkpoints, record, attached, defaults)
            binds = binds_of(self._checkpoints, record.container_id)
            setup = inside.Setup(binds, record.rootfs, self._root, record.hostname)
            await inside.set_up(pid, setup)

    async def _clean(self, container_id: str) -> None:
        async with self._locked(container_id) as is_there:
            if not is_there:
                return
            namespace = self._checkpoints.directory(container_id) / paths.NAMESPACE
            # A path that is no handle any more, as after a reboot, would mislead a plugin.
            netns = namespace if mounts.is_namespace(namespace) else None
            await all_of(
                self._attacher.detach(container_id, network.name, ifname, self._configured, netns)
                for network in self._checkpoints.networks(container_id)
                for ifname in network.ifnames
            )
            mounts.forget_namespace(namespace)
            with mounts.exclusive(self._root):
                self._checkpoints.remove(container_id)
                mounts.release(self._root)

    @asynccontextmanager
    async def _locked(self, container_id: str) -> AsyncIterator[bool]:
        """Keep other processes from attaching or detaching a container meanwhile.

        Tells whether the container's directory is there, or somebody else has removed it.
        """
        lock = None
        try:
            while (lock := self._checkpoints.lock(container_id)) is None:
                await asyncio.sleep(_LOOK_AGAIN)
        except FileNotFoundError:
            pass
        try:
            yield lock is not None
        finally:
            if lock is not None:
                os.close(lock)

    @property
    def _root(self) -> Path:
        return self._checkpoints.root

    def _owner(self, candidates: Iterable[str]) -> str | None:
        """Return the first of these containers that has networks of its own."""
        return next((each for each in candidates if self._record(each) is not None), None)

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
