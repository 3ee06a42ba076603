"""What macvlan, ipvlan and vlan have in common: a link on top of a link of the host, its master.

It is made in the container's namespace at once, and the kernel removes it with that namespace or
with its master.
"""

from __future__ import annotations

from delegates import operations as ops
from delegates.addressing import (
    given_ips,
    given_routes,
    plan_addresses,
    plan_routes,
    plan_wait,
)
from delegates.link_plugin import LinkPlugin, Plan
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from delegates.facts import Link
    from delegates.kernel import Kernel
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result

LARGEST_MTU = 65535


class Settings(Value):
    """How a link on top of another is wanted.

    ``master`` is "" where the configuration names none, ``mode`` likewise; ``mtu`` 0 and ``mac`` ""
    leave the choice to the kernel. ``dns`` goes into the result.
    """

    master: str
    mode: str = ""
    vlan_id: int = 0
    mtu: int = 0
    mac: str = ""
    dns: dict[str, Any]


class SublinkPlugin(LinkPlugin):
    """A plugin whose link is made on top of a master.

    ``modes`` are the kernel's numbers of the kind's modes (linux/if_link.h), ``default_mode`` is
    the one meant by "". DEL needs none of it, and so does not complain of it.
    """

    kind = ""
    modes: Mapping[str, int] = {"": 0}
    default_mode = ""

    def complete(
        self,
        request: Request,  # noqa: ARG002 - for kinds that need it
        configuration: Settings,
        kernel: Kernel,
    ) -> Settings:
        """See ``LinkPlugin.complete``: the master is known and there, the mode exists."""
        self.mode_number(configuration)
        master = configuration.master or default_master(kernel)
        self.check_master(configuration, find_master(kernel, master))
        return configuration.but(master=master)

    def check_master(self, configuration: Settings, master: Link) -> None:
        """Raise ``CniError`` where the master cannot carry the link; pure."""

    def mode_number(self, configuration: Settings) -> int:
        """Return the kernel's number for the configured mode, or raise ``CniError`` (code 7)."""
        mode = configuration.mode or self.default_mode
        if mode not in self.modes:
            refuse("mode", f"{shown(mode)} is none of {', '.join(self.modes)}")
        return self.modes[mode]

    def plan(self, request: Request, configuration: Settings, given: Result | None) -> Plan:
        """See ``LinkPlugin.plan``."""
        link = request.ifname
        create = ops.CreateLink(
            name=link,
            kind=self.kind,
            parent=configuration.master,
            mode=self.mode_number(configuration),
            vlan_id=configuration.vlan_id,
            mtu=configuration.mtu,
            mac=configuration.mac,
        )
        interfaces = [(ops.SANDBOX, link)]
        if given is None:
            up = ops.SetUp(where=ops.SANDBOX, link=link)
            return Plan(operations=[create, up], interfaces=interfaces, dns=configuration.dns)
        ips, routes = given_ips(given, 0), given_routes(given)
        return Plan(
            operations=[
                create,
                *self.plan_settings(link),
                *plan_addresses(link, ips),
                *plan_routes(link, ips, routes),
                *plan_wait(link, ips),
            ],
            interfaces=interfaces,
            ips=ips,
            routes=routes,
            dns=configuration.dns,
        )

    def plan_settings(self, link: str) -> list[ops.Operation]:  # noqa: ARG002 - for who has some
        """Return what the link needs before it has addresses; pure."""
        return []

    def check_links(
        self,
        request: Request,
        configuration: Settings,
        kernel: Kernel,
        result: Result,  # noqa: ARG002 - addresses are seen to
    ) -> None:
        """See ``LinkPlugin.check_links``."""
        link = kernel.link(ops.SANDBOX, request.ifname, with_data=True)
        if link is None or link.kind != self.kind:
            raise CniError(INTERNAL, f"link {request.ifname} is no {self.kind} any more")
        if configuration.master and link.parent != find_master(kernel, configuration.master).index:
            raise CniError(INTERNAL, f"link {request.ifname} is not on {configuration.master}")
        self.check_kind(configuration, link)

    def check_kind(self, configuration: Settings, link: Link) -> None:
        """Raise ``CniError`` unless what only this kind of link has is as configured."""


def parse_common(netconf: Section) -> dict[str, Any]:
    """Return the fields that all three kinds read alike."""
    return {
        "master": netconf.string("master", ""),
        "mtu": parse_mtu(netconf),
        "dns": netconf.optional_section("dns").document,
    }


def parse_mtu(netconf: Section) -> int:
    """Return the configured MTU, 0 for none."""
    return netconf.integer("mtu", 0, LARGEST_MTU) if netconf.has("mtu") else 0


def refuse_larger_mtu(mtu: int, master: Link) -> None:
    """Refuse an MTU that the master cannot carry."""
    if mtu > master.mtu:
        refuse("mtu", f"{mtu} is more than the {master.mtu} of {master.name}")


def find_master(kernel: Kernel, name: str) -> Link:
    """Return a link of the host, which must be there."""
    link = kernel.link(ops.HOST, name)
    if link is None:
        raise CniError(INTERNAL, f"master: there is no link {shown(name)} on the host")
    return link


def default_master(kernel: Kernel) -> str:
    """Return the link of the host's first default route, IPv4 before IPv6."""
    for route in kernel.routes(ops.HOST):
        if not route.prefix and route.index:
            link = kernel.link_at(ops.HOST, route.index)
            if link is not None:
                return link.name
    raise CniError(INTERNAL, "master: is missing, and the host has no default route")
