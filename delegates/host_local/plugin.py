"""The plugin: addresses of this host's own ranges, remembered in files."""

from __future__ import annotations

from delegates.host_local.allocation import held_by, left_over, plan_grants, render_holder
from delegates.host_local.configuration import parse_configuration, parse_place
from delegates.host_local.store import Store
from delegates.results import answer, make_result
from mesos_cni_port_mapper.cni.address import text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, IO_FAILURE, CniError, os_reason
from mesos_cni_port_mapper.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from delegates.host_local.allocation import Grant
    from delegates.host_local.configuration import Configuration
    from mesos_cni_port_mapper.cni.request import Request


class HostLocal:
    """Gives addresses out of configured ranges, and takes them back."""

    def add(self, request: Request) -> dict[str, Any]:
        """Give the attachment an address from each set of ranges, or none at all."""
        configuration = parse_configuration(request)
        dns = _dns(configuration.resolv_conf)
        grants = _allocate(request, configuration)
        return answer(request, make_result((), _ips(grants), configuration.routes, dns))

    def delete(self, request: Request) -> None:
        """Take back every address the attachment has, whatever the ranges are by now."""
        store = _store(request)
        if not store.exists():
            return
        with store:
            leases = store.leases()
            store.sweep(leases)
            store.release(held_by(leases, request.container_id, request.ifname))

    def check(self, request: Request) -> None:
        """Raise unless the attachment has an address (code 999)."""
        parse_configuration(request)
        store = _store(request)
        if not held_by(store.look(), request.container_id, request.ifname):
            raise CniError(
                INTERNAL,
                f"no address in {store.directory} is held by container {request.container_id} "
                f"({request.ifname})",
            )

    def gc(self, request: Request) -> None:
        """Take back the addresses of attachments that are not valid any more."""
        from mesos_cni_port_mapper.cni.garbage import parse_valid_attachments

        valid = parse_valid_attachments(request.netconf)
        store = _store(request)
        if valid is None or not store.exists():
            return
        with store:
            leases = store.leases()
            store.sweep(leases)
            store.release(left_over(leases, valid))

    def status(self, request: Request) -> None:
        """Raise unless the configuration is one to give addresses by."""
        parse_configuration(request)


def _store(request: Request) -> Store:
    place = parse_place(request)
    return Store(place.directory, place.lock_seconds)


def _allocate(request: Request, configuration: Configuration) -> list[Grant]:
    store = _store(request)
    store.make()
    with store:
        leases = store.leases()
        grants = plan_grants(
            configuration.sets,
            leases,
            [store.last(index) for index in range(len(configuration.sets))],
            configuration.requested,
            request.container_id,
            request.ifname,
        )
        store.sweep(leases)
        store.take(grants, render_holder(request.container_id, request.ifname))
    return grants


def _ips(grants: list[Grant]) -> list[dict[str, Any]]:
    return [
        {
            "address": f"{text_of(*grant.address)}/{grant.source.prefix}",
            "gateway": text_of(*grant.source.gateway),
        }
        for grant in grants
    ]


def _dns(path: str) -> dict[str, Any]:
    if not path:
        return {}
    from delegates.host_local.resolv import parse_resolv_conf

    try:
        words = files.read(path)
    except OSError as error:
        raise _unreadable(path, os_reason(error)) from error
    if words is None:
        raise _unreadable(path, "no such file")
    return parse_resolv_conf(words.decode(errors="replace"))


def _unreadable(path: str, reason: str) -> CniError:
    return CniError(IO_FAILURE, f"ipam.resolvConf: cannot read {path}", reason)
