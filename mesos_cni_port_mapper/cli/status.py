"""`mesos-cni status`: one container in full."""

from __future__ import annotations

import shlex
from typing import Any

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_fields, print_json
from mesos_cni_port_mapper.harness.containers import Container, inspect
from mesos_cni_port_mapper.harness.spec import check_container_id, encode_spec


@click.command("status", cls=Command, epilog="Example: mesos-cni status web-1")
@json_flag
@click.argument("container_id")
@click.pass_obj
def command(flags: Flags, as_json: bool, container_id: str) -> None:
    """Show a container: what was asked for, its networks and addresses, its processes, its end."""
    container = inspect(flags.runtime_dir, check_container_id(container_id, "CONTAINER_ID"))
    if as_json:
        print_json(encode_container(container))
    else:
        print_fields(_fields(container))


def encode_container(container: Container) -> dict[str, Any]:
    """Return what is known of a container as JSON; networks are as in an agent's ``state``."""
    ending = container.ending
    document: dict[str, Any] = {
        "container_id": container.container_id,
        "state": container.state,
        "monitored": container.monitored,
        "created": container.created,
        "started": container.started,
        "pid": container.pid,
        "monitor_pid": container.monitor.pid if container.monitor and container.monitored else None,
        "network_infos": list(container.network_infos),
        "spec": encode_spec(container.spec),
    }
    if ending:
        document["ended"] = {
            "status": ending.status,
            "finished": ending.finished,
            "detached": ending.detached,
            **({"error": ending.error} if ending.error else {}),
        }
    return document


def _fields(container: Container) -> list[tuple[str, object]]:
    from mesos_cni_port_mapper.cli.ps import describe_state

    spec = container.spec
    fields: list[tuple[str, object]] = [
        ("id", container.container_id),
        ("state", describe_state(container)),
        ("pid", container.pid),
        ("command", shlex.join(spec.argv)),
        ("rootfs", spec.rootfs),
        ("image", spec.docker.image if spec.docker else None),
        ("hostname", spec.hostname),
    ]
    for info in container.network_infos:
        fields.append(("network", info.get("name") or "host"))
        fields += [("  address", each["ip_address"]) for each in info.get("ip_addresses", ())]
        fields += [("  port", _port(each)) for each in info.get("port_mappings", ())]
        fields += [("  label", _label(each)) for each in info.get("labels", ())]
    if container.ending:
        fields.append(("error", container.ending.error))
    return fields


def _port(mapping: dict[str, Any]) -> str:
    protocol = mapping.get("protocol", "tcp").lower()
    return f"{mapping['host_port']}:{mapping['container_port']}/{protocol}"


def _label(label: dict[str, Any]) -> str:
    return f"{label['key']}={label['value']}" if "value" in label else str(label["key"])
