"""Names and links that want out of the state root: refused, or contained."""

from typing import Any

import pytest

from tests.support.host import Host
from tests.support.isolation import Lab, info

RESULT = {"ip4": {"ip": "192.168.4.2/24"}}
SECRET = "/run/secret"


@pytest.fixture
def lab(host: Host) -> Lab:
    lab = Lab(host)
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    host.path(f"{SECRET}/eth0").mkdir(parents=True)
    host.path(f"{SECRET}/eth0/network.info").write_text('{"ip4": {"ip": "203.0.113.1/24"}}')
    host.path(f"{SECRET}/file").write_text("secret")
    return lab


def intact(lab: Lab) -> bool:
    return set(lab.host.files(SECRET)) == {"eth0/network.info", "file"}


BAD_NETWORKS = ["../x", "a/b", "ns", "hosts", "hostname", "resolv.conf", ".", "..", ".x", "x" * 300]


@pytest.mark.parametrize("name", [*BAD_NETWORKS, "", "a\nb", "é" * 128], ids=ascii)
def test_l5_a_name_that_is_no_directorys_is_no_networks(lab: Lab, name: str) -> None:
    lab.configure("bad.conf", {"name": name, "type": "fake"})

    catalogue = lab.ok("networks")
    outcome = lab.do("prepare", container_id="a", networks=[info(name)])

    assert catalogue["networks"] == ["net"]
    (problem,) = catalogue["problems"]
    assert problem.startswith("/run/lab/configurations/bad.conf: name: ")
    assert outcome.error.startswith("the network name ")
    assert lab.left() == []


@pytest.mark.parametrize(
    "container_id",
    ["", "..", ".", "a..b", "a/b", "../x", "a b", "a\\b", "a\n", "x" * 243, "x" * 200 + ".y" * 40],
    ids=lambda text: ascii(text[:20]),
)
def test_a_container_id_that_is_none_is_refused_everywhere(lab: Lab, container_id: str) -> None:
    outcomes = lab.run(
        ("prepare", {"container_id": container_id, "networks": [info("net")]}),
        ("status", {"container_id": container_id}),
        ("usage", {"container_id": container_id}),
        ("cleanup", {"container_id": container_id}),
    )

    assert all(outcome.error.startswith("the container ID ") for outcome in outcomes)
    assert lab.left() == []


def test_odd_but_allowed_names_work(lab: Lab) -> None:
    container_id, network = 'a$b"[*`', "x" * 255
    lab.configure("long.conf", {"name": network, "type": "fake"})

    container = lab.container(container_id, info(network))
    hosts = lab.inside(container, "cat", "/etc/hosts")
    lab.ok("cleanup", container_id=container_id)

    assert hosts.splitlines()[-1] == f"192.168.4.2 {container_id}"
    assert lab.left() == []


@pytest.mark.parametrize("hostname", ["x" * 65, "é" * 33, "", "a b", "a\n127.0.0.1 b", "a#b"])
def test_l16_a_hostname_that_the_kernel_or_a_file_cannot_take_is_refused(
    lab: Lab, hostname: str
) -> None:
    outcome = lab.do("prepare", container_id="a", networks=[info("net")], hostname=hostname)

    assert outcome.error.startswith("the hostname ")
    assert "\n" not in outcome.error


def test_l16_a_long_container_id_gives_as_much_of_a_hostname_as_there_may_be(lab: Lab) -> None:
    container = lab.container("x" * 100, info("net"), hostname=None)

    assert lab.inside(container, "hostname") == "x" * 64 + "\n"


@pytest.mark.parametrize("target", [SECRET, "/run/nowhere"], ids=["directory", "dangling"])
def test_a_link_in_the_place_of_a_container_is_refused(lab: Lab, target: str) -> None:
    lab.path().mkdir(parents=True)
    lab.path("web-1").symlink_to(target)

    prepared = lab.do("prepare", container_id="web-1", networks=[info("net")])
    status = lab.ok("status", container_id="web-1")
    cleaned = lab.do("cleanup", container_id="web-1")

    assert "has been prepared already" in prepared.error
    assert status == []
    assert cleaned.error == "cannot clean up container web-1"
    assert intact(lab)
    assert [path.name for path in lab.path().iterdir()] == ["web-1"]


@pytest.mark.parametrize(
    ("where", "target"),
    [
        (("net",), SECRET),
        (("net", "eth0"), f"{SECRET}/eth0"),
        (("net", "eth0", "network.info"), f"{SECRET}/eth0/network.info"),
        (("net", "network.conf"), f"{SECRET}/file"),
        (("other",), SECRET),
        (("ns",), "/proc/1/ns/net"),
        ((".container.json",), f"{SECRET}/file"),
        (("hosts",), f"{SECRET}/file"),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else "",
)
def test_a_link_within_a_containers_state_leads_nowhere(
    lab: Lab, where: tuple[str, ...], target: str
) -> None:
    lab.container("web-1", info("net"))
    planted = lab.path("web-1", *where)
    if planted.name == "ns":
        lab.host.run(["umount", "/run/lab/runtime/isolators/network/cni/web-1/ns"])
    lab.host.run(["rm", "-rf", f"/run/lab/runtime/isolators/network/cni/web-1/{'/'.join(where)}"])
    planted.symlink_to(target)

    status = lab.ok("status", container_id="web-1")
    report = lab.ok("recover", live=[], orphans=[])
    for call in lab.plugins.calls("fake")[1:]:
        assert "CNI_NETNS" not in call.env or where != ("ns",)

    assert not any("203.0.113.1" in str(each) for each in status)
    assert report["cleaned"] == ["web-1"]
    assert intact(lab)
    assert lab.left() == []


def test_a_planted_link_is_not_bound_into_a_joining_container(lab: Lab) -> None:
    parent = lab.container("a", info("net"))
    lab.path("a", "hosts").unlink()
    lab.path("a", "hosts").symlink_to(f"{SECRET}/file")
    nested = lab.sleeper(("mnt",), joins=parent)

    prepared, isolated = lab.run(
        ("prepare", {"container_id": "a.b"}),
        ("isolate", {"container_id": "a.b", "pid": nested.pid_inside}),
    )

    assert prepared.value["joins"] == "a"
    assert isolated.error == "container a has no hosts file any more"


@pytest.mark.parametrize("args", [5, {"org.apache.mesos": {}}, {"org.apache.mesos": None}])
def test_args_must_be_an_object_and_not_ours(lab: Lab, args: Any) -> None:
    lab.configure("bad.conf", {"name": "bad", "type": "fake", "args": args})

    (problem,) = lab.ok("networks")["problems"]
    outcome = lab.do("prepare", container_id="a", networks=[info("bad")])

    assert "bad.conf: args" in problem
    assert outcome.error == "container a asks for the unknown network 'bad'"
    assert problem in outcome.details
