"""Which tables a kernel has, found out without making any."""

import sys
from pathlib import Path

import pytest

from tests.support.host import SEARCH_PATH, Host

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": SEARCH_PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
LOOK = """
from mesos_cni_port_mapper.netfilter.existing import has_nft_table, has_table
for family in (4, 6):
    print(*[f"{family} {name}" for name in ("nat", "raw", "own") if has_table(family, name)],
          *[f"nft {family} {name}" for name in ("nat", "own") if has_nft_table(family, name)],
          sep="\\n", end="")
"""
NAMES = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")


def found(host: Host) -> list[str]:
    printed = host.run([sys.executable, "-c", LOOK], env=ENVIRONMENT).text
    return [line for line in printed.splitlines() if line]


def tables(host: Host) -> list[str]:
    """Return all there are, as the kernel tells it by other means."""
    legacy = host.run(["cat", *NAMES], check=False).text.splitlines()
    return legacy + host.run(["nft", "list", "tables"]).text.splitlines()


def test_looking_finds_nothing_and_makes_nothing(any_host: Host) -> None:
    assert tables(any_host) == []

    assert found(any_host) == []
    assert tables(any_host) == []


@pytest.mark.parametrize(("program", "family"), [("iptables", 4), ("ip6tables", 6)])
def test_a_table_of_iptables_is_found_in_its_family(
    any_host: Host, program: str, family: int
) -> None:
    any_host.run([program, "-t", "nat", "-N", "X"])

    of_nft = [f"nft {family} nat"] if any_host.variant == "nft" else []
    assert found(any_host) == [f"{family} nat", *of_nft]
    any_host.run([program, "-t", "raw", "-N", "X"])
    assert f"{family} raw" in found(any_host)


@pytest.mark.parametrize(("word", "family"), [("ip", 4), ("ip6", 6)])
def test_a_table_of_nftables_is_found_in_its_family(host: Host, word: str, family: int) -> None:
    host.run(["nft", "add", "table", word, "own"])
    host.run(["nft", "add", "table", "inet", "nat"])

    assert found(host) == [f"{family} own", f"nft {family} own"]
    host.run(["nft", "delete", "table", word, "own"])
    assert found(host) == []
