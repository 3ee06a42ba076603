"""Decide how a container comes to its network. Nothing here touches the system.

A nested container joins the network of the nearest container around it that has one, unless it
names networks of its own; a debugging one always joins. Entries without a name are for others than
us: a nested container with none but those joins too, instead of falling back to the host's network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.isolator.configurations import Catalogue, NetworkConfiguration
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.names import (
    check_container_id,
    check_hostname,
    check_network_name,
)
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.records import (
    Attachment,
    ContainerRequest,
    Preparation,
    Record,
    record_of,
)

_ENVIRONMENT = {"LIBPROCESS_IP": "0.0.0.0"}  # noqa: S104 - an executor's address is not yet known


@dataclass(frozen=True, slots=True)
class OnHost:
    """The container uses the host's network; with files of its own it is lent the host's /etc."""

    rootfs: Path | None


@dataclass(frozen=True, slots=True)
class Joining:
    """The container enters the namespaces of ``owner``, one that it is nested in."""

    owner: str
    rootfs: Path | None
    debug: bool


@dataclass(frozen=True, slots=True)
class OwnNetworks:
    """The container gets namespaces of its own, attached to networks in the record's order."""

    record: Record
    configurations: tuple[NetworkConfiguration, ...]

    def attachments(self) -> Iterator[tuple[Attachment, NetworkConfiguration]]:
        """Return what to attach the container to, each with the operator's configuration of it."""
        return zip(self.record.attachments, self.configurations, strict=True)


Plan = OnHost | Joining | OwnNetworks


def check_request(request: ContainerRequest) -> None:
    """Raise ``IsolatorError`` for a request that no configuration could make good."""
    check_container_id(request.container_id)
    if request.hostname is not None:
        check_hostname(request.hostname)
    if request.rootfs is not None and not request.rootfs.is_absolute():
        raise IsolatorError(f"the root file system {str(request.rootfs)!r} is no absolute path")
    for info in request.named:
        check_network_name(info.name or "")


def plan_container(request: ContainerRequest, owner: str | None, catalogue: Catalogue) -> Plan:
    """Decide for a checked request.

    ``owner`` is the nearest container around this one that has networks of its own.
    """
    if request.is_nested and (request.debug or not request.named):
        if owner is None:
            return OnHost(request.rootfs)
        return Joining(owner, request.rootfs, request.debug)
    if not request.named:
        return OnHost(request.rootfs)
    found = []
    for info in request.named:
        found.append(_configuration(info, request.container_id, catalogue))
        if [each.name for each in found].count(info.name or "") > 1:
            raise IsolatorError(
                f"container {request.container_id} asks for network {info.name!r} twice",
                _known(catalogue),
            )
    return OwnNetworks(record_of(request), tuple(found))


def preparation_for(plan: Plan) -> Preparation:
    """Return what the launcher must do by this plan."""
    match plan:
        case OnHost(rootfs=None):
            return Preparation()
        case OnHost():
            return Preparation(namespaces=frozenset({"mnt"}))
        case Joining(owner=owner, debug=debug):
            made = frozenset[str]() if debug else frozenset({"mnt"})
            return Preparation(made, owner, dict(_ENVIRONMENT))
        case OwnNetworks():
            return Preparation(frozenset({"net", "mnt", "uts"}), None, dict(_ENVIRONMENT))


def _configuration(
    info: NetworkInfo, container_id: str, catalogue: Catalogue
) -> NetworkConfiguration:
    network = catalogue.find(info.name or "")
    if network is None:
        unread = "; ".join(map(str, catalogue.problems))
        raise IsolatorError(
            f"container {container_id} asks for the unknown network {info.name!r}",
            f"{_known(catalogue)}{f'; problems: {unread}' if unread else ''}",
        )
    return network.configuration


def _known(catalogue: Catalogue) -> str:
    names = ", ".join(sorted(network.name for network in catalogue.networks))
    return f"known networks: {names or 'none'}"
