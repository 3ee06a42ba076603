"""Make what was seen of a run comparable: names and MACs become roles, and each fact has a key."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Facts = dict[str, Any]
# Of a link by place and name: what it is called here.
Names = dict[tuple[str, str], str]
# The links and the routes of each place.
Networks = dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]

# Numbers of the kernel's own, clocks, and what follows the carrier a moment later.
_VOLATILE = frozenset(
    [
        "ifindex",
        "link_index",
        "link_netnsid",
        "operstate",
        "stats",
        "stats64",
        "addr_info",
        "broadcast",
        "bridge_id",
        "root_id",
        "root_path_cost",
        "root_port",
        "designated_root",
        "designated_bridge",
        "designated_port",
        "designated_cost",
        "hello_timer",
        "tcn_timer",
        "topology_change_timer",
        "gc_timer",
        "topology_change",
        "topology_change_detected",
        "hold_timer",
        "message_age_timer",
        "forward_delay_timer",
        "topology_change_ack",
        "config_pending",
        "state",
        "id",
        "no",
        "mcast_router",
        "backup_port",
    ]
)
_CARRIER = frozenset(["LOWER_UP", "NO-CARRIER", "M-DOWN"])
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_NOBODYS = ("", "00:00:00:00:00:00")
_LINK = re.compile(r"(\w+) link (.+)")
_THERE = "is there"
# What a step answered, which is not there any more after the next.
_ANSWER = re.compile(r"status$|code$|output$|shown$|result\b")
# Addresses that the kernel makes of MACs, whenever the carrier comes.
_LINK_LOCAL = re.compile(r"fe80::|ff00::/8|ff02::")


def macs_in(text: str) -> frozenset[str]:
    """Return the MACs that a case names, which are compared as they are."""
    return frozenset(match.group().lower() for match in _MAC.finditer(text))


def facts_of_run(
    records: Sequence[Mapping[str, Any]],
    known_macs: frozenset[str],
    baseline: Mapping[str, Any],
) -> list[Facts]:
    """Return for each step of a run what was answered and what was there after it, by key.

    ``baseline`` is the state before the first step; a state tells only what has changed since.
    """
    seen: list[Facts] = []
    networks = _parsed(baseline)
    names = _roles(networks)
    kernel = _kernel(networks, baseline["rules"], names, known_macs)
    for record in records:
        state = record["state"]
        if state["networks"] is not None:
            networks = _parsed(state)
            names = _roles(networks)
            kernel = _kernel(networks, state["rules"], names, known_macs)
        facts = kernel | _sysctls(state["sysctls"], names)
        facts |= {f"file {path}": text for path, text in state["files"].items()}
        facts |= _answer(record, names, _addresses_of_links(networks))
        if "shown" in record:
            facts["shown"] = _renamed(record["shown"], names)
        seen.append(facts)
    return seen


def differences(
    theirs: Sequence[Facts], ours: Sequence[Facts], labels: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    """Return what differs, theirs and ours, by step and key; None where one lacks it.

    What differs in the same way after one step and after the next is told once, and of a link that
    one side lacks that it lacks it.
    """
    found: dict[str, tuple[Any, Any]] = {}
    before: dict[str, tuple[Any, Any]] = {}
    for label, their, our in zip(labels, theirs, ours, strict=True):
        now = {
            key: (their.get(key), our.get(key))
            for key in sorted(their.keys() | our.keys())
            if their.get(key) != our.get(key)
        }
        implied = _implied(now)
        found |= {
            f"{label}: {key}": pair
            for key, pair in now.items()
            if not implied(key) and (_ANSWER.match(key) or before.get(key) != pair)
        }
        before = now
    return found


def _implied(now: Mapping[str, tuple[Any, Any]]) -> Callable[[str], object]:
    """Return how to tell what follows from another difference."""
    patterns = ["$."]  # Nothing, for where there is no such difference.
    for key in now:
        if _THERE in now[key] and (link := _LINK.fullmatch(key)):
            place, name = map(re.escape, link.groups())
            patterns.append(
                rf"{place} (link {name} |address {name} |sysctl net/ipv./conf/{name}/|"
                rf"route .* dev {name}( again)*$)"
            )
    if "status" in now:
        patterns.append("output$|result ")
    return re.compile("|".join(patterns)).match


def _parsed(state: Mapping[str, Any]) -> Networks:
    networks = {}
    for place, text in state["networks"].items():
        links, routes = _documents(text)
        networks[place] = (links, routes)
    return networks


def _documents(text: str) -> Iterator[list[dict[str, Any]]]:
    decoder, end = json.JSONDecoder(), 0
    while end < len(text.rstrip()):
        document, end = decoder.raw_decode(text, end)
        yield document
        end += len(text[end:]) - len(text[end:].lstrip())


def _roles(networks: Networks) -> Names:
    """Name each link; one with an invented name by the container's link at its other end."""
    names = {
        (place, link["ifname"]): link["ifname"]
        for place, (links, _) in networks.items()
        for link in links
    }
    ends = {
        (link["ifindex"], link.get("link_index")): (place, link["ifname"])
        for place, (links, _) in networks.items()
        if place not in {"host", "client"}
        for link in links
        if _kind(link) == "veth"
    }
    for link in networks["host"][0]:
        other = ends.get((link.get("link_index"), link["ifindex"]))
        if _kind(link) == "veth" and link["ifname"] != "eth0":
            role = f"peer of {other[1]} in {other[0]}" if other else "peer of nothing"
            names["host", link["ifname"]] = role
    return names


