"""What an ADD returns: addresses read out of any version's result, and the result passed on.

A result stays the JSON object the plugin printed. When it is wanted in a version of the same shape
it goes on as it came, unknown fields included; only a change of shape takes it apart
(``cni.conversion``).

====================  ==========================================================================
0.1.0, 0.2.0          ``ip4`` and ``ip6`` {``ip``, ``gateway``, ``routes``}, ``dns``
0.3.0, 0.3.1, 0.4.0   ``interfaces``, ``ips`` [{``version``, ``address``, ``gateway``,
                      ``interface``}], ``routes``, ``dns``
1.0.0                 the same without ``version``
1.1.0                 more fields in ``interfaces`` and ``routes``
====================  ==========================================================================
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.address import family_of, split_prefix
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Result(Value):
    """A plugin's result: the JSON object, and the version whose shape it has."""

    version: str
    document: dict[str, Any]


class MalformedResultError(ValueError):
    """A result that does not have the shape of its version."""


def decode_result(document: object, assumed_version: str) -> Result:
    """Check that ``document`` is a result; without ``cniVersion`` it has the assumed version."""
    if not isinstance(document, dict):
        raise MalformedResultError("it is not a JSON object")
    version = document.get("cniVersion") or assumed_version
    if version not in versions.SUPPORTED:
        raise MalformedResultError(f"its cniVersion {version!r} is not supported")
    result = Result(version=version, document=document)
    for address in _addresses(result):
        try:
            split_prefix(address)
        except ValueError as error:
            raise MalformedResultError(str(error)) from None
    return result


def encode_result(result: Result, version: str, declared: bool) -> dict[str, Any]:
    """Return the object to print for a runtime that speaks ``version``.

    ``declared`` tells whether the runtime named that version; to one that did not (Mesos), a
    result of the right shape goes exactly as the plugin gave it.
    """
    if versions.shape(result.version) != versions.shape(version):
        from mesos_cni_port_mapper.cni.conversion import convert

        return convert(result, version)
    if not declared or result.document.get("cniVersion") == version:
        return result.document
    return {**result.document, "cniVersion": version}


def address_of(result: Result, family: int, ifname: str) -> str:
    """Return the container's first address of a family (4 or 6), with its prefix length, or "".

    Addresses of other interfaces than the container's ``ifname`` do not count, as for
    ``addresses_of``.
    """
    for address in _addresses(result, ifname):
        if family_of(address.partition("/")[0]) == family:
            return address
    return ""


def addresses_of(result: Result, ifname: str) -> list[str]:
    """Return the container's addresses, without prefix, in the result's order.

    Addresses of other interfaces than the container's ``ifname`` do not count: a bridge plugin may
    report the bridge's own. An entry that names no interface, or one that is not there, does.
    """
    return [split_prefix(address)[0] for address in _addresses(result, ifname)]


def _addresses(result: Result, ifname: str = "") -> list[str]:
    if versions.shape(result.version) == "0.1.0":
        sections = [result.document.get(key) for key in ("ip4", "ip6")]
        return [_member(section, "ip", str) for section in sections if section is not None]
    ips = _array(result.document, "ips")
    interfaces = _array(result.document, "interfaces")
    for index, interface in enumerate(interfaces):
        if not isinstance(interface, dict):
            raise MalformedResultError(f"interfaces[{index}] is not an object")
    return [
        _member(ip, "address", str) for ip in ips if not ifname or _belongs(ip, interfaces, ifname)
    ]


def _belongs(ip: dict[str, Any], interfaces: list[Any], ifname: str) -> bool:
    index = ip.get("interface")
    if not isinstance(index, int) or not 0 <= index < len(interfaces):
        return True
    interface = interfaces[index]
    return interface.get("name") == ifname and bool(interface.get("sandbox"))


def _array(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedResultError(f"{key} is not an array")
    return value


def _member(section: object, key: str, kind: type) -> Any:
    if not isinstance(section, dict):
        raise MalformedResultError(f"what should hold {key} is not an object")
    value = section.get(key)
    if not isinstance(value, kind):
        raise MalformedResultError(f"{key} is missing or of the wrong type")
    return value
