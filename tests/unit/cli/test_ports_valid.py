"""What is valid, read from JSON and from lines."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cli.ports.valid import Valid, named, parse_valid, read_valid
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.portmap.attachment import Attachment


def attachment(container_id: str, ifname: str = "eth0", network: str = "net") -> Attachment:
    return Attachment(network=network, container_id=container_id, ifname=ifname)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("[]", []),
        ('[{"containerID": "a", "ifname": "eth1"}]', [Valid("a", "eth1")]),
        ('{"cni.dev/attachments": [{"containerID": "a", "ifname": "e"}]}', [Valid("a", "e")]),
        ("a\n\nb eth1\n", [Valid("a"), Valid("b", "eth1")]),
    ],
)
def test_a_list_is_read(text: str, valid: list[Valid]) -> None:
    assert parse_valid(text) == valid


@pytest.mark.parametrize("text", ["", " \n", "{}", "[", "[1]", "a b c", "a /", "../a", "1 2 3"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--valid-from: "):
        parse_valid(text)


def test_an_interface_that_is_not_named_is_any() -> None:
    known = [attachment("a", "eth1"), attachment("a", "eth2"), attachment("b")]

    found = named([Valid("a")], "net", known)

    assert found == [attachment("a", "eth1"), attachment("a", "eth2"), attachment("a")]


def test_what_is_valid_on_one_network_is_not_on_another() -> None:
    known = [attachment("a"), attachment("a", network="other")]

    assert named([Valid("a", "eth0", "other")], "net", known) == []
    assert named([Valid("a", "eth0", "net")], "net", known) == [attachment("a")]


def test_who_is_about_to_be_attached_is_valid_by_any_interface(tmp_path: Path) -> None:
    (tmp_path / "isolators/network/cni/web/net").mkdir(parents=True)

    assert read_valid(str(tmp_path)) == [Valid("web", "", "net")]
