"""What ``nft -j list table`` prints, read back into the words that elements are planned in.

The form is libnftables-json(5)'s. A chain's rules are known by their comments: every version prints
expressions in its own way.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
"""As which nft(8) prints them on a host whose /etc/protocols does not name them."""


class Held(Value):
    """What is held under a key: a value, "" in a set, and a comment, "" for none.

    ``counted`` are packets and bytes, where the kernel counts them.
    """

    value: str = ""
    comment: str = ""
    counted: tuple[int, int] | None = None


class NftListing(Value):
    """A table: elements by container and key, and chains with what hooks them and their rules."""

    containers: dict[str, dict[str, Held]]
    chains: dict[str, tuple[str, tuple[str, ...]]]


def parse_nft_listing(data: bytes) -> NftListing:
    """Parse a listing of one table, or raise ``ValueError``."""
    document = codec.decode(data)
    try:
        items = [item for each in document["nftables"] for item in each.items()]
        chains = {
            item["name"]: (_hook_of(item), _rules_of(items, item)) for item in _of(items, "chain")
        }
        containers = {
            item["name"]: dict(
                [_element_of(each, item.get("type")) for each in item.get("elem", ())]
            )
            for item in [*_of(items, "set"), *_of(items, "map")]
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"unexpected form: {error!r}") from error
    return NftListing(containers=containers, chains=chains)


def _of(items: list[tuple[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for name, item in items if name == kind]


def _hook_of(chain: dict[str, Any]) -> str:
    if "hook" not in chain:
        return ""
    return f"type {chain['type']} hook {chain['hook']} priority {chain['prio']}"


def _rules_of(items: list[tuple[str, Any]], chain: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        [rule.get("comment", "") for rule in _of(items, "rule") if rule["chain"] == chain["name"]]
    )


def _element_of(element: Any, kinds: Any) -> tuple[str, Held]:
    key, value = element if isinstance(element, list) else (element, "")
    comment, counted = "", None
    if isinstance(key, dict) and "elem" in key:
        comment = key["elem"].get("comment", "")
        counter = key["elem"].get("counter")
        if counter is not None:
            counted = (int(counter["packets"]), int(counter["bytes"]))
        key = key["elem"]["val"]
    if isinstance(key, dict) and isinstance(kinds, list):
        parts = zip(kinds, key["concat"], strict=True)
        key = {
            "concat": [
                _PROTOCOLS.get(part, part) if kind == "inet_proto" else part for kind, part in parts
            ]
        }
    return _text_of(key), Held(value=_text_of(value), comment=comment, counted=counted)


def _text_of(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    ((kind, inner),) = value.items()
    if kind == "concat":
        return " . ".join([_text_of(part) for part in inner])
    if kind == "range":
        return "-".join([_text_of(end) for end in inner])
    if kind == "prefix":
        return f"{inner['addr']}/{inner['len']}"
    return f"{kind} {inner['target']}"
