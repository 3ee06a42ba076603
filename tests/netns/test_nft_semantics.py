"""What nf_tables does with a batch: the tables in memory of the unit tests do the same."""

import random

import pytest

from mesos_cni_port_mapper.portmap.nft_listing import NftListing, parse_nft_listing
from mesos_cni_port_mapper.portmap.nft_table import BASE, NAME, declare_part, table_of
from tests.support.host import Host
from tests.unit.memory_nft import MemoryNft
from tests.unit.memory_table import RefusedError

BATCHES = 40
TABLES = {family: table_of(family) for family in (4, 6)}
OTHER = {4: "192.0.2.{}", 6: "2001:db8::{}"}
ONE = {4: "198.51.100.1", 6: "2001:db8:1::1"}
HOOK = "type nat hook prerouting priority"
IDENTITIES = ["fd00::a", "fd00::b"]


def any_line(chance: random.Random, family: int) -> str:
    """Return a command of the kinds that the plans are made of, which may or may not work."""
    table = TABLES[family]
    port = chance.randint(1, 4)
    span = f"{port}-{port + chance.randint(1, 2)}"
    target = OTHER[family].format(chance.randint(2, 3))
    owner = chance.choice(IDENTITIES)
    chain = f"at-{chance.choice('ab')}"
    element = chance.choice(
        [
            ("any", f"tcp . {port}", f"{target} . {port}"),
            ("any-owners", f"tcp . {port}", owner),
            ("any-owners", f"tcp . {port}", owner),
            ("any-runs", f"tcp . {span}", target),
            ("any-runs-owners", f"tcp . {span}", owner),
            ("one-runs", f"{ONE[family]} . udp . {span}", target),
            ("any-excluded", f'"cni0" . sctp . {port}', ""),
            ("any-excluded-runs", f'"cni0" . sctp . {span}', ""),
            ("any-odd", f"tcp . {port}", f"jump {chain}"),
            ("hidden24", f"{ONE[family]} . {target}", ""),
        ]
    )
    place, key, value = element
    comment = chance.choice(["", f' comment "of {owner}"'])
    return chance.choice(
        [
            *5 * [f"add element {table} {place} {{ {key}{comment}{value and f' : {value}'} }}"],
            *4 * [f"delete element {table} {place} {{ {key} }}"],
            f"add chain {table} {chain}",
            f"add rule {table} {chain} tcp dport {port} dnat to {target}",
            f"add rule {table} ports jump {chain}",
            f"flush chain {table} {chance.choice([chain, 'ports'])}",
            f"delete chain {table} {chain}",
            f"add chain {table} prerouting {{ {HOOK} {chance.choice([-90, -90, -100])}; }}",
        ]
    )


def any_batch(chance: random.Random) -> list[str]:
    lines = [any_line(chance, chance.choice([4, 4, 6])) for _ in range(chance.randint(1, 4))]
    whole = [f"{chance.choice(['add', 'create', 'delete'])} table {TABLES[4]}"]
    return whole if chance.random() < 0.03 else lines


def carried_out(memory: MemoryNft, lines: list[str]) -> bool:
    try:
        memory.carry_out(lines)
    except RefusedError:
        return False
    return True


def listed(host: Host, family: int) -> NftListing | None:
    done = host.run(["nft", "-j", "list", "table", *TABLES[family].split(" ")], check=False)
    if done.status != 0:
        return None
    listing = parse_nft_listing(done.stdout)
    # Nothing is counted in memory.
    containers = {
        name: {key: held.but(counted=None) for key, held in elements.items()}
        for name, elements in listing.containers.items()
    }
    return listing.but(containers=containers)


def declared(family: int) -> list[str]:
    parts = [line for part in (BASE, "hidden24") for line in declare_part(family, part)]
    return [f"add table {TABLES[family]}", *parts]


@pytest.mark.parametrize("seed", range(2))
def test_tables_in_memory_are_like_the_kernel_s(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    memory = MemoryNft()
    outcomes = set()

    for number in range(BATCHES):
        missing = [family for family in TABLES if family not in memory.tables]
        lines = [line for family in missing for line in declared(family)] or any_batch(chance)
        done = host.run(["nft", "-f", "-"], "\n".join([*lines, ""]).encode(), check=False)
        good = done.status == 0
        assert carried_out(memory, lines) == good, (seed, number, lines, done.stderr)
        outcomes.add(good)
        for family in TABLES if good else ():
            assert listed(host, family) == memory.listing(family), (seed, number, lines)

    assert outcomes == {True, False}
    assert NAME in TABLES[4]
