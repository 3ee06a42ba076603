"""The isolator on the real kernel: what a container on CNI networks is given, and sees."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.delegates import Received
from tests.support.gate import need
from tests.support.host import HOST_IPV4, SEARCH_PATH, Host
from tests.support.isolation import PLUGINS, ROOT, Lab, info
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import Saw, connect_tcp, serve_tcp

RESULT_4 = {"ip4": {"ip": "192.168.4.2/24"}}
SERVERS = ["192.0.2.53", "192.0.2.54"]


@pytest.fixture
def lab(host: Host) -> Lab:
    return Lab(host)


def bridge(name: str, subnet: str, **fields: Any) -> dict[str, Any]:
    need(f"{PLUGIN_DIRECTORY}/bridge")
    ipam = {"type": "host-local", "subnet": subnet, "routes": [{"dst": "0.0.0.0/0"}]}
    own = {"name": name, "type": "bridge", "bridge": f"{name}0", "isGateway": True, "ipam": ipam}
    return own | fields


def address(text: str) -> dict[str, str]:
    return {"ip_address": text, "protocol": "IPv6" if ":" in text else "IPv4"}


def given(call: Received) -> Any:
    return call.config["args"]["org.apache.mesos"]["network_info"]


def test_a_container_is_attached_and_leaves_no_trace(lab: Lab) -> None:
    lab.configure("a.conf", bridge("a", "192.168.1.0/24"))

    container = lab.container("web-1", info("a"), hostname="web")
    below = sorted(str(path.relative_to(lab.path())) for path in lab.path().rglob("*"))
    links = json.loads(lab.inside(container, "ip", "-json", "address"))
    usage = lab.ok("usage", container_id="web-1")
    status = lab.ok("status", container_id="web-1")
    lab.ok("cleanup", container_id="web-1")

    assert status == [{"name": "a", "ip_addresses": [address("192.168.1.2")]}]
    assert below == [
        "web-1",
        "web-1/.container.json",
        "web-1/a",
        "web-1/a/eth0",
        "web-1/a/eth0/network.info",
        "web-1/a/network.conf",
        "web-1/hostname",
        "web-1/hosts",
        "web-1/ns",
    ]
    assert [link["ifname"] for link in links] == ["lo", "eth0"]
    assert all("UP" in link["flags"] for link in links)
    assert usage["net_tx_packets"] > 0
    assert len(usage) == 8
    assert lab.left() == []
    assert not any("192.168.1.2" in name for name in lab.host.files("/var/lib/cni"))
    assert "veth" not in lab.host.run(["ip", "link"]).text


def test_the_namespace_can_be_linked_for_ip_netns(lab: Lab) -> None:
    lab.configure("a.conf", bridge("a", "192.168.1.0/24"))
    lab.container("web-1", info("a"))

    lab.host.path("/run/netns/web-1").symlink_to(f"{ROOT}/web-1/ns")
    shown = lab.host.run(["ip", "netns", "exec", "web-1", "ip", "address"]).text

    assert "192.168.1.2/24" in shown


def test_a_plugin_gets_mesos_environment_and_nothing_else(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")

    lab.container("a.b", info("net"))
    lab.ok("cleanup", container_id="a.b")

    add, delete = lab.plugins.calls("fake")
    expected = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "a.b",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": f"{ROOT}/a.b/ns",
        "CNI_PATH": f"{PLUGINS}:{PLUGIN_DIRECTORY}",
        "PATH": SEARCH_PATH,
    }
    assert {key: add.env[key] for key in expected} == expected
    assert set(add.env) - set(expected) <= {"PWD"}  # The shell's own.
    assert {key: delete.env[key] for key in expected} == expected | {"CNI_COMMAND": "DEL"}


def test_what_the_container_asks_for_reaches_the_plugin_on_add_and_del(lab: Lab) -> None:
    asked = info(
        "net",
        labels={"labels": [{"key": "app", "value": "web"}]},
        groups=["g"],
        ip_addresses=[{"ip_address": "192.168.4.9"}],
        port_mappings=[{"host_port": 8080, "container_port": 80, "protocol": "UDP"}],
    )
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake", args={"mine": {"kept": True}})

    lab.container("web-1", asked)
    checkpoint = lab.path("web-1", "net", "network.conf").read_bytes()
    lab.ok("cleanup", container_id="web-1")

    add, delete = lab.plugins.calls("fake")
    form = (
        b'{"groups":["g"],"ip_addresses":[{"ip_address":"192.168.4.9","protocol":"IPv4"}],'
        b'"labels":{"labels":[{"key":"app","value":"web"}]},"name":"net",'
        b'"port_mappings":[{"container_port":80,"host_port":8080,"protocol":"UDP"}]}'
    )
    assert add.stdin == delete.stdin == checkpoint
    assert form in checkpoint
    assert add.config["args"]["mine"] == {"kept": True}


def test_each_network_gets_its_own_networkinfo(lab: Lab) -> None:
    for name in ("one", "two"):
        lab.plugins.recording(name, RESULT_4)
        lab.network(name)

    lab.container("web-1", info("one", groups=["1"]), info(groups=["x"]), info("two", groups=["2"]))

    (one,), (two,) = lab.plugins.calls("one"), lab.plugins.calls("two")
    assert (given(one)["groups"], one.env["CNI_IFNAME"]) == (["1"], "eth0")
    assert (given(two)["groups"], two.env["CNI_IFNAME"]) == (["2"], "eth1")


def test_networks_are_attached_at_the_same_time(lab: Lab) -> None:
    wait = f"until [ -e {PLUGINS}/.$other/*.complete ]; do sleep 0.01; done"
    for name, other in (("one", "two"), ("two", "one")):
        lab.plugins.scripted(name, {"ADD": f"other={other}\n{wait}\nprintf '{{}}'"})
        lab.network(name)
    lab.settings["plugin_timeout"] = 5

    assert lab.isolate("web-1", info("one"), info("two")).error == ""


@pytest.mark.parametrize("order", [["b", "a", "c"], ["c", "b", "a"]], ids="".join)
def test_l3_hosts_dns_and_status_are_in_the_order_of_the_request(
    lab: Lab, order: list[str]
) -> None:
    for number, name in enumerate("abc", 1):
        result = {
            "ip4": {"ip": f"192.168.{number}.2/24"},
            "dns": {"nameservers": [f"192.0.2.{number}"]},
        }
        lab.plugins.recording(name, result)
        lab.network(name)

    container = lab.container("web-1", *map(info, order))

    numbers = [ord(name) - ord("a") + 1 for name in order]
    addresses = [f"192.168.{number}.2" for number in numbers]
    hosts = lab.inside(container, "cat", "/etc/hosts").splitlines()
    status = lab.ok("status", container_id="web-1")
    assert hosts == ["127.0.0.1 localhost", *(f"{each} web-1" for each in addresses)]
    assert lab.inside(container, "cat", "/etc/resolv.conf").splitlines() == [
        f"nameserver 192.0.2.{number}" for number in numbers
    ]
    assert [(each["name"], each["ip_addresses"]) for each in status] == [
        (name, [address(each)]) for name, each in zip(order, addresses, strict=True)
    ]


@pytest.mark.parametrize("version", ["", "0.1.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_l1_l4_results_of_every_version_give_both_families(lab: Lab, version: str) -> None:
    lab.plugins.fixed()
    fields = {"cniVersion": version} if version else {}
    lab.network("net", "fixed", address="192.168.4.2/24", address6="fd00:4::2/64", **fields)

    container = lab.container("web-1", info("net"))

    assert lab.ok("status", container_id="web-1") == [
        {"name": "net", "ip_addresses": [address("192.168.4.2"), address("fd00:4::2")]}
    ]
    assert lab.inside(container, "cat", "/etc/hosts").splitlines()[1:] == [
        "192.168.4.2 web-1",
        "fd00:4::2 web-1",
    ]


def test_l1_a_list_of_plugins_is_run_in_order_and_undone_in_reverse(lab: Lab) -> None:
    first = {"cniVersion": "1.0.0", "ips": [{"address": "192.168.4.2/24"}]}
    second = {**first, "dns": {"nameservers": ["192.0.2.1"]}}
    for name, result in (("first", first), ("second", second)):
        note = f"echo $CNI_COMMAND {name} >>{PLUGINS}/order\n"
        say = f"printf %s '{json.dumps(result)}'"
        lab.plugins.scripted(name, {"ADD": note + say, "DEL": note})
    plugins = [{"type": "first"}, {"type": "second", "capabilities": {"portMappings": True}}]
    lab.configure("net.conflist", {"name": "net", "cniVersion": "1.0.0", "plugins": plugins})

    mapping = {"host_port": 8080, "container_port": 80}
    container = lab.container("web-1", info("net", port_mappings=[mapping]))
    resolv_conf = lab.inside(container, "cat", "/etc/resolv.conf")
    lab.ok("cleanup", container_id="web-1")

    add, delete = lab.plugins.calls("second")
    assert lab.host.path(f"{PLUGINS}/order").read_text().splitlines() == [
        "ADD first",
        "ADD second",
        "DEL second",
        "DEL first",
    ]
    assert add.config["prevResult"] == first
    assert (add.config["name"], add.config["cniVersion"]) == ("net", "1.0.0")
    assert add.config["runtimeConfig"]["portMappings"] == [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    ]
    assert delete.config["prevResult"] == second
    assert lab.plugins.calls("first")[1].config["prevResult"] == second
    assert "prevResult" not in lab.plugins.calls("first")[0].config
    assert resolv_conf == "nameserver 192.0.2.1\n"
    assert lab.left() == []


def test_l2_an_empty_ipam_is_no_fault(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake", ipam={})

    assert lab.ok("networks") == {"networks": ["net"], "problems": []}
    assert lab.isolate("web-1", info("net")).error == ""


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


@pytest.mark.parametrize("networks", [[], [info(groups=["g"])]], ids=["none", "nameless"])
def test_a_nested_container_joins_the_nearest_one_that_has_networks(
    lab: Lab, networks: list[Any]
) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    parent = lab.container("a", info("net"), hostname="parent")
    nested = lab.sleeper(("mnt",), joins=parent)
    request = {"container_id": "a.b.c", "networks": networks}

    prepared, isolated, status, usage, debug, _, after = lab.run(
        ("prepare", request),
        ("isolate", {"container_id": "a.b.c", "pid": nested.pid_inside}),
        ("status", {"container_id": "a.b.c"}),
        ("usage", {"container_id": "a.b.c"}),
        ("prepare", {"container_id": "a.d", "networks": [info("net")], "debug": True}),
        ("cleanup", {"container_id": "a.b.c"}),
        ("status", {"container_id": "a"}),
    )

    environment = {"LIBPROCESS_IP": "0.0.0.0"}
    assert prepared.value == {"namespaces": ["mnt"], "joins": "a", "environment": environment}
    assert debug.value == {"namespaces": [], "joins": "a", "environment": environment}
    assert isolated.error == ""
    assert (
        status.value == after.value == [{"name": "net", "ip_addresses": [address("192.168.4.2")]}]
    )
    assert len(usage.value) == 8
    assert lab.inside(nested, "cat", "/etc/hosts").endswith("192.168.4.2 parent\n")
    assert lab.inside(nested, "hostname") == "parent\n"
    assert lab.calls("fake") == ["ADD"]


def test_a_nested_container_may_have_networks_of_its_own(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    lab.container("a", info("net"), hostname="parent")

    nested = lab.container("a.b", info("net"))
    lab.ok("cleanup", container_id="a")

    assert lab.inside(nested, "hostname") == "b\n"
    assert lab.ok("status", container_id="a.b.c") == lab.ok("status", container_id="a.b") != []
    assert lab.ok("status", container_id="a") == []


def test_configurations_count_from_the_next_launch_on(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.plugins.recording("other", RESULT_4)
    asked = {"networks": [info("net")]}

    lab.network("some", "fake")
    refused = lab.do("prepare", container_id="a", **asked)
    assert refused.error == "container a asks for the unknown network 'net'"
    assert refused.details == "known networks: some"

    lab.network("net", "fake")
    lab.container("b", info("net"))
    lab.network("net", "other")
    lab.container("c", info("net"))
    lab.unconfigure("net.conf")
    lab.configure("broken", '{"name": "net"')
    refused = lab.do("prepare", container_id="d", **asked)
    assert "broken: " in refused.details
    assert [lab.calls("fake"), lab.calls("other")] == [["ADD"], ["ADD"]]

    for container_id in ("b", "c"):
        lab.ok("cleanup", container_id=container_id)
    assert [lab.calls("fake"), lab.calls("other")] == [["ADD", "DEL"], ["ADD", "DEL"]]
    assert lab.left() == []


def test_a_network_may_be_asked_for_once_and_a_container_prepared_once(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")

    twice = lab.do("prepare", container_id="a", networks=[info("net"), info("net")])
    assert twice.error == "container a asks for network 'net' twice"
    assert twice.details == "known networks: net"
    lab.container("a", info("net"))
    assert "has been prepared already" in lab.do("prepare", container_id="a").error
    request = {"container_id": "b"}
    first, second = lab.run(("prepare", request), ("prepare", request))
    assert not first.error
    assert "has been prepared already" in second.error


def test_a_built_in_plugin_is_found_after_the_operators(lab: Lab) -> None:
    lab.host.path("/run/builtin").mkdir()
    lab.plugins.recording("fake", RESULT_4)
    lab.host.path(f"{PLUGINS}/fake").rename(lab.host.path("/run/builtin/fake"))
    lab.network("net", "fake")
    lab.settings["builtin_plugins_dir"] = "/run/builtin"

    lab.container("a", info("net"))

    (call,) = lab.plugins.calls("fake")
    assert call.env["CNI_PATH"] == f"{PLUGINS}:{PLUGIN_DIRECTORY}:/run/builtin"


def test_ports_are_forwarded_by_the_port_mapper(lab: Lab, frozen: Path) -> None:
    delegate = bridge("web", "192.168.1.0/24")
    del delegate["name"]
    lab.settings["plugins_dir"] = f"{frozen.parent}:{PLUGIN_DIRECTORY}"
    lab.network("web", "mesos-cni-port-mapper", chain="MESOS-TEST", delegate=delegate)
    mapping = {"host_port": 8080, "container_port": 80}

    container = lab.container("web-1", info("web", port_mappings=[mapping]))
    lab.host.path("/run/netns/web-1").symlink_to(f"{ROOT}/web-1/ns")
    place = lab.host.container("unused")
    place.netns = f"{ROOT}/web-1/ns"
    serve_tcp(place, 80)
    seen = connect_tcp(lab.host.client, HOST_IPV4, 8080)
    status = lab.ok("status", container_id="web-1")
    container.kill()
    lab.ok("cleanup", container_id="web-1")

    assert isinstance(seen, Saw)
    assert status == [
        {
            "name": "web",
            "ip_addresses": [address("192.168.1.2")],
            "port_mappings": [{"container_port": 80, "host_port": 8080}],
        }
    ]
    assert connect_tcp(lab.host.client, HOST_IPV4, 8080) == "refused"
    assert lab.host.chain("MESOS-TEST") is None
    assert lab.left() == []
