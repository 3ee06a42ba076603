"""The native back end without nft(8): what is deleted by its bytes, and what nft is needed for."""

from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.traffic import Traffic
from tests.unit.memory_host import MemoryHost, record


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    host = MemoryHost(tmp_path, monkeypatch)
    host.install_nft()
    return host


def native(container_id: str, *ports: int, **fields: Any) -> Record:
    number = ord(container_id[0])
    addresses = (f"192.0.2.{number}/24", f"2001:db8::{number}/64")
    return record(container_id, *ports, **{"backend": "nftables", "addresses": addresses, **fields})


def owned(host: MemoryHost, family: int = 4, scope: str = "any") -> dict[str, str]:
    """Return whose each port is."""
    assert host.nft is not None
    listing = host.nft.memory.listing(family)
    held = listing.containers[f"{scope}-owners"] if listing else {}
    return {key: each.comment.split()[1] for key, each in held.items()}


def test_who_leaves_others_in_the_tables_needs_no_tool(host: MemoryHost) -> None:
    hidden = Traffic(snat=True, localhost=True)
    host.add(native("a", 1, 3, traffic=hidden))
    host.add(native("b", 2, traffic=hidden))
    host.told()

    host.delete(native("a", 1, 3))

    assert host.told() == ["nft deleted"]
    assert [owned(host, family) for family in (4, 6)] == [{"tcp . 2": "b"}] * 2


def test_the_last_one_s_table_goes_by_the_tool(host: MemoryHost) -> None:
    host.add(native("a", 1))
    host.told()

    host.delete(native("a", 1))

    assert host.told() == ["nft committed"]
    assert host.nft is not None
    assert host.nft.memory.tables == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"excluded_devices": ("eth1",)},
        {"traffic": Traffic(conditions_v4=("-s", "192.0.2.0/24"))},
        {"traffic": Traffic(mark=0x40)},
    ],
    ids=["device", "condition", "mark"],
)
def test_what_is_no_plain_port_goes_by_the_tool(host: MemoryHost, fields: dict[str, Any]) -> None:
    host.add(native("a", 1, **fields))
    host.add(native("b", 2))
    host.told()

    host.delete(native("a", 1, **fields))

    assert host.told() == ["nft committed"]
    assert [owned(host, family) for family in (4, 6)] == [{"tcp . 2": "b"}] * 2


def test_an_element_that_was_given_to_another_is_left(host: MemoryHost) -> None:
    host.add(native("a", 1, 3))
    host.add(native("b", 2))
    assert host.nft is not None
    owners = host.nft.memory.tables[4].containers["any-owners"].elements
    owners["tcp . 3"] = owners["tcp . 2"]
    host.told()

    host.delete(native("a", 1, 3))

    assert host.told()[0].startswith("nft refused")
    assert owned(host) == {"tcp . 2": "b", "tcp . 3": "b"}


def test_ports_go_back_by_the_tool_if_just_their_claim_was_not_written(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    host.add(native("a", 1))
    with monkeypatch.context() as patch, pytest.raises(CniError):
        patch.setattr(Ledger, "claim", fail)
        host.add(native("b", 1))
    assert owned(host) == {"tcp . 1": "b"}

    host.delete(native("b", 1))

    assert [owned(host, family) for family in (4, 6)] == [{"tcp . 1": "a"}] * 2
