"""After the agent was killed, or the machine: what lives is kept and what nobody knows detached."""

from typing import Any

import pytest

from tests.support.host import Host
from tests.support.isolation import PLUGINS, ROOT, Lab, info

RESULT = {"ip4": {"ip": "192.168.4.2/24"}}
ADDRESSES = [{"ip_address": "192.168.4.2", "protocol": "IPv4"}]


@pytest.fixture
def lab(host: Host) -> Lab:
    lab = Lab(host)
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    return lab


def live(container_id: str, *networks: dict[str, Any]) -> dict[str, Any]:
    return {"container_id": container_id, "networks": networks}


def reboot(lab: Lab) -> None:
    """Take all mounts away, and leave the files, as with --network_cni_root_dir_persist."""
    for target in sorted(lab.mounts(), reverse=True):
        lab.host.run(["umount", "--lazy", target])


def test_live_containers_are_kept_and_unknown_ones_detached(lab: Lab) -> None:
    asked = info("net", groups=["g"])
    for name in ("living", "listed", "unknown", "living.nested"):
        lab.container(name, asked)

    report, kept, listed, cleaned = lab.run(
        (
            "recover",
            {"live": [live("living", asked), live("living.nested")], "orphans": ["listed"]},
        ),
        ("status", {"container_id": "living"}),
        ("status", {"container_id": "listed"}),
        ("cleanup", {"container_id": "listed"}),
    )

    assert report.value == {
        "kept": ["living", "living.nested"],
        "left": ["listed"],
        "cleaned": ["unknown"],
        "failures": [],
        "lost": [],
        "problems": [],
    }
    expected = [{"name": "net", "groups": ["g"], "ip_addresses": ADDRESSES}]
    assert kept.value == listed.value == expected
    assert cleaned.error == ""
    deleted = [
        call.env["CNI_CONTAINERID"] for call in lab.plugins.calls("fake") if call.command == "DEL"
    ]
    assert deleted == ["unknown", "listed"]
    assert lab.mounts() == [ROOT, f"{ROOT}/living/ns", f"{ROOT}/living.nested/ns"]


def test_a_new_container_can_join_a_recovered_one(lab: Lab) -> None:
    parent = lab.container("a", info("net"), hostname="parent")
    nested = lab.sleeper(("mnt",), joins=parent)

    _, prepared, isolated, status = lab.run(
        ("recover", {"live": [live("a", info("net"))], "orphans": []}),
        ("prepare", live("a.b")),
        ("isolate", {"container_id": "a.b", "pid": nested.pid_inside}),
        ("status", {"container_id": "a.b"}),
    )

    assert prepared.value["joins"] == "a"
    assert isolated.error == ""
    assert [each["ip_addresses"] for each in status.value] == [ADDRESSES]
    assert lab.inside(nested, "cat", "/etc/hostname") == "parent"


def test_after_a_reboot_del_is_sent_without_a_namespace(lab: Lab) -> None:
    lab.container("web-1", info("net"))
    lab.unconfigure("net.conf")
    reboot(lab)

    report = lab.ok("recover", live=[], orphans=[])

    _, delete = lab.plugins.calls("fake")
    assert report["cleaned"] == ["web-1"]
    assert delete.command == "DEL"
    assert "CNI_NETNS" not in delete.env
    assert lab.left() == []


def test_a_detaching_that_fails_is_reported_and_can_be_tried_again(lab: Lab) -> None:
    lab.plugins.scripted("bad", {"ADD": "printf '{}'", "DEL": f"[ ! -e {PLUGINS}/broken ]"})
    lab.network("bad")
    lab.container("one", info("bad"))
    lab.container("two", info("net"))
    lab.host.path(f"{PLUGINS}/broken").touch()

    report = lab.ok("recover", live=[], orphans=[])
    lab.host.path(f"{PLUGINS}/broken").unlink()
    again = lab.ok("recover", live=[], orphans=[])

    assert report["cleaned"] == ["two"]
    assert [failure["path"] for failure in report["failures"]] == ["one"]
    assert again["cleaned"] == ["one"]
    assert lab.left() == []


