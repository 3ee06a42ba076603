"""ipvlan: a link that shares its master's hardware address and has addresses of its own.

As a later plugin of a list it may find its master, and the addresses, in what came before it.
"""

from __future__ import annotations

from delegates.addressing import require_ipam
from delegates.results import previous_result
from delegates.sublink import Settings, SublinkPlugin, parse_common
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from delegates.facts import Link
    from delegates.kernel import Kernel
    from delegates.link_plugin import Plan
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result

_MODES = {"l2": 0, "l3": 1, "l3s": 2}


class Ipvlan(SublinkPlugin):
    """Answers the requests of a runtime."""

    kind = "ipvlan"
    modes = _MODES
    default_mode = "l2"

    def parse(self, request: Request) -> Settings:
        """See ``LinkPlugin.parse``."""
        netconf = Section(request.netconf)
        return Settings(mode=netconf.string("mode", ""), **parse_common(netconf))

    def complete(self, request: Request, configuration: Settings, kernel: Kernel) -> Settings:
        """See ``LinkPlugin.complete``."""
        before = previous_result(request)
        if before is None or not before.document.get("ips"):
            require_ipam(request)
        if before is not None and not configuration.master:
            configuration = configuration.but(master=_master_in(before))
        return super().complete(request, configuration, kernel)

    def plan(self, request: Request, configuration: Settings, given: Result | None) -> Plan:
        """See ``LinkPlugin.plan``."""
        return super().plan(request, configuration, given or previous_result(request))

    def check_kind(self, configuration: Settings, link: Link) -> None:
        """See ``SublinkPlugin.check_kind``."""
        mode = link.data.get("IFLA_IPVLAN_MODE")
        if mode != self.mode_number(configuration):
            raise CniError(INTERNAL, f"link {link.name} is of mode {mode}")


def _master_in(before: Result) -> str:
    interfaces = before.document.get("interfaces") or []
    if len(interfaces) != 1 or not interfaces[0].get("name"):
        refuse("master", "is missing, and prevResult does not name one interface alone")
    name: str = interfaces[0]["name"]
    return name
