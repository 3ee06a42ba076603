"""The state directory: records, claims and chains, and what others may have left in it."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux.lock import is_held
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import Attachment, record_name
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from tests.unit.wishes import attachment, mapping, owners


def record(container_id: str, *mappings: PortMapping) -> Record:
    return Record(
        attachment=Attachment(network="net", container_id=container_id, ifname="eth0"),
        chain="CHAIN",
        netns="",
        boot_id="b00t",
        mount_namespace=1,
        mappings=mappings,
    )


WEB = record("web", mapping(8080), mapping(53, 80, "udp"))
OTHER = record("other", mapping(9000))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(directory=f"{tmp_path}/state")
    ledger.prepare()
    return ledger


def put(ledger: Ledger, *records: Record) -> None:
    """Have attachments that own their ports."""
    for item in records:
        ledger.write(item).close()
        ledger.claim(item)


def path_of(ledger: Ledger, item: Record) -> Path:
    return Path(ledger.directory) / "attachments" / record_name(item.attachment)


def claims_of(ledger: Ledger) -> dict[str, str]:
    directory = Path(ledger.directory) / "claims"
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_its_directories_are_for_their_owner_alone(ledger: Ledger) -> None:
    directory = Path(ledger.directory)

    ledger.prepare()

    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {"attachments": 0o700, "claims": 0o700, "chains": 0o700}


def test_a_record_is_locked_from_the_moment_it_can_be_seen(ledger: Ledger) -> None:
    entry = ledger.write(WEB)

    assert is_held(str(path_of(ledger, WEB)))
    assert entry.record == WEB
    entry.close()
    assert not is_held(str(path_of(ledger, WEB)))


def test_a_record_is_opened_and_locked(ledger: Ledger) -> None:
    ledger.write(WEB).close()

    entry = ledger.open(WEB.attachment, 1)

    assert entry is not None
    assert entry.record == WEB
    assert is_held(str(path_of(ledger, WEB)))
    entry.close()


def test_a_record_that_is_replaced_leaves_the_lock_on_the_old_one_with_its_holder(
    ledger: Ledger,
) -> None:
    old = ledger.write(WEB)
    new = ledger.write(WEB.but(addresses=("192.0.2.2/24",)))

    assert os.fstat(old.file).st_ino != os.fstat(new.file).st_ino
    old.close()
    assert is_held(str(path_of(ledger, WEB)))
    new.close()


def test_an_attachment_that_is_not_on_record_has_no_entry(ledger: Ledger) -> None:
    assert ledger.open(WEB.attachment, 1) is None
    assert not path_of(ledger, WEB).exists()


def test_a_ledger_that_was_never_made_has_no_entry(tmp_path: Path) -> None:
    assert Ledger(directory=f"{tmp_path}/nowhere").open(WEB.attachment, 1) is None


def test_a_state_directory_that_is_a_file_has_no_entry(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert Ledger(directory=f"{tmp_path}/file").open(WEB.attachment, 1) is None


@pytest.mark.parametrize("data", [b"", b"garbage", b"[]", b"{}\n", b"\xff"], ids=repr)
def test_a_garbage_record_is_an_entry_that_says_nothing(ledger: Ledger, data: bytes) -> None:
    path_of(ledger, WEB).write_bytes(data)

    entry = ledger.open(WEB.attachment, 1)

    assert entry is not None
    assert entry.record is None
    entry.close()


def test_a_record_is_forgotten_with_what_a_crash_left(ledger: Ledger) -> None:
    ledger.write(WEB).close()
    path = path_of(ledger, WEB)
    (path.parent / f".{path.name}.new").write_bytes(b"half")

    ledger.forget(WEB.attachment)
    ledger.forget(WEB.attachment)

    assert list(path.parent.iterdir()) == []


def test_a_write_steps_over_what_a_crash_left(ledger: Ledger) -> None:
    path = path_of(ledger, WEB)
    (path.parent / f".{path.name}.new").write_bytes(b"half")

    ledger.write(WEB).close()

    assert list(path.parent.iterdir()) == [path]


def test_claims_are_kept_in_a_file_for_each_protocol_and_256_ports(ledger: Ledger) -> None:
    item = record("web", mapping(255), mapping(256), mapping(257), mapping(255, 80, "udp"))
    name = record_name(item.attachment)
    held = f'{{"0.0.0.0":"{name}","::":"{name}"}}'

    put(ledger, item)

    assert claims_of(ledger) == {
        "tcp-0": f'{{"255":{held}}}\n',
        "tcp-1": f'{{"256":{held},"257":{held}}}\n',
        "udp-0": f'{{"255":{held}}}\n',
    }


def test_the_owners_of_ports_are_found_with_the_mappings_it_is_about(ledger: Ledger) -> None:
    put(ledger, WEB, OTHER)

    assert owners(ledger, [mapping(8080), mapping(9000), mapping(1)]) == [
        (WEB, [mapping(8080)]),
        (OTHER, [mapping(9000)]),
    ]


@pytest.mark.parametrize(
    "item",
    [mapping(8081), mapping(8080, 80, "udp"), mapping(53), mapping(53, 80, "sctp")],
    ids=["another port", "another protocol", "tcp for udp", "sctp for udp"],
)
def test_a_port_that_nobody_claims_has_no_owner(ledger: Ledger, item: PortMapping) -> None:
    put(ledger, WEB, OTHER)

    assert owners(ledger, [item]) == []


SPECIFIC = record("specific", mapping(8080, host_address="198.51.100.1"))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        pytest.param("", [WEB], id="all addresses"),
        pytest.param("0.0.0.0", [WEB], id="those of IPv4"),
        pytest.param("::", [WEB], id="those of IPv6"),
        pytest.param("198.51.100.1", [SPECIFIC], id="the very address"),
        pytest.param("198.51.100.2", [], id="another"),
        pytest.param("2001:db8::1", [], id="another of IPv6"),
    ],
)
def test_a_port_of_one_address_and_of_all_have_owners_of_their_own(
    ledger: Ledger, address: str, found: list[Record]
) -> None:
    put(ledger, WEB, SPECIFIC)

    assert owners(ledger, [mapping(8080, host_address=address)]) == [
        (owner, [owner.mappings[0]]) for owner in found
    ]


def test_the_families_of_a_port_may_have_two_owners(ledger: Ledger) -> None:
    v4 = record("v4", mapping(8080, host_address="0.0.0.0"))
    v6 = record("v6", mapping(8080, host_address="::"))
    put(ledger, v4, v6)

    assert owners(ledger, [mapping(8080)]) == [
        (v4, list(v4.mappings)),
        (v6, list(v6.mappings)),
    ]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        pytest.param("", ["v4", "v6"], id="all addresses"),
        pytest.param("0.0.0.0", ["v4"], id="those of IPv4"),
        pytest.param("::", ["v6"], id="those of IPv6"),
        pytest.param("198.51.100.1", [], id="one"),
    ],
)
def test_who_has_a_port_of_one_address_is_found_by_who_asks_for_all(
    ledger: Ledger, address: str, found: list[str]
) -> None:
    put(
        ledger,
        WEB,
        record("v4", mapping(8080, host_address="198.51.100.1")),
        record("v6", mapping(8080, host_address="2001:db8::1")),
        record("other", mapping(8081, host_address="198.51.100.1")),
    )

    asked = [mapping(8080, host_address=address)]
    specific = ledger.contest(asked, attachment("nobody")).specific

    assert [owner.attachment.container_id for owner in specific] == found


def test_nobody_contests_a_port_with_himself(ledger: Ledger) -> None:
    both = (mapping(8080), mapping(8081, host_address="198.51.100.1"))
    own = record("own", *both)
    put(ledger, own)

    contest = ledger.contest([mapping(8080), mapping(8081)], own.attachment)

    assert (contest.owners, contest.specific) == ((), ())


def test_a_port_has_one_owner_the_last(ledger: Ledger) -> None:
    thief = record("thief", mapping(8080))
    put(ledger, WEB, thief)

    assert owners(ledger, WEB.mappings) == [
        (thief, [mapping(8080)]),
        (WEB, [mapping(53, 80, "udp")]),
    ]


def test_released_ports_have_no_owner(ledger: Ledger) -> None:
    put(ledger, WEB, OTHER)

    ledger.release(WEB)

    assert owners(ledger, [*WEB.mappings, *OTHER.mappings]) == [(OTHER, list(OTHER.mappings))]


def test_the_last_port_of_a_file_takes_it_along(ledger: Ledger) -> None:
    put(ledger, WEB)

    ledger.release(WEB)
    ledger.release(WEB)

    assert claims_of(ledger) == {}


def test_a_port_that_was_lost_is_not_released(ledger: Ledger) -> None:
    thief = record("thief", mapping(8080))
    put(ledger, WEB, thief)

    ledger.release(WEB)

    assert owners(ledger, WEB.mappings) == [(thief, [mapping(8080)])]


def test_a_claim_whose_record_is_gone_is_void(ledger: Ledger) -> None:
    put(ledger, WEB, OTHER)
    ledger.forget(WEB.attachment)

    assert owners(ledger, [*WEB.mappings, *OTHER.mappings]) == [(OTHER, list(OTHER.mappings))]


def test_a_claim_whose_record_is_garbage_is_void(ledger: Ledger) -> None:
    put(ledger, WEB)
    path_of(ledger, WEB).write_bytes(b"garbage")

    assert owners(ledger, WEB.mappings) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"[]",
        b'{"8080":5}',
        b'{"8080":["a"]}',
        b'{"8080":{"0.0.0.0":5}}',
        b'{"8080":{"0.0.0.0":["a"]}}',
        b'{"8080":{"0.0.0.0":"../../secret"}}',
        b'{"8080":{"0.0.0.0":"a\\u0000b"}}',
        b'{"8080":{"0.0.0.0":null}}',
    ],
    ids=repr,
)
def test_a_garbage_claim_is_stepped_over_and_mended(ledger: Ledger, data: bytes) -> None:
    (Path(ledger.directory) / "claims" / "tcp-31").write_bytes(data)

    assert owners(ledger, WEB.mappings) == []
    ledger.release(WEB)
    put(ledger, WEB)
    assert owners(ledger, WEB.mappings) == [(WEB, list(WEB.mappings))]


def test_a_garbage_claim_does_not_cost_its_neighbours(ledger: Ledger) -> None:
    put(ledger, WEB)
    path = Path(ledger.directory) / "claims" / "tcp-31"
    path.write_bytes(path.read_bytes().replace(b"{", b'{"8081":5,', 1))

    assert owners(ledger, WEB.mappings) == [(WEB, list(WEB.mappings))]


def test_a_lock_can_be_taken_where_no_add_has_been(tmp_path: Path) -> None:
    ledger = Ledger(directory=f"{tmp_path}/state")

    file = ledger.lock(1)

    assert is_held(f"{tmp_path}/state/lock")
    os.close(file)


def test_a_state_directory_that_cannot_be_made_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        Ledger(directory=f"{tmp_path}/file").lock(1)
