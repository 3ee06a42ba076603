"""CHECK of what a previous result promises: links, their addresses and routes."""

from __future__ import annotations

from delegates import operations as ops
from delegates.facts import TABLE_MAIN
from mesos_cni_port_mapper.cni.address import number_of, split_prefix, text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from delegates.facts import Link, Route
    from delegates.kernel import Kernel
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result


def check_attachment(request: Request, kernel: Kernel, result: Result) -> Link:
    """Raise unless the container's link, its addresses and the routes are as the result says."""
    index, entry = find_interface(result, request.ifname, request.netns)
    link = check_interface(kernel, ops.SANDBOX, entry)
    if not link.up:
        raise CniError(INTERNAL, f"link {link.name} is down")
    own = [ip for ip in result.document.get("ips") or [] if ip.get("interface", index) == index]
    present = {
        f"{address.address}/{address.prefix}"
        for address in kernel.addresses(ops.SANDBOX, link.index)
    }
    for ip in own:
        if _normal(ip["address"]) not in present:
            raise CniError(INTERNAL, f"{request.ifname} has lost its address {ip['address']}")
    _check_routes(request, kernel, link, result.document.get("routes") or [])
    return link


def find_interface(result: Result, name: str, sandbox: str) -> tuple[int, dict[str, Any]]:
    """Return an interface of the result with its index; ``sandbox`` is "" for one of the host's."""
    for index, entry in enumerate(result.document.get("interfaces") or []):
        if entry.get("name") == name and (entry.get("sandbox") or "") == sandbox:
            return index, entry
    where = f"in {sandbox}" if sandbox else "on the host"
    raise CniError(INTERNAL, f"prevResult.interfaces: there is no {name} {where}")


def check_interface(kernel: Kernel, where: str, entry: dict[str, Any]) -> Link:
    """Return the link of an interface of the result, or raise unless it is as that says."""
    name = entry["name"]
    link = kernel.link(where, name)
    if link is None:
        raise CniError(INTERNAL, f"link {name} is gone")
    if entry.get("mac") and link.mac != entry["mac"].lower():
        raise CniError(INTERNAL, f"link {name} has the address {link.mac}, not {entry['mac']}")
    return link


def _check_routes(
    request: Request, kernel: Kernel, link: Link, routes: list[dict[str, Any]]
) -> None:
    tables: dict[int, list[Route]] = {}
    for route in routes:
        table = route.get("table") or TABLE_MAIN
        if table not in tables:
            tables[table] = kernel.routes(ops.SANDBOX, table=table)
        destination, gateway = _normal(route["dst"]), route.get("gw") or ""
        ways = {
            present.gateway
            for present in tables[table]
            if present.index == link.index
            and f"{present.destination}/{present.prefix}" == destination
        }
        found = gateway in ways if gateway else bool(ways)
        if not found:
            way = f" by way of {gateway}" if gateway else ""
            raise CniError(INTERNAL, f"{request.ifname} has lost its route to {route['dst']}{way}")


def _normal(text: str) -> str:
    """Return an address with a prefix length as the kernel's are written."""
    address, prefix = split_prefix(text)
    return f"{text_of(*number_of(address))}/{prefix}"
