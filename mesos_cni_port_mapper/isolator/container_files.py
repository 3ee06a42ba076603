"""The files in a container's /etc: written into its directory, and how they are to be bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mesos_cni_port_mapper.isolator import paths
from mesos_cni_port_mapper.isolator.attachments import Attached
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints
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

_ETC = Path("/etc")


def write_files(
    checkpoints: Checkpoints, record: Record, attached: Sequence[Attached], defaults: DefaultDns
) -> None:
    """Write the files of a container on the networks it was just attached to."""
    names = [attachment.network for attachment in record.attachments]
    addresses = [[address.ip_address or "" for address in each.addresses] for each in attached]
    by_network = [(name, each.dns) for name, each in zip(names, attached, strict=True)]
    dns = resolve(by_network, defaults, _host_nameservers())
    container_id = record.container_id
    checkpoints.write_host_file(container_id, paths.HOSTNAME, render_hostname(record.hostname))
    checkpoints.write_host_file(container_id, paths.HOSTS, render_hosts(record.hostname, addresses))
    if dns is not None:
        checkpoints.write_host_file(container_id, paths.RESOLV_CONF, render_resolv_conf(dns))


def binds_of(checkpoints: Checkpoints, container_id: str) -> tuple[Bind, ...]:
    """Return how a container, or one that joins it, sees the files of its directory."""
    binds = []
    for name in (paths.HOSTS, paths.HOSTNAME):
        source = checkpoints.host_file(container_id, name)
        if source is None:
            raise IsolatorError(f"container {container_id} has no {name} file any more")
        binds.append(Bind(source, str(_ETC / name)))
    source = checkpoints.host_file(container_id, paths.RESOLV_CONF)
    return (*binds, _resolv_conf(source))


def binds_of_host() -> tuple[Bind, ...]:
    """Return how a container with files of its own sees the host's, on whose network it is."""
    files = [_ETC / name for name in (paths.HOSTS, paths.HOSTNAME)]
    return (*(Bind(file, str(file)) for file in files if file.exists()), _resolv_conf(None))


def _resolv_conf(source: Path | None) -> Bind:
    target = _ETC / paths.RESOLV_CONF
    if source is None and not target.exists():
        raise IsolatorError(f"the host has no {target}, and no network brings name servers")
    # On the host's own /etc, an empty one that we made would stay and count.
    return Bind(source or target, str(target), create=False)


def _host_nameservers() -> tuple[str, ...]:
    try:
        text = (_ETC / paths.RESOLV_CONF).read_text(errors="replace")
    except OSError:
        return ()
    return parse_nameservers(text)
