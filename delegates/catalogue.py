"""Which plugins are built in, and where each is found."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.cni.skeleton import Plugin

BUILT_IN = {
    "bridge": ("delegates.bridge", "Bridge"),
    "flannel": ("delegates.flannel", "Flannel"),
    "host-local": ("delegates.host_local", "HostLocal"),
    "ipvlan": ("delegates.ipvlan", "Ipvlan"),
    "loopback": ("delegates.loopback", "Loopback"),
    "macvlan": ("delegates.macvlan", "Macvlan"),
    "ptp": ("delegates.ptp", "Ptp"),
    "static": ("delegates.static", "Static"),
    "vlan": ("delegates.vlan", "Vlan"),
}
"""Names of plugins, each with its module and class."""

IPAM = ("host-local", "static")
"""Those that give addresses and are asked by others."""


def make_plugin(name: str) -> Plugin:
    """Return a new plugin; raises ``KeyError`` for a name that is not built in."""
    module_name, class_name = BUILT_IN[name]
    # Not importlib: nobody else on this path needs it.
    module = __import__(module_name, fromlist=[class_name])
    plugin: Plugin = getattr(module, class_name)()
    return plugin
