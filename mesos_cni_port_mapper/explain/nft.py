"""What ``nft -j list ruleset`` prints, read into rules that can be followed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mesos_cni_port_mapper.explain.expressions import (
    ABSENT,
    Sets,
    Unsure,
    is_in,
    is_member,
    members_of,
    plain,
    text_of,
    value_of,
)
from mesos_cni_port_mapper.explain.model import (
    DNAT,
    NFT,
    REDIRECT,
    Base,
    Effect,
    End,
    Go,
    Hide,
    Lookup,
    Match,
    Part,
    Rule,
    SetMark,
    Table,
    Translate,
    Unknown,
    Untrack,
)
from mesos_cni_port_mapper.explain.packet import Packet, Surroundings, Tri, negated
from mesos_cni_port_mapper.portmap.elements import ANY, LOCAL, OWNERS

_ENDS = ("accept", "drop", "reject", "return")
_PASSING = ("counter", "log", "ct helper", "ct timeout", "flow", "meter", "continue", "quota")


def parse_ruleset(document: Any, but: Collection[tuple[str, str]] = ()) -> list[Table]:
    """Parse a ruleset, but for tables known otherwise by family and name.

    Raises ``ValueError`` for what cannot be read.
    """
    try:
        items = [item for each in document["nftables"] for item in each.items()]
        tables = [(item["family"], item["name"]) for kind, item in items if kind == "table"]
        orders = orders_of(document)
        return [
            _parse_table(family, name, items, orders)
            for family, name in tables
            if (family, name) not in but and family in ("ip", "ip6", "inet")
        ]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"unexpected form: {error!r}") from error


def orders_of(document: Any) -> dict[tuple[str, str, str], int]:
    """Return in which order the kernel asks base chains of one priority, the first lowest.

    It puts each before those that are there already (nf_hook_entries_grow), and lists the oldest
    first.
    """
    chains = [each["chain"] for each in document["nftables"] if "chain" in each]
    return {
        (chain["family"], chain["table"], chain["name"]): -index
        for index, chain in enumerate(chains)
        if "hook" in chain
    }


def _parse_table(
    family: str,
    name: str,
    items: Sequence[tuple[str, Any]],
    orders: Mapping[tuple[str, str, str], int],
) -> Table:
    own = [
        (kind, item)
        for kind, item in items
        if item.get("family") == family and item.get("table") == name
    ]
    sets = {item["name"]: item.get("elem", []) for kind, item in own if kind in ("set", "map")}
    place = f"{NFT} table {family} {name}"
    rules: dict[str, list[Rule]] = {item["name"]: [] for kind, item in own if kind == "chain"}
    for kind, item in own:
        if kind == "rule":
            rules[item["chain"]].append(_parse_rule(place, item, sets))
    return Table(
        NFT,
        family,
        name,
        chains={chain: tuple(each) for chain, each in rules.items()},
        bases={
            item["name"]: Base(
                hook=item["hook"],
                kind=item["type"],
                priority=int(item["prio"]),
                order=orders[family, name, item["name"]],
                policy=item.get("policy", "accept"),
            )
            for kind, item in own
            if kind == "chain" and "hook" in item
        },
        opaque=any("xt" in each for kind, item in own if kind == "rule" for each in item["expr"]),
    )


def _parse_rule(place: str, rule: Mapping[str, Any], sets: Sets) -> Rule:
    statements = [next(iter(each.items())) for each in rule["expr"]]
    return Rule(
        place,
        rule["chain"],
        " ".join(_render(kind, inner) for kind, inner in statements),
        rule.get("comment", ""),
        tuple(
            part
            for kind, inner in statements
            for part in [_part(kind, inner, sets)]
            if part is not None
        ),
    )


def _render(kind: str, inner: Any) -> str:
    if kind == "match":
        operator = "" if inner["op"] in ("==", "in") else f"{inner['op']} "
        return f"{text_of(inner['left'])} {operator}{text_of(inner['right'])}"
    if kind in ("jump", "goto"):
        return f"{kind} {inner['target']}"
    if kind in ("vmap", "map"):
        return f"{text_of(inner['key'])} {kind} {text_of(inner['data'])}"
    if kind in ("dnat", "redirect", "snat"):
        return f"{kind} to {_render_target(inner or {})}"
    return kind


def _render_target(inner: Mapping[str, Any]) -> str:
    return ":".join(
        _render("map", each["map"]) if isinstance(each, dict) and "map" in each else text_of(each)
        for name in ("addr", "port")
        for each in [inner.get(name)]
        if each is not None
    )


def _part(kind: str, inner: Any, sets: Sets) -> Part | None:
    if kind in _ENDS:
        return End(kind)
    if kind in _PASSING:
        return None
    known = _PARTS.get(kind)
    return known(inner, sets) if known else Unknown(f"{kind} {text_of(inner or '')}".strip())


def _match(inner: Mapping[str, Any], sets: Sets) -> Part:
    left, right, operator = inner["left"], inner["right"], inner["op"]
    inverted = operator == "!="

    def test(packet: Packet, host: Surroundings) -> Tri:
        value = value_of(left, packet, host)
        if value is ABSENT:
            return False
        if operator in ("<", ">", "<=", ">="):
            return None
        found = is_in(value, right, sets, packet, host)
        return negated(found) if inverted else found

    device = isinstance(left, dict) and left.get("meta", {}).get("key") in ("iifname", "oifname")
    return Match(_render("match", inner), test, device=device)


def _vmap(inner: Mapping[str, Any], sets: Sets) -> Part:
    def find(packet: Packet, host: Surroundings) -> Effect | None:
        found, _ = _look_up(inner, sets, packet, host)
        if isinstance(found, Unsure):
            return Unknown(f"one of {text_of(inner['data'])}, by {found.text}")
        return None if found is None else _verdict(found)

    return Lookup(find)


def _verdict(value: Any) -> Effect:
    ((kind, inner),) = value.items()
    if kind in ("jump", "goto"):
        return Go(inner["target"], stays=kind == "goto")
    return End(kind) if kind in _ENDS else Unknown(text_of(value))


def _look_up(
    inner: Mapping[str, Any], sets: Sets, packet: Packet, host: Surroundings
) -> tuple[Any, str]:
    """Return what a map has for a packet, nothing, or ``Unsure``; and whose element it is."""
    key, data = value_of(inner["key"], packet, host), inner["data"]
    elements = members_of(data, sets)
    if elements is None:
        return Unsure("a map that is not listed"), ""
    doubt: Unsure | None = None
    for element, value in elements:
        answer = is_member(key, element, packet, host)
        if answer:
            return value, _owner(sets, data, plain(element))
        if answer is None:
            doubt = key if isinstance(key, Unsure) else Unsure(text_of(inner["key"]))
    return doubt, ""


def _owner(sets: Sets, data: Any, key: Any) -> str:
    """Return the tag of the owner of an element, in a table of ours."""
    if not isinstance(data, str):
        return ""
    name = data[1:]
    if name.startswith(LOCAL):
        # A port of all addresses of loopback comes with one of all the others, and is owned there.
        name = ANY + name.removeprefix(LOCAL)
    for element, _ in sets.get(f"{name}{OWNERS}", ()):
        if plain(element) == key and isinstance(element, dict) and "elem" in element:
            return str(element["elem"].get("comment", ""))
    return ""


def _dnat(inner: Mapping[str, Any], sets: Sets) -> Part:
    def find(packet: Packet, host: Surroundings) -> Effect | None:
        if inner.get("family") not in (None, {4: "ip", 6: "ip6"}[packet.family]):
            return None
        address, tag = _operand(inner.get("addr"), sets, packet, host)
        port, _ = _operand(inner.get("port"), sets, packet, host)
        if isinstance(address, Unsure) or isinstance(port, Unsure):
            return Unknown(_render("dnat", inner))
        if isinstance(address, dict) and "concat" in address:
            address, port = address["concat"][:2]
        if address is None and isinstance(inner.get("addr"), dict):
            return None
        if isinstance(address, dict):
            return Unknown(_render("dnat", inner))
        return Translate(DNAT, str(address), _port(port, packet), tag)

    return Lookup(find)


def _redirect(inner: Mapping[str, Any] | None, sets: Sets) -> Part:
    def find(packet: Packet, host: Surroundings) -> Effect | None:
        port, tag = _operand((inner or {}).get("port"), sets, packet, host)
        if isinstance(port, Unsure):
            return Unknown(_render("redirect", inner))
        return Translate(REDIRECT, "", _port(port, packet), tag)

    return Lookup(find)


def _operand(value: Any, sets: Sets, packet: Packet, host: Surroundings) -> tuple[Any, str]:
    if isinstance(value, dict) and "map" in value:
        return _look_up(value["map"], sets, packet, host)
    return value, ""


def _port(value: Any, packet: Packet) -> int:
    if isinstance(value, dict):
        return 0
    return packet.port if value is None else int(value)


def _mangle(inner: Mapping[str, Any], _: Sets) -> Part | None:
    if inner.get("key") != {"meta": {"key": "mark"}}:
        return None
    nobody = Surroundings(interfaces={}, route=lambda _: "", setting=lambda _: "")

    def change(packet: Packet) -> int | None:
        value = value_of(inner["value"], packet, nobody)
        return value if isinstance(value, int) else None

    return SetMark(change)


_PARTS: dict[str, Callable[[Any, Sets], Part | None]] = {
    "match": _match,
    "vmap": _vmap,
    "dnat": _dnat,
    "redirect": _redirect,
    "mangle": _mangle,
    "jump": lambda inner, _: Go(inner["target"]),
    "goto": lambda inner, _: Go(inner["target"], stays=True),
    "masquerade": lambda _inner, _sets: Hide("masquerade"),
    "snat": lambda _inner, _sets: Hide("snat"),
    "notrack": lambda _inner, _sets: Untrack(),
    "limit": lambda _inner, _sets: Match("limit", lambda _packet, _host: None),
}
