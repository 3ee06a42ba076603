"""The files a container on CNI networks is given, and what it is kept from."""

from typing import Any

import pytest

from tests.support.host import Host
from tests.support.isolation import ROOT, Lab, info

RESULT_4 = {"ip4": {"ip": "192.168.4.2/24"}}
SERVERS = ["192.0.2.53", "192.0.2.54"]


@pytest.fixture
def lab(host: Host) -> Lab:
    return Lab(host)


DNS = {"nameservers": SERVERS}
BY_NAME = {"network_mode": "CNI", "network_name": "net", "dns": {"nameservers": ["192.0.2.60"]}}
NAMELESS = {"network_mode": "CNI", "dns": {"nameservers": ["192.0.2.61"]}}


@pytest.mark.parametrize(
    ("dns", "defaults", "expected"),
    [
        (
            {**DNS, "domain": "a.test", "search": ["b.test", "b.test"], "options": ["x:1", "y"]},
            [BY_NAME],
            ["domain a.test", "search b.test b.test", "options x:1 y"]
            + [f"nameserver {server}" for server in SERVERS],
        ),
        ({}, [BY_NAME, NAMELESS], ["nameserver 192.0.2.60"]),
        ({}, [NAMELESS], ["nameserver 192.0.2.61"]),
        ({"search": ["b.test"]}, [NAMELESS], ["search b.test", "nameserver 192.0.2.61"]),
        ({}, [{**BY_NAME, "network_name": "other"}], None),
        (None, [], None),
    ],
    ids=["plugin", "by name", "nameless", "search kept", "another's", "host"],
)
def test_name_servers_are_the_plugins_else_the_default_else_the_hosts(
    lab: Lab, dns: Any, defaults: list[Any], expected: list[str] | None
) -> None:
    lab.plugins.recording("fake", {**RESULT_4, **({"dns": dns} if dns is not None else {})})
    lab.network("net", "fake")
    lab.settings["default_container_dns"] = {"mesos": defaults}

    container = lab.container("web-1", info("net"))

    own = lab.inside(container, "cat", "/etc/resolv.conf").splitlines()
    host = lab.host.run(["cat", "/etc/resolv.conf"]).text.splitlines()
    assert own == (host if expected is None else expected)
    assert lab.path("web-1", "resolv.conf").exists() == (expected is not None)


def test_l8_l9_the_files_are_read_only_and_no_devices_either(lab: Lab) -> None:
    lab.plugins.recording("fake", {**RESULT_4, "dns": DNS})
    lab.network("net", "fake")
    container = lab.container("web-1", info("net"), hostname="web")

    for name in ("hosts", "hostname", "resolv.conf"):
        script = f"echo x >>/etc/{name} || echo refused"
        assert lab.inside(container, "sh", "-c", script) == "refused\n"
        options = lab.inside(container, "findmnt", "-no", "OPTIONS", f"/etc/{name}").split(",")
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(map(str.strip, options))
    assert lab.inside(container, "hostname") == "web\n"
    assert lab.inside(container, "cat", "/etc/hostname") == "web"
    assert lab.host.run(["hostname"]).text != "web\n"


