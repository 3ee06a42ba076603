"""Transactions for nft(8), decided here and committed elsewhere.

Each function returns commands for one ``nft -f -``, which carries them all out or none, over both
families. To delete an element only if it is one's own, it is first added as it should be: that is
refused if it has another value, and nothing if it is there or gone. Owners' identities are the
values that are compared so.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.elements import EXCLUDED, OWNERS, chain_of
from mesos_cni_port_mapper.portmap.nft_table import BASE, declare_part, table_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mesos_cni_port_mapper.portmap.elements import Content, Element


def plan_parts(family: int, needed: Iterable[str], known: Collection[str]) -> list[str]:
    """Make what is not known to be there; a table that should not be there must not be."""
    missing = [part for part in (BASE, *needed) if part not in known]
    lines = [f"create table {table_of(family)}"] if BASE in missing else []
    return lines + [line for part in missing for line in declare_part(family, part)]


def plan_repair(family: int, parts: Iterable[str]) -> list[str]:
    """Make everything that is needed, whatever is there."""
    lines = [f"add table {table_of(family)}"]
    return lines + [line for part in (BASE, *parts) for line in declare_part(family, part)]


def plan_dissolution(family: int) -> list[str]:
    """Remove the table, whatever is in it."""
    return [f"delete table {table_of(family)}"]


def plan_transition(family: int, before: Sequence[Content], after: Sequence[Content]) -> list[str]:
    """Replace contents by others, refused unless what goes is as it was or is gone already."""
    going = find_going(before)
    if going and after:
        stays = {element for content in after for element in content.elements}
        going = [element for element in going if element not in stays]
    left = dict.fromkeys(
        [each.identity for each in before if each.rules and not _has_rules(each, after)]
    )
    return [
        *[line for each in left for line in _make_chain(family, each, ())],
        *[line for each in after for line in _make_own_chain(family, each)],
        *_add(family, going),
        *_delete(family, going),
        *_add(family, [element for content in after for element in content.elements]),
        *[line for each in left for line in _remove_chain(family, chain_of(each))],
    ]


def find_going(before: Sequence[Content]) -> list[Element]:
    """Return the elements of contents, each once."""
    # An ADD that broke off leaves two records of its attachment, with much in common.
    return list(dict.fromkeys([element for content in before for element in content.elements]))


def plan_exchange(
    family: int, going: Sequence[Element], after: Sequence[Content], chains: Iterable[str]
) -> list[str]:
    """Remove elements and chains that a listing showed, and add contents."""
    return [
        *[line for each in after for line in _make_own_chain(family, each)],
        *_delete(family, going),
        *_add(family, [element for content in after for element in content.elements]),
        *[line for each in chains for line in _remove_chain(family, each)],
    ]


def _has_rules(content: Content, after: Sequence[Content]) -> bool:
    return any(each.rules and each.identity == content.identity for each in after)


def _make_own_chain(family: int, content: Content) -> list[str]:
    return _make_chain(family, content.identity, content.rules) if content.rules else []


def _make_chain(family: int, identity: str, rules: Sequence[str]) -> list[str]:
    chain = f"{table_of(family)} {chain_of(identity)}"
    return [
        f"add chain {chain}",
        f"flush chain {chain}",
        *[f"add rule {chain} {rule}" for rule in rules],
    ]


def _remove_chain(family: int, name: str) -> list[str]:
    chain = f"{table_of(family)} {name}"
    return [f"flush chain {chain}", f"delete chain {chain}"]


def _add(family: int, elements: Iterable[Element]) -> list[str]:
    return [
        f"add element {table_of(family)} {container} {{ {', '.join(texts)} }}"
        for container, texts in _by_container(elements, whole=True).items()
    ]


def _delete(family: int, elements: Iterable[Element]) -> list[str]:
    return [
        f"delete element {table_of(family)} {container} {{ {', '.join(texts)} }}"
        for container, texts in _by_container(elements, whole=False).items()
    ]


def _by_container(elements: Iterable[Element], *, whole: bool) -> dict[str, list[str]]:
    """Return the text of elements by their set or map, of owners first: they are what refuses."""
    found: dict[str, list[str]] = {}
    for element in elements:
        text = _quoted(element.key) if EXCLUDED in element.container else element.key
        if whole and element.comment:
            text += f' comment "{element.comment}"'
        if whole and element.value:
            text += f" : {element.value}"
        found.setdefault(element.container, []).append(text)
    return dict(sorted(found.items(), key=lambda item: not item[0].endswith(OWNERS)))


def _quoted(key: str) -> str:
    """Return the key of an excluded device, whose name may look like anything."""
    device, _, port = key.partition(" . ")
    return f'"{device}" . {port}'
