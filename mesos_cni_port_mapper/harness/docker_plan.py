"""What Docker's engine is to be asked for, and what its answer says in Mesos' words. All pure.

The documents are the Engine API's: the body of ``POST /containers/create`` and the answer of
``GET /containers/ID/json``. The limits are those of Mesos' Docker containerizer, for its reasons: a
container is given its one network when it is created, and Docker has no other time for ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.harness.errors import NOT_EXECUTABLE, NOT_FOUND, UsageError
from mesos_cni_port_mapper.harness.spec import Spec

HOST, BRIDGE, NONE, USER = "host", "bridge", "none", "user"
NETWORK_MODES = (HOST, BRIDGE, NONE, USER)

_WITH_PORTS = (BRIDGE, USER)
_OWN_NAMES = (HOST, BRIDGE, NONE, "default")
_ID_LABEL = "mesos-cni.container_id"
_OWNER_LABEL = "mesos-cni.directory"


def name_of(container_id: str) -> str:
    """Return the name a container has for Docker."""
    return f"mesos-cni-{container_id}"


def plan_image(image: str | None) -> str:
    """Return an image that an engine can be asked for."""
    if image is None:
        raise UsageError("--docker_image: is missing; --containerizer docker runs images")
    if not image or not image.isascii() or not image.isprintable() or " " in image:
        raise UsageError(f"--docker_image: cannot be an image's name: {shown(image)}")
    return image


def plan_mode(network: str | None, names: Sequence[str]) -> str:
    """Return the network mode; as with mesos-execute, a name alone means a user's network."""
    mode = network or (USER if names else HOST)
    if len(names) > 1:
        many = f"and {len(names)} are named"
        raise UsageError(f"--networks: Docker attaches a container to one network, {many}")
    if mode == USER:
        _check_user_network(names)
    elif names:
        raise UsageError(f"--networks: has no meaning with --network {mode}, only with user")
    return mode


def _check_user_network(names: Sequence[str]) -> None:
    if not names:
        raise UsageError("--networks: --network user needs the name of a Docker network")
    (name,) = names
    # To the engine these are modes, the last that of another container's network.
    if name in _OWN_NAMES or name.startswith("container:"):
        raise UsageError(f"--networks: {shown(name)} is no network that a user has made")


def plan_networks(
    mode: str, names: Sequence[str], mappings: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """Return the NetworkInfos that are asked for: none on the host's network, or else one."""
    if mappings and mode not in _WITH_PORTS:
        raise UsageError(f"--port: --network {mode} has no ports to map, only bridge and user")
    if mode == HOST:
        return ()
    info: dict[str, Any] = {"name": names[0] if names else mode}
    return ({**info, "port_mappings": [dict(each) for each in mappings]} if mappings else info,)


def plan_hostname(mode: str, hostname: str | None) -> str | None:
    """Return the host name, which a container on the host's network cannot have of its own."""
    if hostname is not None and mode == HOST:
        raise UsageError("--hostname: --network host has the host's own")
    return hostname


def plan_creation(spec: Spec, owner: str) -> dict[str, Any]:
    """Return what the engine is asked to create; what is not asked for is the image's to say.

    The ``owner`` is the directory in which we keep the container's records.
    """
    asked = spec.docker
    if asked is None:
        raise ValueError(f"{spec.container_id} is not Docker's")
    bindings = _bindings(spec.networks)
    host = {
        "NetworkMode": spec.networks[0]["name"] if spec.networks else HOST,
        "PortBindings": bindings,
        "Binds": [
            f"{each.host_path}:{each.container_path}:{'ro' if each.read_only else 'rw'}"
            for each in spec.volumes
        ],
    }
    fields: dict[str, Any] = {
        "Image": asked.image,
        # As Mesos does it: a program takes the place of the image's entry point.
        "Entrypoint": [spec.program] if spec.program else None,
        "Cmd": list(spec.argv[1:]) if spec.program else None,
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Hostname": spec.hostname,
        "User": spec.user,
        "WorkingDir": spec.working_directory,
        "Labels": {_ID_LABEL: spec.container_id, _OWNER_LABEL: owner},
        "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": _given(host),
    }
    return _given(fields)


def _bindings(networks: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for network in networks:
        for mapping in network.get("port_mappings", ()):
            port = f"{mapping['container_port']}/{mapping.get('protocol', 'tcp').lower()}"
            bindings.setdefault(port, []).append({"HostPort": str(mapping["host_port"])})
    return bindings


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, [], {})}


def parse_network_infos(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the networks of a container that runs, in the form of an agent's ``state``.

    A container on the host's network has none, as Mesos counts. One that ended has names alone.
    """
    settings = document.get("NetworkSettings") or {}
    networks = settings.get("Networks") or {}
    mappings = _parse_ports(settings.get("Ports") or {})
    infos: list[dict[str, Any]] = []
    for name, network in networks.items():
        if name == HOST:
            continue
        info: dict[str, Any] = {"ip_addresses": _parse_addresses(network or {}), "name": name}
        if not infos:
            info["port_mappings"] = mappings
        infos.append(_given(info))
    return infos


def _parse_addresses(network: Mapping[str, Any]) -> list[dict[str, str]]:
    keys = (("IPAddress", "IPv4"), ("GlobalIPv6Address", "IPv6"))
    return [
        {"ip_address": network[key], "protocol": protocol}
        for key, protocol in keys
        if network.get(key)
    ]


def _parse_ports(ports: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the mappings, each once: the engine lists one for each family of addresses."""
    found = {
        (int(binding["HostPort"]), int(number), protocol)
        for port, bindings in ports.items()
        for number, _, protocol in [port.partition("/")]
        for binding in bindings or ()
    }
    return [
        {"container_port": container, "host_port": host, "protocol": protocol}
        for host, container, protocol in sorted(found)
    ]


def parse_owner(document: Mapping[str, Any]) -> str:
    """Return the directory of a container's records; there is none for a container not ours."""
    labels = (document.get("Config") or {}).get("Labels") or {}
    return str(labels.get(_OWNER_LABEL, ""))


def parse_pid(document: Mapping[str, Any]) -> int:
    """Return the PID of a container's first process; 0 when it has ended already."""
    return int((document.get("State") or {}).get("Pid") or 0)


def parse_failure(document: Mapping[str, Any]) -> int | None:
    """Return the status of a shell for a command that could not be executed, if it was that."""
    status = (document.get("State") or {}).get("ExitCode")
    return status if status in (NOT_EXECUTABLE, NOT_FOUND) else None


def parse_status(document: Mapping[str, Any]) -> int | None:
    """Return the status that a container ended with, or nothing when it has not, or never ran."""
    state = document.get("State") or {}
    ended = state.get("Status") in ("exited", "dead")
    return int(state["ExitCode"]) if ended and "ExitCode" in state else None
