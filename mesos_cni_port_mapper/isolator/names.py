"""Which names may become paths below the state root, or lines of a file.

Mesos' own names are wider than the specification's, so these are not ``cni.names``: a network may
be called ``__test__`` and a container ``a$b``; what a name must not do is leave its directory, take
the place of a file beside it, or add a line.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.isolator.errors import IsolatorError

LONGEST_COMPONENT = 255
"""Bytes in one component of a path (NAME_MAX)."""

LONGEST_LEVEL = 242
"""Bytes in one level of a container ID: what a Mesos agent allows."""

LONGEST_HOSTNAME = 64
"""Bytes in a hostname (__NEW_UTS_LEN)."""

_FILES = frozenset(("ns", "hosts", "hostname", "resolv.conf"))
_NOT_IN_IDS = frozenset("/\\ ")


def network_name_fault(name: str) -> str:
    """Say why a network's name cannot be a directory's, or "" when it can."""
    if not name:
        return "is empty"
    if name in _FILES:
        return "is the name of a file in a container's directory"
    if name.startswith("."):
        return "begins with a dot"
    if "/" in name or not name.isprintable():
        return "has a slash or a control character in it"
    return _too_long(name, LONGEST_COMPONENT)


def container_id_fault(container_id: str) -> str:
    """Say why a container ID (``value``, or ``parent.child``) is none, or "" when it is one."""
    if not container_id:
        return "is empty"
    for level in container_id.split("."):
        if not level:
            return "has an empty level"
        if _NOT_IN_IDS.intersection(level) or not level.isprintable():
            return "has a slash, a backslash, a space or a control character in it"
        fault = _too_long(level, LONGEST_LEVEL, "in one level, ")
        if fault:
            return fault
    return _too_long(container_id, LONGEST_COMPONENT)


def hostname_fault(hostname: str) -> str:
    """Say why a text cannot be a container's hostname, or "" when it can."""
    if not hostname:
        return "is empty"
    # It becomes a word in a line of the hosts file.
    if not hostname.isprintable() or any(char.isspace() or char in "#/" for char in hostname):
        return "has a space, '#', '/' or a control character in it"
    return _too_long(hostname, LONGEST_HOSTNAME)


def check_network_name(name: str) -> None:
    """Raise ``IsolatorError`` for a network's name that cannot be a directory's."""
    fault = network_name_fault(name)
    if fault:
        raise IsolatorError(f"the network name {shown(name)} {fault}")


def check_container_id(container_id: str) -> None:
    """Raise ``IsolatorError`` for a text that is no container ID."""
    fault = container_id_fault(container_id)
    if fault:
        raise IsolatorError(f"the container ID {shown(container_id)} {fault}")


def check_hostname(hostname: str) -> None:
    """Raise ``IsolatorError`` for a text that cannot be a hostname."""
    fault = hostname_fault(hostname)
    if fault:
        raise IsolatorError(f"the hostname {shown(hostname)} {fault}")


def ancestors(container_id: str) -> tuple[str, ...]:
    """Return the IDs of the containers that one is nested in, the nearest first."""
    levels = container_id.split(".")
    return tuple(".".join(levels[:count]) for count in range(len(levels) - 1, 0, -1))


def default_hostname(container_id: str) -> str:
    """Return the hostname of a container that asked for none: its own level of the ID.

    As much of it as the kernel takes, an ID may be longer, and without what would be a comment in
    the hosts file.
    """
    own = container_id.rpartition(".")[2].replace("#", "-")
    return own.encode()[:LONGEST_HOSTNAME].decode(errors="ignore")


def _too_long(text: str, limit: int, where: str = "") -> str:
    # A lone surrogate is not printable, so whatever gets here can be encoded.
    size = len(text.encode())
    return f"has {size} bytes, {where}and may have {limit}" if size > limit else ""
