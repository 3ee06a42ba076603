"""The recipes of Mesos' documents, with `mesos-cni` in the place of agent and framework.

What the documents show was printed years ago: `as_it_was` says which of it has changed since.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.netns.containers import Tool
from tests.netns.networks import CHAIN, DOCUMENT
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import Saw, connect_tcp, serve_tcp

CNI_TEST = {"name": "cni-test", **DOCUMENT["delegate"]}
ID = "5baff64c-d028-47ba-864e-a5ee679fc069"
STATE = "/var/run/mesos/isolators/network/cni"

SHOWN_ADDRESSES = """\
3: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default
    link/ether 8a:2c:f9:41:0a:54 brd ff:ff:ff:ff:ff:ff
    inet 192.168.0.2/16 scope global eth0
       valid_lft forever preferred_lft forever
    inet6 fe80::882c:f9ff:fe41:a54/64 scope link
       valid_lft forever preferred_lft forever
"""
SHOWN_ROUTES = """\
default via 192.168.0.1 dev eth0
192.168.0.0/16 dev eth0  proto kernel  scope link  src 192.168.0.2
"""
SHOWN_LABELS = {
    "labels": [{"key": "app", "value": "myapp"}, {"key": "env", "value": "prod"}],
}
SHOWN_PORTS = [
    {"host_port": 8080, "container_port": 80},
    {"host_port": 8081, "container_port": 443},
]


@pytest.fixture
def tool(host: Host) -> Tool:
    need(f"{PLUGIN_DIRECTORY}/bridge", f"{PLUGIN_DIRECTORY}/host-local")
    return Tool(host)


def configured(tool: Tool, document: dict[str, Any]) -> str:
    """Write a configuration as it is in the document, and return the network's name."""
    name = str(document["name"])
    path = tool.host.path(f"/run/networks/{name}.conf")
    path.write_text(json.dumps(document))
    return name


def launch(tool: Tool, name: str, networks: str, *flags: str, path: str = "") -> None:
    """Launch a container that does nothing, with Debian's plugins to be found."""
    plugins = ("--network_cni_plugins_dir", f"/run/plugins:{path}:{PLUGIN_DIRECTORY}")
    tool.detached(name, "sleep 1000", "--networks", networks, *plugins, *flags)


