import json
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.isolator.network_info import Label, NetworkInfo
from mesos_cni_port_mapper.isolator.records import (
    Attachment,
    ContainerRequest,
    Record,
    decode_record,
    encode_record,
    record_from_directories,
    record_of,
)

B, A = NetworkInfo("b", labels=(Label("k"),)), NetworkInfo("a")
RECORD = Record("p.web", "host", (Attachment(B, "eth0"), Attachment(A, "eth1")), Path("/r"))


def test_interfaces_are_numbered_in_the_order_of_the_named_networks() -> None:
    request = ContainerRequest("p.web", (NetworkInfo(), B, NetworkInfo(), A), "host", Path("/r"))

    assert record_of(request) == RECORD
    assert record_of(ContainerRequest("p.web", (A,))).hostname == "web"


def test_a_record_comes_back_as_it_was() -> None:
    for record in (RECORD, Record("a", "a", ())):
        document = json.loads(json.dumps(encode_record(record)))
        assert decode_record(document, record.container_id) == record


def changed(**fields: Any) -> dict[str, Any]:
    return encode_record(RECORD) | fields


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        changed(container_id="other"),
        changed(hostname=None),
        changed(hostname="a b"),
        changed(networks={}),
        changed(networks=[1]),
        changed(networks=[{}]),
        changed(networks=[{"ifname": "a/b", "network_info": {"name": "a"}}]),
        changed(networks=[{"ifname": "eth0", "network_info": {"name": ".."}}]),
        changed(networks=[{"ifname": "eth0", "network_info": {}}]),
        changed(networks=[{"ifname": "eth0"}]),
        changed(rootfs=1),
    ],
)
def test_a_record_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(CniError):
        decode_record(document, "p.web")


def test_directories_tell_names_and_interfaces() -> None:
    record = record_from_directories("web", {"x": ["eth10"], "y": ["eth9"], "z": []})

    assert record == Record(
        "web", "web", (Attachment(NetworkInfo("y"), "eth9"), Attachment(NetworkInfo("x"), "eth10"))
    )
