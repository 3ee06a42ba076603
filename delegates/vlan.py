"""vlan: a link that sends and receives the frames of one VLAN (802.1Q) on its master."""

from __future__ import annotations

from delegates.addressing import require_ipam
from delegates.sublink import (
    Settings,
    SublinkPlugin,
    parse_common,
    refuse_larger_mtu,
)
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from delegates.facts import Link
    from delegates.kernel import Kernel
    from mesos_cni_port_mapper.cni.request import Request

_LARGEST_ID = 4094
"""4095 is reserved (IEEE 802.1Q); 0 marks frames that have a priority and are of no VLAN."""


class Vlan(SublinkPlugin):
    """Answers the requests of a runtime."""

    kind = "vlan"

    def parse(self, request: Request) -> Settings:
        """See ``LinkPlugin.parse``."""
        netconf = Section(request.netconf)
        vlan_id = netconf.integer("vlanId", 0, _LARGEST_ID) if netconf.has("vlanId") else 0
        if not netconf.string("master", ""):
            refuse("master", "is missing; it must name a link of the host")
        return Settings(vlan_id=vlan_id, **parse_common(netconf))

    def complete(self, request: Request, configuration: Settings, kernel: Kernel) -> Settings:
        """See ``LinkPlugin.complete``."""
        require_ipam(request)
        return super().complete(request, configuration, kernel)

    def check_master(self, configuration: Settings, master: Link) -> None:
        """See ``SublinkPlugin.check_master``."""
        refuse_larger_mtu(configuration.mtu, master)

    def check_kind(self, configuration: Settings, link: Link) -> None:
        """See ``SublinkPlugin.check_kind``."""
        vlan_id = link.data.get("IFLA_VLAN_ID")
        if vlan_id != configuration.vlan_id:
            raise CniError(INTERNAL, f"link {link.name} is of VLAN {vlan_id}")
        if configuration.mtu and link.mtu != configuration.mtu:
            raise CniError(INTERNAL, f"link {link.name} has an MTU of {link.mtu}")