def _kind(link: Mapping[str, Any]) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _addresses_of_links(networks: Networks) -> dict[tuple[str, str], str]:
    return {
        (place, link["ifname"]): link.get("address", "")
        for place, (links, _) in networks.items()
        for link in links
    }


def _kernel(
    networks: Networks, rules: Sequence[str], names: Names, known_macs: frozenset[str]
) -> Facts:
    facts = _rules(rules)
    for place, (links, routes) in networks.items():
        facts |= _links(place, links, names, known_macs) | _routes(place, routes, names)
    return facts


def _links(
    place: str, links: list[dict[str, Any]], names: Names, known_macs: frozenset[str]
) -> Facts:
    facts: Facts = {}
    for link in links:
        name = names[place, link["ifname"]]
        head = f"{place} link {name}"
        facts[head] = _THERE
        facts |= dict(_flat(head, {"flags": link["flags"], **link}, place, names, known_macs))
        for address in link["addr_info"]:
            if not _LINK_LOCAL.match(address.get("local", "")):
                key = f"{place} address {name} {address['local']}/{address['prefixlen']}"
                label = "its link's" if address.get("label") == link["ifname"] else "another"
                facts[key] = _shown({**address, "label": label}, {"local", "prefixlen", "family"})
    return facts


def _flat(
    head: str, value: Any, place: str, names: Names, known_macs: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "ifname" or key in _VOLATILE:
                continue
            if key in {"master", "link"}:
                yield f"{head} {key}", names.get((place, inner), inner)
            else:
                yield from _flat(f"{head} {key}", inner, place, names, known_macs)
    elif isinstance(value, list):
        yield head, " ".join(sorted(set(map(str, value)) - _CARRIER))
    elif isinstance(value, str) and _MAC.fullmatch(value):
        named = value in known_macs or value in _NOBODYS
        yield head, value if named else "a MAC"
    else:
        yield head, value


def _shown(document: Mapping[str, Any], without: set[str]) -> str:
    return ", ".join(
        f"{key} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in sorted(document.items())
        if key not in without and value != []
    )


def _routes(place: str, routes: list[dict[str, Any]], names: Names) -> Facts:
    facts: Facts = {}
    for route in routes:
        if _LINK_LOCAL.match(route["dst"]):
            continue
        dev = route.get("dev", "")
        head = f"{place} route {route['table']} {route['type']} {route['dst']}"
        head += f" dev {names.get((place, dev), dev)}"
        flags = sorted(set(route["flags"]) - {"linkdown", "dead"})
        rest = {key: value for key, value in route.items() if key != "flags"} | {"flags": flags}
        key = head
        while key in facts:
            key += " again"
        facts[key] = _shown(rest, {"table", "type", "dst", "dev"})
    return facts


def _sysctls(sysctls: Mapping[str, Mapping[str, str]], names: Names) -> Facts:
    facts: Facts = {}
    for place, values in sysctls.items():
        for path, value in values.items():
            parts = path.split("/")
            if len(parts) == 5:
                parts[3] = names.get((place, parts[3]), parts[3])
            facts[f"{place} sysctl {'/'.join(parts)}"] = value
    return facts


def _rules(saves: Sequence[str]) -> Facts:
    chains: dict[str, list[str]] = {}
    for family, save in zip(("ipv4", "ipv6"), saves, strict=True):
        table = ""
        for line in save.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                chains.setdefault(f"{family} rules {table} {chain}", []).append(rule)
            elif re.match(r":\S+ - ", line):
                chains.setdefault(f"{family} rules {table} {line[1:].split()[0]}", [])
    return {key: "\n".join(rules) for key, rules in chains.items()}


def _answer(record: Mapping[str, Any], names: Names, own: Mapping[tuple[str, str], str]) -> Facts:
    if "status" not in record:
        return {}
    facts: Facts = {"status": record["status"]}
    try:
        document = json.loads(record["output"])
    except ValueError:
        facts["output"] = record["output"]
        return facts
    if record["status"] != 0:
        facts["code"] = document.get("code")
        return facts
    for interface in document.get("interfaces", []):
        sandbox = interface.get("sandbox", "")
        link = (sandbox.rpartition("/")[2] or "host", interface["name"])
        interface["name"] = names.get(link, f"no link {interface['name']}")
        if "mac" in interface and interface["mac"] == own.get(link):
            interface["mac"] = "its own"
    return facts | dict(_document("result", document))


def _document(head: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _document(f"{head} {key}", inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _document(f"{head} {index}", inner)
    else:
        yield head, value


def _renamed(text: str, names: Names) -> str:
    for (_, name), role in names.items():
        text = re.sub(rf"\b{re.escape(name)}\b", role, text)
    return text
