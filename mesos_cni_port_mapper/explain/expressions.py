"""Expressions of nf_tables as ``nft -j`` prints them (libnftables-json(5)), and their values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from mesos_cni_port_mapper.explain.packet import (
    Packet,
    Surroundings,
    Tri,
    all_of,
    any_of,
    network_of,
)


@dataclass(frozen=True, slots=True)
class Unsure:
    """A value that is not known, for a reason in words."""

    text: str


@dataclass(frozen=True, slots=True)
class UnsureSource:
    """The source of a packet whose address is not known, of which ``mask`` is looked at."""

    mask: str


ABSENT = Unsure("is not in such a packet")
"""What a packet does not have: a rule that asks for it passes the packet over."""

Sets: TypeAlias = Mapping[str, Sequence[Any]]
"""The elements of the sets and maps of a table, by name."""

_FULL = {4: "255.255.255.255", 6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}


def value_of(expression: Any, packet: Packet, host: Surroundings) -> Any:
    """Return what an expression is for a packet: text, a number, a tuple, or something unsure."""
    if not isinstance(expression, dict):
        return expression
    ((kind, inner),) = expression.items()
    if kind == "concat":
        return tuple(value_of(part, packet, host) for part in inner)
    if kind in ("&", "|"):
        return _combined(kind, [value_of(part, packet, host) for part in inner])
    known = _KINDS.get(kind)
    return known(inner, packet, host) if known else Unsure(text_of(expression))


def _payload(inner: Mapping[str, Any], packet: Packet, _: Surroundings) -> Any:
    protocol, name = inner.get("protocol"), inner.get("field")
    if protocol in ("ip", "ip6"):
        if protocol != {4: "ip", 6: "ip6"}[packet.family]:
            return ABSENT
        if name == "daddr":
            return packet.destination
        if name == "saddr":
            return packet.source or UnsureSource(_FULL[packet.family])
        return packet.protocol if name in ("protocol", "nexthdr") else Unsure(f"{protocol} {name}")
    if protocol in ("tcp", "udp", "sctp", "th"):
        if protocol not in ("th", packet.protocol):
            return ABSENT
        return packet.port if name == "dport" else Unsure(f"{protocol} {name}")
    return Unsure(f"{protocol} {name}")


def _meta(inner: Mapping[str, Any], packet: Packet, _: Surroundings) -> Any:
    values = {
        "iifname": packet.in_device,
        "iif": packet.in_device,
        "oifname": packet.out_device,
        "oif": packet.out_device,
        "l4proto": packet.protocol,
        "nfproto": f"ipv{packet.family}",
        "protocol": {4: "ip", 6: "ip6"}[packet.family],
        "mark": packet.mark,
    }
    value = values.get(inner["key"])
    return Unsure(f"meta {inner['key']}") if value is None else value


def _ct(inner: Mapping[str, Any], packet: Packet, _: Surroundings) -> Any:
    values = {
        "state": frozenset(("new",)),
        "status": frozenset(("dnat",) if packet.translated else ()),
        "mark": 0,
        "direction": "original",
    }
    return values.get(inner["key"], Unsure(f"ct {inner['key']}"))


def _fib(inner: Mapping[str, Any], packet: Packet, host: Surroundings) -> Any:
    if inner.get("result") != "type" or "daddr" not in inner.get("flags", ()):
        return Unsure(text_of({"fib": inner}))
    return "local" if host.is_local(packet.destination) else "unicast"


_KINDS = {"payload": _payload, "meta": _meta, "ct": _ct, "fib": _fib}


def _combined(kind: str, parts: Sequence[Any]) -> Any:
    left, right = parts
    if isinstance(left, Unsure):
        return left
    if isinstance(left, UnsureSource):
        return UnsureSource(str(right)) if kind == "&" else Unsure("ip saddr")
    try:
        if isinstance(left, int) and isinstance(right, int):
            return left & right if kind == "&" else left | right
        if kind == "&":
            bits = int(ipaddress.ip_address(left)) & int(ipaddress.ip_address(right))
            return str(type(ipaddress.ip_address(left))(bits))
    except (ValueError, TypeError):
        pass
    return Unsure(f"{left} {kind} {right}")


def is_in(value: Any, right: Any, sets: Sets, packet: Packet, host: Surroundings) -> Tri:
    """Tell whether a value is one of what stands to the right of an operator."""
    if value is ABSENT:
        return False
    members = members_of(right, sets)
    if members is None:
        return None
    return any_of(is_member(value, each, packet, host) for each in members)


def members_of(right: Any, sets: Sets) -> Sequence[Any] | None:
    """Return the elements that are meant, nothing where those are not listed."""
    if isinstance(right, str) and right.startswith("@"):
        return sets.get(right[1:])
    if isinstance(right, dict) and "set" in right:
        inner = right["set"]
        return inner if isinstance(inner, list) else [inner]
    return right if isinstance(right, list) else [right]


def plain(element: Any) -> Any:
    """Return an element without its counter, comment and timeout."""
    if isinstance(element, dict) and "elem" in element:
        return element["elem"]["val"]
    return element


def is_member(value: Any, element: Any, packet: Packet, host: Surroundings) -> Tri:
    """Tell whether a value is an element: itself, a range or a prefix it is in."""
    element = plain(element)
    if isinstance(value, tuple):
        parts = element.get("concat", ()) if isinstance(element, dict) else ()
        if len(parts) != len(value):
            return None
        return all_of(
            is_member(each, part, packet, host) for each, part in zip(value, parts, strict=True)
        )
    if value is ABSENT:
        return False
    if isinstance(value, Unsure):
        return None
    if isinstance(value, UnsureSource):
        return _may_be_source(value, element, packet, host)
    if isinstance(value, frozenset):
        return element in value
    try:
        return _is(value, element)
    except (ValueError, TypeError, KeyError):
        return None


def _is(value: Any, element: Any) -> Tri:
    if isinstance(element, dict):
        ((kind, inner),) = element.items()
        if kind == "prefix":
            return network_of(value).subnet_of(network_of(f"{inner['addr']}/{inner['len']}"))  # type: ignore[arg-type]
        if kind == "range":
            first, last = [_number(end) for end in inner]
            return first <= _number(value) <= last
        return None
    if isinstance(value, int) and isinstance(element, str):
        return int(element, 0) == value
    if isinstance(element, int) and isinstance(value, str):
        return _PROTOCOLS.get(element) == value
    if isinstance(element, str) and element.endswith("*"):
        return str(value).startswith(element[:-1])
    if isinstance(value, str) and ":" in value and ":" in str(element):
        return ipaddress.ip_address(value) == ipaddress.ip_address(element)
    return bool(value == element)


def _number(value: Any) -> int:
    if isinstance(value, int):
        return value
    return int(value) if value.isdigit() else int(ipaddress.ip_address(value))


def _may_be_source(value: UnsureSource, element: Any, packet: Packet, host: Surroundings) -> Tri:
    try:
        if isinstance(element, dict):
            prefix = element["prefix"]
            return host.may_come_from(packet, network_of(f"{prefix['addr']}/{prefix['len']}"))
        return host.may_come_from(packet, network_of(f"{element}/{_prefix(value.mask)}"))
    except (KeyError, ValueError):
        return None


def _prefix(mask: str) -> int:
    return int(ipaddress.ip_address(mask)).bit_count()


def text_of(expression: Any) -> str:
    """Return an expression about as nft prints it for people."""
    if isinstance(expression, list):
        return "{ " + ", ".join(text_of(each) for each in expression) + " }"
    if not isinstance(expression, dict):
        return str(expression)
    if len(expression) != 1:
        return " ".join(f"{key} {text_of(each)}" for key, each in expression.items())
    ((kind, inner),) = expression.items()
    if kind in _JOINED:
        return _JOINED[kind].join(text_of(each) for each in inner)
    if kind in ("set", "elem", "val"):
        return text_of(inner)
    return _leaf(kind, inner)


def _leaf(kind: str, inner: Any) -> str:
    if kind == "payload" and "field" in inner:
        return f"{inner['protocol']} {inner['field']}"
    if kind in ("meta", "ct") and "key" in inner:
        return f"{inner['key'] if inner['key'] in _BARE else kind + ' ' + inner['key']}"
    if kind == "fib":
        return f"fib {' . '.join(inner.get('flags', ()))} {inner.get('result')}"
    if kind == "prefix":
        return f"{inner['addr']}/{inner['len']}"
    return f"{kind} {text_of(inner)}" if inner is not None else kind


_BARE = ("iifname", "oifname", "iif", "oif")
_JOINED = {"concat": " . ", "range": "-", "&": " & ", "|": " | "}
