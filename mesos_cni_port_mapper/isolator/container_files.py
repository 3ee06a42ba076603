"""The files in a container's /etc: written into its directory, and how they are to be bound."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mesos_cni_port_mapper.isolator import paths
from mesos_cni_port_mapper.isolator.attachments import Attached
from mesos_cni_port_mapper.isolator.checkpoints import ContainerState
from mesos_cni_port_mapper.isolator.dns import (
    DefaultDns,
    parse_nameservers,
    render_resolv_conf,
    resolve,
)
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.host_files import render_hostname, render_hosts
from mesos_cni_port_mapper.isolator.inside import Bind
from mesos_cni_port_mapper.isolator.records import Record
from mesos_cni_port_mapper.linux import files

_ETC = "/etc"


def write_files(
    state: ContainerState, record: Record, attached: Sequence[Attached], defaults: DefaultDns
) -> None:
    """Write the files of a container on the networks it was just attached to."""
    names = [attachment.network for attachment in record.attachments]
    addresses = [[address.ip_address or "" for address in each.addresses] for each in attached]
    by_network = [(name, each.dns) for name, each in zip(names, attached, strict=True)]
    dns = resolve(by_network, defaults, _host_nameservers())
    state.write_host_file(paths.HOSTNAME, render_hostname(record.hostname))
    state.write_host_file(paths.HOSTS, render_hosts(record.hostname, addresses))
    if dns is not None:
        state.write_host_file(paths.RESOLV_CONF, render_resolv_conf(dns))


def binds_of(state: ContainerState) -> tuple[Bind, ...]:
    """Return how a container, or one that joins it, sees the files of its directory."""
    binds = []
    for name in (paths.HOSTS, paths.HOSTNAME):
        source = state.host_file(name)
        if source is None:
            raise IsolatorError(f"container {state.container_id} has no {name} file any more")
        binds.append(Bind(source, f"{_ETC}/{name}"))
    return (*binds, _resolv_conf(state.host_file(paths.RESOLV_CONF)))


def binds_of_host() -> tuple[Bind, ...]:
    """Return how a container with files of its own sees the host's, on whose network it is."""
    names = [f"{_ETC}/{name}" for name in (paths.HOSTS, paths.HOSTNAME)]
    return (*(Bind(name, name) for name in names if os.path.exists(name)), _resolv_conf(None))


def _resolv_conf(source: str | None) -> Bind:
    target = f"{_ETC}/{paths.RESOLV_CONF}"
    if source is None and not os.path.exists(target):
        raise IsolatorError(f"the host has no {target}, and no network brings name servers")
    # On the host's own /etc, an empty one that we made would stay and count.
    return Bind(source or target, target, create=False)


def _host_nameservers() -> tuple[str, ...]:
    try:
        data = files.read(f"{_ETC}/{paths.RESOLV_CONF}") or b""
    except OSError:
        return ()
    return parse_nameservers(data.decode(errors="replace"))
