"""Several tables and families: what is made in which, and what goes with whom."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter.gate import find_local_targets
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.listing import parse_listing
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW
from tests.unit.memory_host import MemoryHost, dual, is_pristine, local, record, record_of, tags_in
from tests.unit.wishes import mapping, owners


@pytest.fixture(params=["nft", "legacy"])
def host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=request.param == "nft")


def tags(host: MemoryHost) -> dict[str, set[str]]:
    """Return whose rules there are in which table."""
    names = {(IPV4, RAW): "raw", (IPV4, NAT): "v4", (IPV6, NAT): "v6"}
    return {names[key]: set(tags_in(table)) for key, table in host.tables.items()}


def test_only_the_tables_in_use_are_changed_the_guard_s_first(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(dual("b", 2))
    host.add(local("c", 3))

    assert host.told() == [
        "committed -N",
        "committed -C",
        "v6 committed -N",
        "raw committed -N",
        "committed -C",
        "v6 committed -C",
    ]
    assert tags(host) == {"raw": {"c"}, "v4": {"a", "b", "c"}, "v6": {"b", "c"}}


def test_tables_share_a_run_in_the_nft_variant_alone(host: MemoryHost) -> None:
    host.add(local("a", 1))

    shared = host.tools[IPV4].is_nft_variant()
    together = [["4 raw", "4 nat"]] if shared else [["4 raw"], ["4 nat"]]
    assert host.runs == [*together, ["6 nat"]]


def test_leaving_goes_through_the_record_s_tables_the_guard_s_last(host: MemoryHost) -> None:
    host.add(local("a", 1))
    host.told()

    host.delete(local("a", 1))

    done = [each for each in host.told() if "list" not in each]
    assert done == ["v6 committed -D", "committed -D", "raw committed -D"]
    assert is_pristine(host)


def test_leaving_without_a_record_goes_through_every_table_in_use(host: MemoryHost) -> None:
    host.add(local("a", 1))
    host.add(local("b", 2))
    host.ledger.forget(local("a").attachment)

    host.delete(local("a"))

    assert tags(host) == {"raw": {"b"}, "v4": {"b"}, "v6": {"b"}}


def test_leaving_without_a_record_looks_everywhere(host: MemoryHost) -> None:
    host.add(record("b", 2))
    host.told()

    host.delete(record("a"))

    # At first for what loopback leads to, whose guard is about to go.
    assert host.told() == ["list", "v6 list", "list", "raw list"]


def test_a_table_that_refuses_leaves_what_others_hold_to_be_swept(host: MemoryHost) -> None:
    host.fail(RulesUntouchedError(RULES_FAILED, "refused"), "v6 ")

    with pytest.raises(CniError, match="refused") as failure:
        host.add(local("a", 1))

    # Rules were made: it is not as if nothing had happened.
    assert not isinstance(failure.value, RulesUntouchedError)
    assert tags(host) == {"raw": {"a"}, "v4": {"a"}, "v6": set()}
    host.delete(local("a", 1))
    assert is_pristine(host)
    assert host.records == []


def test_the_first_table_that_refuses_has_nothing_to_be_swept(host: MemoryHost) -> None:
    host.fail(RulesUntouchedError(RULES_FAILED, "refused"), "raw ")

    with pytest.raises(RulesUntouchedError, match="refused"):
        host.add(local("a", 1))

    assert is_pristine(host)


def test_a_family_without_tools_is_named(host: MemoryHost) -> None:
    del host.tools[IPV6]

    with pytest.raises(CniError) as failure:
        host.add(dual("a", 1))

    assert failure.value.msg == "ip6tables-restore and ip6tables-save are not installed"


def test_a_loser_leaves_the_tables_too_in_which_the_winner_has_nothing(host: MemoryHost) -> None:
    host.add(local("a", 1))

    host.add(record("b", 1))
    host.delete(local("a", 1))

    assert tags(host) == {"raw": set(), "v4": {"b"}, "v6": set()}
    assert host.records == [record("b", 1)]


def test_a_loser_keeps_the_family_that_nobody_takes(host: MemoryHost) -> None:
    host.add(dual("a", 1))

    host.add(record_of("b", mapping(1, host_address="0.0.0.0")))

    assert tags(host) == {"raw": set(), "v4": {"b"}, "v6": {"a"}}
    assert owners(host.ledger, [mapping(1, host_address="::")]) == [
        (
            dual("a").but(mappings=(mapping(1, host_address="::"),)),
            [mapping(1, host_address="::")],
        )
    ]
    host.delete(dual("a", 1))
    assert tags(host) == {"raw": set(), "v4": {"b"}, "v6": set()}


def test_a_repeated_add_leaves_the_tables_it_asks_for_no_more(host: MemoryHost) -> None:
    host.add(local("a", 1))

    host.add(record("a", 1))

    assert tags(host) == {"raw": set(), "v4": {"a"}, "v6": set()}


def test_loopback_is_let_out_behind_its_guard_and_kept_in_before_it_goes(
    host: MemoryHost,
) -> None:
    host.add(local("a", 1))
    assert host.lets_loopback_out("cni0")

    host.fail(CniError(RULES_FAILED, "killed"), "raw ")
    with pytest.raises(CniError, match="killed"):
        host.delete(local("a", 1))

    assert (tags(host)["raw"], host.lets_loopback_out("cni0")) == ({"a"}, False)


def test_loopback_is_not_let_out_where_a_batch_fails(host: MemoryHost) -> None:
    host.fail(CniError(RULES_FAILED, "killed"), "v6 ")

    with pytest.raises(CniError, match="killed"):
        host.add(local("a", 1))

    assert not host.lets_loopback_out("cni0")


def test_loopback_is_let_out_until_the_last_one_leaves(host: MemoryHost) -> None:
    host.add(local("a", 1))
    host.add(local("b", 2))

    host.delete(local("a", 1))
    assert host.lets_loopback_out("cni0")

    host.delete(local("b", 2))
    assert not host.lets_loopback_out("cni0")


@pytest.mark.parametrize(
    ("successor", "let_out"),
    [
        pytest.param(record("b", 1), False, id="another who does not ask for it"),
        pytest.param(local("b", 1), True, id="another who does"),
        pytest.param(record("a", 1), False, id="the same one, not asking any more"),
        pytest.param(record("a"), False, id="the same one, asking for nothing"),
        pytest.param(local("a", 2), True, id="the same one, asking again"),
        pytest.param(local("a", 1, interface="cni1"), False, id="the same one, elsewhere"),
        pytest.param(record("b", 2), True, id="another who takes nothing"),
    ],
)
def test_loopback_is_let_out_only_where_somebody_guards_it(
    host: MemoryHost, successor: Record, let_out: bool
) -> None:
    host.add(local("a", 1))

    host.add(successor)

    assert host.lets_loopback_out("cni0") == let_out
    assert host.lets_loopback_out("cni1") == (successor.local_interface == "cni1")
    for container in ("a", "b"):
        host.delete(record(container))
    assert not host.lets_loopback_out("cni0")
    assert not host.lets_loopback_out("cni1")
    assert is_pristine(host)


@pytest.mark.parametrize("successor", [record("b", 1), record("a", 1)], ids=["another", "itself"])
def test_loopback_is_kept_in_before_a_successor_takes_its_guard_away(
    host: MemoryHost, successor: Record
) -> None:
    host.add(local("a", 1))
    host.fail(CniError(RULES_FAILED, "killed"), "raw ")

    with pytest.raises(CniError, match="killed"):
        host.add(successor)

    assert (tags(host)["raw"], host.lets_loopback_out("cni0")) == ({"a"}, False)


def test_loopback_of_a_loser_stays_as_it_was_where_the_takeover_is_refused(
    host: MemoryHost,
) -> None:
    host.add(local("a", 1))
    host.fail(RulesUntouchedError(RULES_FAILED, "refused"), "raw ")

    with pytest.raises(RulesUntouchedError, match="refused"):
        host.add(record("b", 1))

    assert (tags(host)["raw"], host.lets_loopback_out("cni0")) == ({"a"}, True)


def test_loopback_is_given_back_with_the_ports_of_an_add_that_broke_off(host: MemoryHost) -> None:
    host.add(local("a", 1))
    before = {key: table.save() for key, table in host.tables.items()}
    host.fail(CniError(RULES_FAILED, "killed"), "v6 ")
    with pytest.raises(CniError, match="killed"):
        host.add(record("b", 1))

    host.delete(record("b", 1))

    assert {key: table.save() for key, table in host.tables.items()} == before
    assert host.lets_loopback_out("cni0")


def test_differences_name_an_interface_that_keeps_loopback_in(host: MemoryHost) -> None:
    host.add(local("a", 1))
    assert host.forwarder().differences(local("a", 1)) == []

    (host.directory / "cni0").write_text("0")

    assert host.forwarder().differences(local("a", 1)) == ["off: net.ipv4.conf.cni0.route_localnet"]


def test_the_way_out_of_loopback_is_found_by_the_rules_that_lead_there() -> None:
    text = (
        "*nat\n:MPM-LO-1 - [0:0]\n:CHAIN - [0:0]\n"
        '-A MPM-LO-1 -p tcp -m tcp --dport 1 -m comment --comment "own" '
        "-j DNAT --to-destination 192.0.2.2:80\n"
        '-A MPM-LO-1 -p tcp -m tcp --dport 2 -m comment --comment "other" '
        "-j DNAT --to-destination 192.0.2.3:80\n"
        '-A CHAIN -p tcp -m tcp --dport 3 -m comment --comment "own" '
        "-j DNAT --to-destination 192.0.2.4:80\nCOMMIT\n"
    )

    found = find_local_targets(parse_listing(text.encode()), "own")

    assert found == ({"192.0.2.2"}, {"192.0.2.3"})


def test_what_a_repeated_add_that_was_killed_did_not_remove_goes_with_it(host: MemoryHost) -> None:
    host.add(dual("a", 1))
    host.fail(CniError(RULES_FAILED, "killed"))
    with pytest.raises(CniError, match="killed"):
        host.add(record("a", 2))
    assert [each.earlier for each in host.records if each] == [dual("a", 1)]

    host.delete(record("a"))

    assert is_pristine(host)


def test_a_repeated_add_that_worked_leaves_no_earlier_record(host: MemoryHost) -> None:
    host.add(dual("a", 1))
    host.add(record("a", 2))

    assert host.records == [record("a", 2)]