def test_l14_what_is_stray_is_reported_and_stepped_over(lab: Lab) -> None:
    lab.container("web-1", info("net"))
    outside = lab.host.path("/run/outside-state")
    (outside / "net" / "eth0").mkdir(parents=True)
    lab.path("a file").write_text("x")
    lab.path("link").symlink_to("/run/outside-state")
    lab.path("lost+found and more").mkdir()

    report = lab.ok("recover", live=[], orphans=[])

    strays = sorted([f"{ROOT}/a file", f"{ROOT}/link", f"{ROOT}/lost+found and more"])
    assert sorted(problem["path"] for problem in report["problems"]) == strays
    assert report["cleaned"] == ["web-1"]
    assert (outside / "net" / "eth0").is_dir()
    assert sorted(path.name for path in lab.path().iterdir()) == [
        "a file",
        "link",
        "lost+found and more",
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"ip4": 1}', '{"cniVersion": 3}'])
def test_l14_a_corrupt_result_is_reported_and_costs_the_address_alone(
    lab: Lab, content: str
) -> None:
    lab.container("web-1", info("net"))
    lab.path("web-1", "net", "eth0", "network.info").write_text(content)

    report, status, cleaned = lab.run(
        ("recover", {"live": [live("web-1", info("net"))], "orphans": []}),
        ("status", {"container_id": "web-1"}),
        ("cleanup", {"container_id": "web-1"}),
    )

    (problem,) = report.value["problems"]
    assert problem["path"] == f"{ROOT}/web-1/net/eth0/network.info"
    assert report.value["kept"] == ["web-1"]
    assert status.value == [{"name": "net"}]
    assert cleaned.error == ""
    assert lab.calls("fake") == ["ADD", "DEL"]


def test_a_corrupt_record_is_made_good_from_what_the_caller_knows(lab: Lab) -> None:
    lab.container("web-1", info("net", groups=["g"]))
    lab.path("web-1", ".container.json").write_text("{}")

    report, status = lab.run(
        ("recover", {"live": [live("web-1", info("net", groups=["g"]))], "orphans": []}),
        ("status", {"container_id": "web-1"}),
    )

    assert [each["path"] for each in report.value["problems"]] == [f"{ROOT}/web-1/.container.json"]
    assert status.value == [{"name": "net", "groups": ["g"], "ip_addresses": ADDRESSES}]
    assert lab.ok("recover", live=[live("web-1")], orphans=[])["problems"] == []


def test_l12_a_container_of_which_no_request_is_known_has_a_status(lab: Lab) -> None:
    lab.network("b", "fake")
    lab.container("web-1", info("net"), info("b"))
    lab.path("web-1", ".container.json").unlink()

    report, status = lab.run(
        ("recover", {"live": [], "orphans": ["web-1"]}), ("status", {"container_id": "web-1"})
    )

    assert report.value["left"] == ["web-1"]
    assert status.value == [
        {"name": "net", "ip_addresses": ADDRESSES},
        {"name": "b", "ip_addresses": ADDRESSES},
    ]


def test_a_corrupt_configuration_is_replaced_by_the_operators(lab: Lab) -> None:
    lab.container("web-1", info("net"))
    lab.path("web-1", "net", "network.conf").write_text("")
    configuration = lab.host.path("/run/lab/configurations/net.conf").read_text()
    lab.unconfigure("net.conf")

    failed = lab.ok("recover", live=[], orphans=[])
    lab.configure("net.conf", configuration)
    report = lab.ok("recover", live=[], orphans=[])

    assert [each["path"] for each in failed["failures"]] == ["web-1"]
    assert report["cleaned"] == ["web-1"]
    assert lab.calls("fake") == ["ADD", "DEL"]
    assert lab.left() == []


def test_a_live_container_without_state_is_reported(lab: Lab) -> None:
    report = lab.ok("recover", live=[live("web-1", info("net")), live("host")], orphans=[])

    assert (report["lost"], report["problems"]) == (["web-1"], [])


def test_what_was_killed_before_anything_was_written_leaves_nothing(lab: Lab) -> None:
    lab.path("web-1", "net", "eth0").mkdir(parents=True)

    assert lab.ok("recover", live=[], orphans=[])["cleaned"] == ["web-1"]
    assert lab.calls("fake") == []
    assert lab.left() == []


def test_without_networks_nothing_is_looked_at(lab: Lab) -> None:
    lab.container("web-1", info("net"))
    lab.settings.update(config_dir=None, plugins_dir="")

    report = lab.ok("recover", live=[], orphans=[])

    assert set(map(tuple, report.values())) == {()}
