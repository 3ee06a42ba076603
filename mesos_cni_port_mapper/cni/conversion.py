"""Results from the shape of one version into that of another, where those differ.

Every result is first brought into the newest shape and from there into the one wanted. Only what
the specification defines survives a change of shape. Imported when it is needed, which between
plugins of one age is never.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.address import family_of, split_prefix
from mesos_cni_port_mapper.cni.result import MalformedResultError, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INTERFACE_FIELDS = ("name", "mac", "sandbox")
_ROUTE_FIELDS = ("dst", "gw")


def convert(result: Result, version: str) -> dict[str, Any]:
    """Return ``result`` as an object of ``version``'s shape, or raise ``MalformedResultError``."""
    try:
        newest = _newest_shape(result)
        if versions.shape(version) == "0.1.0":
            body = _as_0_1_0(newest)
        elif versions.shape(version) == "0.3.0":
            body = _as_0_3_0(newest)
        else:
            body = _as_1_x(newest, version)
    except (AttributeError, TypeError, KeyError) as error:
        raise MalformedResultError(f"it has not the shape of {result.version}: {error}") from error
    return {"cniVersion": version, **body}


def _newest_shape(result: Result) -> dict[str, Any]:
    document = result.document
    if versions.shape(result.version) != "0.1.0":
        ips = [
            {key: value for key, value in ip.items() if key != "version"}
            for ip in document.get("ips") or []
        ]
        body = {"ips": ips, "routes": document.get("routes") or []}
        return {
            "interfaces": document.get("interfaces") or [],
            **body,
            "dns": document.get("dns") or {},
        }
    sections = [document[key] for key in ("ip4", "ip6") if document.get(key)]
    ips = []
    for section in sections:
        gateway = {"gateway": section["gateway"]} if section.get("gateway") else {}
        ips.append({"address": section["ip"], **gateway})
    routes = [route for section in sections for route in section.get("routes") or []]
    return {"interfaces": [], "ips": ips, "routes": routes, "dns": document.get("dns") or {}}


def _as_1_x(newest: dict[str, Any], version: str) -> dict[str, Any]:
    body = dict(newest)
    if version == "1.0.0":
        body["interfaces"] = _only(newest["interfaces"], _INTERFACE_FIELDS)
        body["routes"] = _only(newest["routes"], _ROUTE_FIELDS)
    return {key: value for key, value in body.items() if value or key == "dns"}


def _as_0_3_0(newest: dict[str, Any]) -> dict[str, Any]:
    ips = [{"version": str(_family(ip["address"])), **ip} for ip in newest["ips"]]
    body = {
        "interfaces": _only(newest["interfaces"], _INTERFACE_FIELDS),
        "ips": ips,
        "routes": _only(newest["routes"], _ROUTE_FIELDS),
    }
    return {**{key: value for key, value in body.items() if value}, "dns": newest["dns"]}


def _as_0_1_0(newest: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for ip in newest["ips"]:
        family = _family(ip["address"])
        if f"ip{family}" in body:
            continue  # This shape has room for one address of a family: the first.
        section = {"ip": ip["address"]}
        if ip.get("gateway"):
            section["gateway"] = ip["gateway"]
        routes = [route for route in newest["routes"] if _family(route["dst"]) == family]
        if routes:
            section["routes"] = _only(routes, _ROUTE_FIELDS)
        body[f"ip{family}"] = section
    if not body:
        raise MalformedResultError("it holds no address, and its version needs one")
    return {**body, "dns": newest["dns"]}


def _only(objects: list[Any], fields: tuple[str, ...]) -> list[Any]:
    return [{key: item[key] for key in fields if key in item} for item in objects]


def _family(text: str) -> int:
    try:
        return family_of(split_prefix(text)[0])
    except ValueError as error:
        raise MalformedResultError(str(error)) from None
