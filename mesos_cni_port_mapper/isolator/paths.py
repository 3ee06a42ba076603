"""Where things are below the state root; the layout is Mesos', but for the file of our own.

::

    <container ID>/ns                               the network namespace, bound to a path
    <container ID>/hosts, hostname                  what the container sees in its /etc
    <container ID>/resolv.conf                      likewise, only if something is known of DNS
    <container ID>/.container.json                  what was asked for; ours
    <container ID>/<network>/network.conf           what DEL is given
    <container ID>/<network>/<ifname>/network.info  what ADD answered
"""

from __future__ import annotations

from pathlib import Path

NAMESPACE = "ns"
HOSTS = "hosts"
HOSTNAME = "hostname"
RESOLV_CONF = "resolv.conf"
RECORD = ".container.json"
CONFIGURATION = "network.conf"
RESULT = "network.info"


def state_root(directory: Path) -> Path:
    """Return the state root within ``runtime_dir`` or ``work_dir``."""
    return directory / "isolators" / "network" / "cni"


def levels(root: Path) -> tuple[Path, ...]:
    """Return the directories of ``state_root`` that are ours, the outermost first."""
    return (root.parent.parent, root.parent, root)


def interface_name(index: int) -> str:
    """Return the name of a container's interface on its ``index``-th network, from 0."""
    return f"eth{index}"
