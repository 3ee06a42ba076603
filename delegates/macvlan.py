"""macvlan: a link with a hardware address of its own on top of a link of the host.

The host itself cannot be reached through it: the kernel hands nothing from a macvlan link to its
master.
"""

from __future__ import annotations

from delegates import operations as ops
from delegates.cni_args import parse_cni_args
from delegates.hardware_address import parse_hardware_address
from delegates.sublink import (
    Settings,
    SublinkPlugin,
    parse_common,
    refuse_larger_mtu,
)
from mesos_cni_port_mapper.cni.errors import INTERNAL, INVALID_ENVIRONMENT, CniError
from mesos_cni_port_mapper.cni.fields import Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from delegates.facts import Link
    from delegates.kernel import Kernel
    from delegates.operations import Operation
    from mesos_cni_port_mapper.cni.request import Request

_MODES = {"bridge": 4, "private": 1, "vepa": 2, "passthru": 8}
_ARGUMENTS = ("MAC", "IP", "GATEWAY")
"""What CNI_ARGS may hold: those of the IPAM plugins are theirs to look at."""


class Macvlan(SublinkPlugin):
    """Answers the requests of a runtime. Without ``ipam`` the container gets a link alone."""

    kind = "macvlan"
    modes = _MODES
    default_mode = "bridge"

    def parse(self, request: Request) -> Settings:
        """See ``LinkPlugin.parse``."""
        netconf = Section(request.netconf)
        return Settings(
            mode=netconf.string("mode", ""),
            mac=netconf.string("mac", ""),
            **parse_common(netconf),
        )

    def complete(self, request: Request, configuration: Settings, kernel: Kernel) -> Settings:
        """See ``LinkPlugin.complete``."""
        mac = parse_mac(request, configuration)
        return super().complete(request, configuration.but(mac=mac), kernel)

    def check_master(self, configuration: Settings, master: Link) -> None:
        """See ``SublinkPlugin.check_master``."""
        refuse_larger_mtu(configuration.mtu, master)

    def plan_settings(self, link: str) -> list[Operation]:
        """Have the kernel announce an address, which may have been somebody else's before."""
        name = f"net/ipv4/conf/{link}/arp_notify"
        return [ops.SetSysctl(where=ops.SANDBOX, name=name, value="1", optional=True)]

    def check_kind(self, configuration: Settings, link: Link) -> None:
        """See ``SublinkPlugin.check_kind``."""
        mode = link.data.get("IFLA_MACVLAN_MODE")
        # The message classes give the mode its name.
        if mode not in (configuration.mode or self.default_mode, self.mode_number(configuration)):
            raise CniError(INTERNAL, f"link {link.name} is of mode {mode}")


def parse_mac(request: Request, configuration: Settings) -> str:
    """Return the hardware address wanted, "" for any (codes 4 and 7).

    What the runtime asks for (``runtimeConfig.mac``) counts more than ``MAC`` of CNI_ARGS, and that
    more than the configuration's.
    """
    asked = Section(request.netconf).optional_section("runtimeConfig")
    text = asked.string("mac", "")
    if text:
        return parse_hardware_address(asked.path_of("mac"), text)
    text = parse_cni_args(request.environ, _ARGUMENTS).get("MAC", "")
    if text:
        return parse_hardware_address("CNI_ARGS: MAC", text, INVALID_ENVIRONMENT)
    return parse_hardware_address("mac", configuration.mac) if configuration.mac else ""
