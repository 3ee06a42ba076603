"""Records: what goes in comes out, and what is not a record is nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.netfilter.record import Record, decode_record, encode_record
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import Endpoint, Wish
from mesos_cni_port_mapper.portmap.traffic import Traffic

RECORD = Record(
    attachment=Attachment(network="net", container_id="web-1", ifname="eth0"),
    chain="CHAIN",
    netns="/run/netns/web-1",
    boot_id="b00t",
    mount_namespace=4026531841,
    mappings=(PortMapping(protocol="tcp", host_port=8080, container_port=80),),
    excluded_devices=("cni0",),
    traffic=Traffic(
        snat=True,
        localhost=True,
        masquerade_all=False,
        mark=0x2000,
        mark_chain="",
        conditions_v4=("-s", "192.0.2.0/24"),
        conditions_v6=(),
    ),
    addresses=("192.0.2.2/24", "2001:db8::2/64"),
    delegate_versions=("1.0.0", ""),
    local_interface="cni0",
)
DOCUMENT: dict[str, Any] = {
    "network": "net",
    "containerID": "web-1",
    "ifname": "eth0",
    "chain": "CHAIN",
    "netns": "/run/netns/web-1",
    "bootID": "b00t",
    "mountNamespace": 4026531841,
    "mappings": [["tcp", "", 8080, 80]],
    "excludedDevices": ["cni0"],
    "traffic": {
        "snat": True,
        "localhost": True,
        "masquerade_all": False,
        "mark": 0x2000,
        "mark_chain": "",
        "conditions_v4": ["-s", "192.0.2.0/24"],
        "conditions_v6": [],
    },
    "addresses": ["192.0.2.2/24", "2001:db8::2/64"],
    "delegateVersions": ["1.0.0", ""],
    "localInterface": "cni0",
    "backend": "iptables",
}
TEXT = st.text(max_size=6)
RECORDS = st.builds(
    Record,
    attachment=st.builds(Attachment, network=TEXT, container_id=TEXT, ifname=TEXT),
    chain=TEXT,
    netns=TEXT,
    boot_id=TEXT,
    mount_namespace=st.integers(),
    mappings=st.lists(
        st.builds(
            PortMapping,
            protocol=TEXT,
            host_port=st.integers(),
            container_port=st.integers(),
            host_address=TEXT,
        ),
        max_size=3,
    ).map(tuple),
    excluded_devices=st.lists(TEXT, max_size=3).map(tuple),
    traffic=st.builds(
        Traffic,
        snat=st.booleans(),
        localhost=st.booleans(),
        masquerade_all=st.booleans(),
        mark=st.integers(),
        mark_chain=TEXT,
        conditions_v4=st.lists(TEXT, max_size=2).map(tuple),
        conditions_v6=st.lists(TEXT, max_size=2).map(tuple),
    ),
    addresses=st.lists(st.ip_addresses().map("{}/9".format), max_size=2).map(tuple),
    delegate_versions=st.lists(TEXT, max_size=2).map(tuple),
    local_interface=TEXT,
    backend=TEXT,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=2),
    max_leaves=6,
)


def test_a_record_on_disk_is_one_line_of_json() -> None:
    data = encode_record(RECORD)

    assert (json.loads(data), data.count(b"\n"), data[-1:]) == (DOCUMENT, 1, b"\n")


@given(RECORDS)
def test_a_record_comes_back_as_it_went(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


@given(st.binary(max_size=40))
def test_garbage_is_no_record(data: bytes) -> None:
    assert decode_record(data) is None


@given(JSON)
def test_another_document_is_no_record(document: Any) -> None:
    assert decode_record(json.dumps(document).encode()) is None


@given(st.integers(0, 200))
def test_a_record_that_was_cut_short_is_none(length: int) -> None:
    assert decode_record(encode_record(RECORD)[:length]) is None


@given(st.sampled_from(sorted(DOCUMENT)), JSON)
def test_a_record_with_any_field_changed_is_a_record_or_none(key: str, value: Any) -> None:
    decoded = decode_record(json.dumps({**DOCUMENT, key: value}).encode())

    assert decoded is None or decode_record(encode_record(decoded)) == decoded


def test_a_record_holds_the_one_whose_place_it_takes() -> None:
    later = RECORD.but(mappings=(), backend="nftables", earlier=RECORD)

    assert decode_record(encode_record(later)) == later


@pytest.mark.parametrize("earlier", [{}, [], "x", 1, {**DOCUMENT, "chain": 1}])
def test_a_record_with_a_wrong_one_inside_is_none(earlier: object) -> None:
    assert decode_record(json.dumps({**DOCUMENT, "earlier": earlier}).encode()) is None


@pytest.mark.parametrize("key", DOCUMENT)
def test_a_record_without_a_field_is_none(key: str) -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != key}

    assert decode_record(json.dumps(document).encode()) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chain", 5),
        ("mountNamespace", "x"),
        ("mountNamespace", []),
        ("mappings", 5),
        ("mappings", [5]),
        ("mappings", [["tcp", "", 8080]]),
        ("mappings", [["tcp", "", 8080, 80, 1]]),
        ("mappings", [[6, "", 8080, 80]]),
        ("excludedDevices", 5),
        ("excludedDevices", [5]),
        ("excludedDevices", "cni0"),
        ("addresses", None),
        ("addresses", ["192.0.2.2"]),
        ("addresses", ["192.0.2.2/33"]),
        ("addresses", [5]),
        ("delegateVersions", "1.0.0"),
        ("localInterface", None),
        ("traffic", {}),
        ("traffic", {**DOCUMENT["traffic"], "snat": 1}),
        ("traffic", {**DOCUMENT["traffic"], "mark": True}),
        ("traffic", {**DOCUMENT["traffic"], "mark_chain": None}),
        ("traffic", {**DOCUMENT["traffic"], "conditions_v4": [5]}),
        ("traffic", {**DOCUMENT["traffic"], "conditions_v6": None}),
    ],
    ids=str,
)
def test_a_record_with_a_field_of_the_wrong_type_is_none(key: str, value: Any) -> None:
    assert decode_record(json.dumps({**DOCUMENT, key: value}).encode()) is None


def test_a_record_says_what_the_planner_is_asked_for() -> None:
    assert RECORD.wish() == Wish(
        attachment=RECORD.attachment,
        chain="CHAIN",
        mappings=RECORD.mappings,
        excluded_devices=("cni0",),
        traffic=RECORD.traffic,
        endpoints=(
            Endpoint(family=4, address="192.0.2.2", network="192.0.2.0/24"),
            Endpoint(family=6, address="2001:db8::2", network="2001:db8::/64"),
        ),
    )


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("0.0.0.0/0", Endpoint(family=4, address="0.0.0.0", network="0.0.0.0/0")),
        (
            "::ffff:192.0.2.2/120",
            Endpoint(family=6, address="::ffff:192.0.2.2", network="::ffff:192.0.2.0/120"),
        ),
    ],
)
def test_an_odd_address_on_record_fails_nothing(address: str, endpoint: Endpoint) -> None:
    record = decode_record(json.dumps({**DOCUMENT, "addresses": [address]}).encode())

    assert record is not None
    assert record.wish().endpoints == (endpoint,)
