"""The isolator on the real kernel: what a container on CNI networks is given, and sees."""

import json
from typing import Any

import pytest

from tests.support.delegates import Received
from tests.support.gate import need
from tests.support.host import SEARCH_PATH, Host
from tests.support.isolation import PLUGINS, ROOT, Lab, info
from tests.support.plugin import PLUGIN_DIRECTORY

RESULT_4 = {"ip4": {"ip": "192.168.4.2/24"}}


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
