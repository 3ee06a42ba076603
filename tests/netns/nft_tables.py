"""Our tables of nf_tables as a host has them: told the same way whatever order they are kept in."""

import json

from mesos_cni_port_mapper.portmap.nft_listing import NftListing, parse_nft_listing
from mesos_cni_port_mapper.portmap.nft_table import table_of
from tests.support.host import Host

_BOTH = "; ".join(f"nft -j list table {table_of(family)} 2>/dev/null" for family in (4, 6))


def own_listings(host: Host) -> dict[str, NftListing]:
    """Return our tables by family in nft's words, those there are."""
    printed = host.run(["sh", "-c", _BOTH], check=False).stdout.splitlines()
    return {_family_of(data): parse_nft_listing(data) for data in printed if data}


def _family_of(data: bytes) -> str:
    (family,) = {
        item["table"]["family"] for item in json.loads(data)["nftables"] if "table" in item
    }
    return str(family)


def own_lines(host: Host) -> list[str]:
    """Return every element, and every chain with what it holds, of our tables."""
    lines = []
    for family, listing in own_listings(host).items():
        for name, (hook, rules) in listing.chains.items():
            lines.append(f"{family} chain {name} {hook} {' '.join(rules)}")
        for name, held in listing.containers.items():
            lines.append(f"{family} {name}")
            lines += [f"{family} {name} {key} : {each.value}" for key, each in held.items()]
    return sorted(lines)