def as_it_was(text: str) -> list[str]:
    """Return what `ip` prints as the documents have it, without what differs each time."""
    for pattern, instead in (
        (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"),
        (r"^\d+: ", "N: "),
        (r"fe80::[0-9a-f:]+", "fe80::1"),
        (r" tentative\b", ""),
        # Newer `ip` says where the other end is, and newer bridge plugins set a broadcast address.
        (r"@if\d+:", ":"),
        (r" link-netnsid \d+", ""),
        (r"(inet \S+) brd \S+", r"\1"),
        (r"(?<=\S) +", " "),
        (r" $", ""),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.splitlines()


def test_a_bridge_network_and_the_namespace_by_a_link(tool: Tool) -> None:
    launch(tool, ID, configured(tool, CNI_TEST))

    short = ID.partition("-")[0]
    tool.host.run(["ln", "-s", f"{STATE}/{ID}/ns", f"/var/run/netns/{short}"])
    inside = ("ip", "netns", "exec", short, "ip")
    links = tool.host.run([*inside, "link"]).text
    addresses = tool.host.run([*inside, "addr", "show"]).text
    routes = tool.host.run([*inside, "route", "show"]).text

    loopback, eth0 = re.split(r"^(?=2: )", addresses, flags=re.MULTILINE)
    assert as_it_was(eth0) == as_it_was(SHOWN_ADDRESSES)
    assert as_it_was(routes) == as_it_was(SHOWN_ROUTES)
    # In the document it is down, which Mesos mended a little later.
    assert loopback.startswith("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 ")
    assert re.findall(r"^\d+: (\w+)", links, re.MULTILINE) == ["lo", "eth0"]


def test_containers_of_a_bridge_network_reach_the_world_and_the_host_them(tool: Tool) -> None:
    launch(tool, "web", configured(tool, CNI_TEST))
    inside = Place(tool.host.keeper, "web", f"{STATE}/web/ns")
    serve_tcp(inside, 80)
    serve_tcp(tool.host.client, 80)

    # `ipMasq`: the client has no route to the container's address.
    assert connect_tcp(inside, CLIENT_IPV4, 80) == Saw("client", HOST_IPV4, 80)
    assert connect_tcp(tool.host, "192.168.0.2", 80) == Saw("web", "192.168.0.1", 80)


def test_the_port_mapper(tool: Tool, frozen: Path) -> None:
    name = configured(tool, DOCUMENT)
    launch(tool, "web", name, "--port", "8080:80", path=str(frozen.parent))
    serve_tcp(Place(tool.host.keeper, "web", f"{STATE}/web/ns"), 80)

    assert connect_tcp(tool.host.client, HOST_IPV4, 8080) == Saw("web", CLIENT_IPV4, 80)
    assert tool.status("web")["network_infos"] == [
        {
            "name": name,
            "ip_addresses": [{"ip_address": "192.168.0.2", "protocol": "IPv4"}],
            "port_mappings": [{"host_port": 8080, "container_port": 80}],
        }
    ]
    assert tool.host.chain(CHAIN) == [
        f"-A {CHAIN} ! -i mesos-cni0 -p tcp -m tcp --dport 8080 -m comment --comment "
        f'"container_id: web network: {name} ifname: eth0" -j DNAT --to-destination 192.168.0.2:80'
    ]
    tool.succeed("kill", "--grace", "0", "web")
    tool.succeed("cleanup", "web")
    assert connect_tcp(tool.host.client, HOST_IPV4, 8080) == "refused"
    assert tool.host.ruleset() == []


def test_two_networks_on_one_container(tool: Tool) -> None:
    front = configured(tool, CNI_TEST)
    ipam = {"type": "host-local", "subnet": "10.2.0.0/24"}
    back = configured(tool, {"name": "back", "type": "bridge", "bridge": "back0", "ipam": ipam})
    launch(tool, "both", f"{front},{back}")

    addresses = json.loads(tool.succeed("exec", "both", "ip", "-json", "-4", "address"))
    found = {
        link["ifname"]: [f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"]]
        for link in addresses
    }
    assert found == {"lo": ["127.0.0.1/8"], "eth0": ["192.168.0.2/16"], "eth1": ["10.2.0.2/24"]}
    names = [info["name"] for info in tool.status("both")["network_infos"]]
    assert names == [front, back]


def test_an_entry_without_a_name_is_skipped_and_is_not_the_hosts_network(tool: Tool) -> None:
    name = configured(tool, CNI_TEST)
    task = {
        "name": "task",
        "command": {"value": "ip -o link | wc -l"},
        "container": {"network_infos": [{"groups": ["nameless"]}, {"name": name}]},
    }
    plugins = ("--network_cni_plugins_dir", PLUGIN_DIRECTORY)

    assert tool.succeed("run", *plugins, "--task", json.dumps(task)) == "2\n"


def test_labels_and_port_mappings_reach_the_plugin(tool: Tool) -> None:
    tool.network("mynet", "recorder")
    info = {"name": "mynet", "labels": SHOWN_LABELS, "port_mappings": SHOWN_PORTS}
    task = {"name": "t", "command": {"value": "true"}, "container": {"network_infos": [info]}}

    tool.succeed("run", "--task", json.dumps(task))

    add, delete = tool.plugins.calls("recorder")
    assert add.config == {
        "cniVersion": "1.0.0",
        "name": "mynet",
        "type": "recorder",
        "args": {"org.apache.mesos": {"network_info": info}},
    }
    again = {key: value for key, value in delete.config.items() if key != "prevResult"}
    assert again == add.config
    tool.assert_nothing_left()


def test_a_network_is_added_changed_and_deleted_while_containers_run(tool: Tool) -> None:
    name = configured(tool, CNI_TEST)
    launch(tool, "first", name)
    ipam = CNI_TEST["ipam"] | {"subnet": "10.9.0.0/24"}
    configured(tool, {**CNI_TEST, "bridge": "other0", "ipam": ipam})
    launch(tool, "second", name)
    tool.host.path(f"/run/networks/{name}.conf").unlink()

    refused = tool.run("run", "--networks", name, "--command", "true")
    assert (refused.status, name in refused.stderr) == (1, True)
    addresses = [
        info["ip_addresses"][0]["ip_address"]
        for each in ("first", "second")
        for info in tool.status(each)["network_infos"]
    ]
    assert addresses == ["192.168.0.2", "10.9.0.2"]
    for each in ("first", "second"):
        tool.succeed("kill", "--grace", "0", each)
        tool.succeed("cleanup", each)
    # What was taken is given back by the configurations of then.
    leases = tool.host.files("/var/lib/cni/networks")
    assert [lease for lease in leases if re.search(r"/[\d.]+$", lease)] == []
    tool.assert_nothing_left()