def test_l8_the_hosts_own_name_servers_are_read_only_too(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    container = lab.container("web-1", info("net"))

    options = lab.inside(container, "findmnt", "-no", "OPTIONS", "/etc/resolv.conf")
    assert options.startswith("ro,")


def test_no_container_holds_on_to_the_namespaces_of_others(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")

    lab.container("first", info("net"))
    second = lab.container("second", info("net"))
    late = lab.sleeper()
    propagation = lab.host.run(["findmnt", "-no", "PROPAGATION", ROOT]).text.strip()
    lab.ok("cleanup", container_id="first")

    assert propagation == "shared"
    assert ROOT not in lab.inside(second, "cat", "/proc/self/mountinfo")
    assert "first" not in lab.inside(late, "cat", "/proc/self/mountinfo")
    assert lab.mounts() == [ROOT, f"{ROOT}/second/ns"]


def test_a_root_file_system_gets_the_files_and_l10_its_links_lead_nowhere_else(lab: Lab) -> None:
    lab.plugins.recording("fake", {**RESULT_4, "dns": DNS})
    lab.network("net", "fake")
    rootfs = lab.host.path("/run/rootfs")
    outside = lab.host.path("/run/outside-etc")
    (rootfs / "usr").mkdir(parents=True)
    outside.mkdir()
    # To a chrooted eye both stay inside; to the host's, the first is /run/outside-etc.
    (rootfs / "etc").symlink_to("/run/outside-etc")
    (rootfs / "run/outside-etc").mkdir(parents=True)
    (rootfs / "run/outside-etc/hosts").symlink_to("../../../../../run/outside-etc/hosts")
    (outside / "hosts").write_text("mine")

    container = lab.container("web-1", info("net"), rootfs="/run/rootfs", hostname="web")

    seen = f"{'/run/rootfs'}/run/outside-etc"
    assert lab.inside(container, "cat", f"{seen}/hosts").endswith("192.168.4.2 web\n")
    assert lab.inside(container, "cat", f"{seen}/resolv.conf").startswith("nameserver")
    assert [path.name for path in outside.iterdir()] == ["hosts"]
    assert (outside / "hosts").read_text() == "mine"
    assert "web" not in lab.inside(container, "cat", "/etc/hosts")


def test_a_container_on_the_hosts_network_is_lent_the_hosts_files_read_only(lab: Lab) -> None:
    lab.host.path("/run/rootfs").mkdir()
    container = lab.sleeper(("mnt",))
    request = {"container_id": "web-1", "rootfs": "/run/rootfs", "hostname": "ignored"}

    prepared, isolated, status, usage, cleaned = lab.run(
        ("prepare", request),
        ("isolate", {"container_id": "web-1", "pid": container.pid_inside}),
        ("status", {"container_id": "web-1"}),
        ("usage", {"container_id": "web-1"}),
        ("cleanup", {"container_id": "web-1"}),
    )

    assert prepared.value == {"namespaces": ["mnt"], "joins": None, "environment": {}}
    assert (isolated.error, status.value, usage.value, cleaned.error) == ("", [], {}, "")
    for name in ("hosts", "hostname", "resolv.conf"):
        assert lab.inside(container, "cat", f"/run/rootfs/etc/{name}") == (
            lab.host.run(["cat", f"/etc/{name}"]).text
        )
        options = lab.inside(container, "findmnt", "-no", "OPTIONS", f"/run/rootfs/etc/{name}")
        assert options.startswith("ro,")
    assert lab.left() == []


def test_without_networks_a_container_is_on_the_hosts(lab: Lab) -> None:
    nothing: dict[str, object] = {"namespaces": [], "joins": None, "environment": {}}

    assert lab.ok("prepare", container_id="a") == nothing
    assert lab.ok("prepare", container_id="a", networks=[info(groups=["g"])]) == nothing
    lab.settings.update(config_dir=None, plugins_dir="")
    assert lab.ok("prepare", container_id="a") == nothing
    assert (
        "unknown network 'net'" in lab.do("prepare", container_id="a", networks=[info("net")]).error
    )


def test_l7_no_name_of_a_network_costs_a_container_its_isolation(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("__MESOS_TEST__", "fake")

    prepared = lab.ok("prepare", container_id="a", networks=[info("__MESOS_TEST__")])

    assert prepared["namespaces"] == ["mnt", "net", "uts"]
    assert prepared["environment"] == {"LIBPROCESS_IP": "0.0.0.0"}


def test_a_process_that_is_still_in_our_namespaces_is_not_touched(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    process = lab.sleeper(("net",))

    _, isolated = lab.run(
        ("prepare", {"container_id": "a", "networks": [info("net")]}),
        ("isolate", {"container_id": "a", "pid": process.pid_inside}),
    )

    assert "has no uts namespace of its own" in isolated.error
    assert lab.left() == []
