"""One invocation of a plugin, as the runtime words it: environment variables and a JSON object."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni import codec, version
from mesos_cni_port_mapper.cni.errors import (
    INCOMPATIBLE_VERSION,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    STDIN_UNREADABLE,
    UNDECODABLE,
    CniError,
    os_reason,
)
from mesos_cni_port_mapper.cni.fields import Section, shown
from mesos_cni_port_mapper.cni.names import is_interface_name, is_name, is_network_name
from mesos_cni_port_mapper.linux.files import read_all
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ATTACHMENT = ("CNI_CONTAINERID", "CNI_IFNAME")
_REQUIRED = {
    "ADD": (*_ATTACHMENT, "CNI_NETNS", "CNI_PATH"),
    "CHECK": (*_ATTACHMENT, "CNI_NETNS", "CNI_PATH"),
    # After a reboot, or once its process is gone, a container has no namespace to name.
    "DEL": (*_ATTACHMENT, "CNI_PATH"),
    "GC": ("CNI_PATH",),
    "STATUS": ("CNI_PATH",),
}
_SINCE = {"CHECK": version.FIRST_WITH_CHECK, "GC": "1.1.0", "STATUS": "1.1.0"}
"""The versions that brought commands, where not every one has them."""


class Request(Value):
    """What a plugin is asked to do.

    ``netns`` is "" where the runtime named none; GC and STATUS, which are about a network, have no
    ``container_id`` and ``ifname`` either. ``environ`` is the environment the plugin was
    started with, CNI variables included: what a delegate is started with in turn.
    """

    command: str
    container_id: str
    ifname: str
    netns: str
    path: tuple[str, ...]
    environ: Mapping[str, str]
    netconf: dict[str, Any]
    version: str


def parse_environment(command: str, environ: Mapping[str, str]) -> None:
    """Complain about every variable that is missing or malformed, in one message (code 4)."""
    complaints = [f"{name} is missing" for name in _REQUIRED[command] if not environ.get(name)]
    container_id, ifname = (environ.get(name, "") for name in _ATTACHMENT)
    if container_id and not is_name(container_id):
        complaints.append(
            f"CNI_CONTAINERID {shown(container_id)} must begin with a letter or digit and hold "
            "letters, digits, '_', '.' and '-' only"
        )
    if ifname and not is_interface_name(ifname):
        complaints.append(f"CNI_IFNAME {shown(ifname)} is no interface name")
    if complaints:
        raise CniError(INVALID_ENVIRONMENT, "; ".join(complaints))


def read_netconf(stdin: int) -> dict[str, Any]:
    """Read the network configuration from a file descriptor (codes 100 and 6)."""
    try:
        data = read_all(stdin)
    except OSError as error:
        raise CniError(
            STDIN_UNREADABLE, "cannot read the network configuration from stdin", os_reason(error)
        ) from error
    try:
        netconf = codec.decode(data)
    except ValueError as error:
        raise CniError(
            UNDECODABLE, "the network configuration on stdin is not JSON", str(error)
        ) from error
    if not isinstance(netconf, dict):
        raise CniError(
            UNDECODABLE, f"the network configuration is {shown(netconf)}, not a JSON object"
        )
    return netconf


def parse_version(command: str, netconf: dict[str, Any]) -> str:
    """Return the version to answer in; complain where it is unknown or lacks ``command``."""
    # libcni puts an empty one into what had none.
    named = Section(netconf).string("cniVersion", "") or version.ASSUMED
    if named not in version.SUPPORTED:
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"cniVersion: {shown(named)} is not supported",
            f"supported: {', '.join(version.SUPPORTED)}",
        )
    if command in _SINCE and version.order(named) < version.order(_SINCE[command]):
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"cniVersion: {command} needs {_SINCE[command]} or later, not {named}",
        )
    return named


def make_request(
    command: str, environ: Mapping[str, str], netconf: dict[str, Any], named_version: str
) -> Request:
    """Put a request together from parts that have been checked, and check the network's name."""
    name = Section(netconf).string("name")
    if not is_network_name(name):
        raise CniError(
            INVALID_CONFIGURATION,
            f"name: {shown(name)} must begin with a letter, digit or '_' and hold letters, digits, "
            "'_', '.' and '-' only",
        )
    return Request(
        command=command,
        container_id=environ.get("CNI_CONTAINERID", ""),
        ifname=environ.get("CNI_IFNAME", ""),
        netns=environ.get("CNI_NETNS", ""),
        path=tuple(part for part in environ["CNI_PATH"].split(os.pathsep) if part),
        environ=environ,
        netconf=netconf,
        version=named_version,
    )
