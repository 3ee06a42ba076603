"""The declaration of a table: what nft(8) is told once for each family."""

import pytest

from mesos_cni_port_mapper.portmap.nft_table import BASE, chains_of, declare_part, table_of
from tests.unit.memory_nft import MemoryNft

PARTS = {4: [BASE, "guard", "hidden0", "hidden24", "hidden8"], 6: [BASE, "hidden0", "hidden64"]}


def declared(family: int, *parts: str) -> MemoryNft:
    memory = MemoryNft()
    lines = [line for part in parts for line in declare_part(family, part)]
    memory.carry_out([f"create table {table_of(family)}", *lines])
    return memory


@pytest.mark.parametrize("family", [4, 6])
def test_every_set_and_map_that_is_looked_into_is_declared(family: int) -> None:
    # A rule that names a set which is not there is refused.
    assert set(declared(family, *PARTS[family]).tables) == {family}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("again", range(3))
def test_a_part_may_be_declared_again(family: int, again: int) -> None:
    memory = declared(family, *PARTS[family])
    before = memory.listing(family)

    memory.carry_out(declare_part(family, PARTS[family][again]))

    assert memory.listing(family) == before


@pytest.mark.parametrize("family", [4, 6])
def test_rules_are_told_apart_by_their_comments(family: int) -> None:
    listing = declared(family, *PARTS[family]).listing(family)

    assert listing is not None
    for part in PARTS[family]:
        for name, (hook, rules) in chains_of(family, part).items():
            numbered = tuple(f"{name}-{index}" for index in range(len(rules)))
            assert listing.chains[name] == (hook, numbered)


def test_loopback_is_guarded_before_anything_sees_a_packet() -> None:
    assert chains_of(4, "guard") == {
        "guard": (
            "type filter hook prerouting priority -300",
            ['iifname != "lo" ip daddr 127.0.0.0/8 drop'],
        )
    }


def test_a_source_is_hidden_where_conntrack_knows_of_a_mapping() -> None:
    assert chains_of(6, "hidden64")["hidden64"][1] == [
        "ct status dnat ip6 saddr & ffff:ffff:ffff:ffff:: . ip6 daddr @hidden64 masquerade"
    ]
