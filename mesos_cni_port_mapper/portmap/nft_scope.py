"""For which packets a rule of nf_tables is, read out of what ``nft -j list ruleset`` prints.

Only rules that rewrite destinations themselves are read (dnat, redirect, tproxy), with the ports
that they or the maps they look targets up in are for. Those that iptables made say nothing of their
targets here.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.scope import ALL_PORTS, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Ranges = tuple[tuple[int, int], ...]

_REWRITING = {"dnat": "DNAT", "redirect": "REDIRECT", "tproxy": "TPROXY"}
_WORDS = {4: "ip", 6: "ip6"}
_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}


def find_scopes(document: Any, family: int, own_table: str) -> list[tuple[str, Scope]]:
    """Return the rules of others that rewrite destinations in a family, each with where it is.

    What cannot be read raises ``ValueError``.
    """
    try:
        items = [item for each in document["nftables"] for item in each.items()]
        maps = {
            (item["family"], item["table"], item["name"]): item.get("elem", [])
            for kind, item in items
            if kind == "map"
        }
        based = {
            (item["family"], item["table"], item["name"])
            for kind, item in items
            if kind == "chain" and "hook" in item
        }
        return [
            (f"table {rule['family']} {rule['table']} chain {rule['chain']}", scope)
            for kind, rule in items
            if kind == "rule"
            and rule["table"] != own_table
            and family in _FAMILIES.get(rule["family"], ())
            for scope in _scopes_of(rule, maps, family)
            # What leads to other chains may say the port, and is not followed.
            if scope.ports != ALL_PORTS or (rule["family"], rule["table"], rule["chain"]) in based
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"unexpected form: {error!r}") from error


def _scopes_of(
    rule: Mapping[str, Any], maps: Mapping[tuple[str, str, str], Any], family: int
) -> list[Scope]:
    """Return one scope for a rule, or for each element of the map it finds its target in."""
    scope = Scope()
    for statement in rule["expr"]:
        ((kind, inner),) = statement.items()
        if kind == "match":
            if _is_of_another_family(inner, family):
                return []
            scope = _narrow(scope, inner)
        elif kind in _REWRITING:
            if (inner or {}).get("family") not in (None, _WORDS[family]):
                return []
            scope = scope.but(target=_REWRITING[kind])
            looked_up = _map_in(inner)
            if looked_up is None:
                return [scope]
            data = looked_up["data"]
            if isinstance(data, str):
                elements = maps.get((rule["family"], rule["table"], data.removeprefix("@")), [])
            else:
                elements = data["set"]
            return [_with_key(scope, looked_up["key"], key) for key, _ in elements]
    return []


def _is_of_another_family(match: Mapping[str, Any], family: int) -> bool:
    """Tell whether a match asks for the family (``meta nfproto``) that is not meant."""
    left = match["left"]
    asked = isinstance(left, dict) and left.get("meta", {}).get("key") == "nfproto"
    return asked and (match["right"] == f"ipv{family}") != (match["op"] == "==")


def _map_in(target: Any) -> Mapping[str, Any] | None:
    for value in (target or {}).values():
        if isinstance(value, dict) and "map" in value:
            found: Mapping[str, Any] = value["map"]
            return found
    return None


def _narrow(scope: Scope, match: Mapping[str, Any]) -> Scope:
    if match["op"] not in ("==", "in"):
        return scope.but(narrowed=True)
    return _with_key(scope, match["left"], match["right"])


def _with_key(scope: Scope, left: Any, right: Any) -> Scope:
    """Return a scope for packets of which ``left`` is ``right``."""
    if isinstance(right, dict) and "elem" in right:
        right = right["elem"]["val"]
    if "concat" in left:
        for part, value in zip(left["concat"], right["concat"], strict=False):
            scope = _with_key(scope, part, value)
        return scope
    if left.get("meta", {}).get("key") == "l4proto":
        return scope.but(protocol=right) if isinstance(right, str) else scope
    payload = left.get("payload", {})
    field, protocol = payload.get("field"), payload.get("protocol")
    if field == "protocol" or field == "nexthdr":
        return scope.but(protocol=right) if isinstance(right, str) else scope
    if field == "dport":
        known = scope if protocol == "th" else scope.but(protocol=protocol)
        return known.but(ports=_ranges(_members(right)))
    if field == "daddr" and isinstance(right, str):
        return scope.but(destination=right + ("/128" if ":" in right else "/32"))
    return scope.but(narrowed=True)


def _members(value: Any) -> list[Any]:
    return list(value["set"]) if isinstance(value, dict) and "set" in value else [value]


def _ranges(members: Iterable[Any]) -> Ranges:
    values = [
        member["elem"]["val"] if isinstance(member, dict) and "elem" in member else member
        for member in members
    ]
    ends = [value["range"] if isinstance(value, dict) else (value, value) for value in values]
    return tuple([(int(first), int(last)) for first, last in ends])
