"""docs/networks.md: each of its configurations attaches a container of `mesos-cni`, and lets go."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import CONFIGURATIONS, ROOT, RUNTIME, Tool
from tests.netns.networks import NOTHING, Traces, traces
from tests.netns.recipes import parse_blocks, parse_transcript
from tests.netns.stand_ins import ADDRESS_V6, ADDRESSES, WEAVE, write_stand_ins
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import Saw, connect_tcp, serve_tcp

PAGE = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
FORWARDED = [name for name in SECTIONS if name != "macvlan"]
LABELS = {"labels": [{"key": "role", "value": "web"}]}
SUBNET = """\
FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.31.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""


@pytest.fixture
def tool(host: Host, frozen: Path) -> Tool:
    need(f"{PLUGIN_DIRECTORY}/macvlan", "nsenter")
    tool = Tool(host)
    write_stand_ins(host, tool.plugins)
    host.path("/run/plugins/mesos-cni-port-mapper").symlink_to(frozen)
    for name in ("macvlan", "host-local"):
        host.path(f"/run/plugins/{name}").symlink_to(f"{PLUGIN_DIRECTORY}/{name}")
    host.path("/run/flannel").mkdir()
    host.path("/run/flannel/subnet.env").write_text(SUBNET)
    return tool


def configure(host: Host, section: str) -> dict[str, Any]:
    """Do what a section says, and return its configuration."""
    for block in parse_blocks(SECTIONS[section], "console"):
        for step in parse_transcript(block):
            host.run(["sh", "-c", step.command])
    (text,) = parse_blocks(SECTIONS[section], "json")
    netconf: dict[str, Any] = json.loads(text)
    (host.path(CONFIGURATIONS) / f"{netconf['name']}.conf").write_text(text)
    return netconf


def launch(tool: Tool, network: str, *more: str) -> tuple[Place, list[str]]:
    """Run a container on a network, have it serve, and return it and its addresses."""
    tool.detached("web", "sleep 1000", "--networks", network, *more)
    return served(tool)


def served(tool: Tool) -> tuple[Place, list[str]]:
    """Have a container serve; return it and its addresses."""
    namespace = f"{RUNTIME}/isolators/network/cni/web/ns"
    web = Place(tool.host.keeper, "web", namespace)
    serve_tcp(web, 80)
    (info,) = tool.status("web")["network_infos"]
    return web, [each["ip_address"] for each in info["ip_addresses"]]


def end(tool: Tool) -> None:
    tool.succeed("kill", "web")
    tool.succeed("cleanup", "web")
    left = traces(tool.host)
    # Those of Weave are its bridge's, and stay with that.
    rules = [rule for rule in left.rules if not re.search("(^:|-[Aj] )WEAVE", rule)]
    assert Traces(tuple(rules), left.leases, left.state) == NOTHING
    assert tool.containers() == []


@pytest.mark.parametrize("section", FORWARDED)
def test_a_port_leads_to_the_container(host: Host, tool: Tool, section: str) -> None:
    netconf = configure(host, section)
    web, addresses = launch(tool, netconf["name"], "--port", "8080:80", "--label", "role=web")

    see_that_it_works(tool, section, netconf["delegate"]["type"], web, addresses)

    end(tool)


@pytest.mark.parametrize("section", FORWARDED)
def test_a_port_leads_to_the_container_of_the_agent(host: Host, tool: Tool, section: str) -> None:
    netconf = configure(host, section)
    agent = Agent(tool).ready()
    ports = [{"host_port": 8080, "container_port": 80}]
    info = {"name": netconf["name"], "port_mappings": ports, "labels": LABELS}

    launched = agent.launch("web", info)

    assert launched.status == 200, launched.text
    web, addresses = served(tool)
    see_that_it_works(tool, section, netconf["delegate"]["type"], web, addresses)
    end(tool)
    assert agent.end()[0] == 0


def see_that_it_works(
    tool: Tool, section: str, delegate: str, web: Place, addresses: list[str]
) -> None:
    """Reach a container, have it reach its agent, and look at what its plugin was told."""
    host = tool.host
    peer = WEAVE if section == "Weave" else CLIENT_IPV4
    assert connect_tcp(host.client, HOST_IPV4, 8080) == Saw("web", peer, 80)
    assert isinstance(connect_tcp(host, HOST_IPV4, 8080), Saw)
    serve_tcp(host, 5051)
    assert isinstance(connect_tcp(web, HOST_IPV4, 5051), Saw)
    if delegate in ADDRESSES:
        assert addresses[0] == ADDRESSES[delegate]
        sent = tool.plugins.calls(delegate)[0].config["args"]["org.apache.mesos"]
        assert sent["network_info"]["labels"] == LABELS


def test_cilium_is_forwarded_to_in_both_families(host: Host, tool: Tool) -> None:
    netconf = configure(host, "Cilium")
    _, addresses = launch(tool, netconf["name"], "--port", "8080:80")

    assert addresses == [ADDRESSES["cilium-cni"], ADDRESS_V6]
    (rule,) = host.chain(netconf["chain"], ipv6=True) or []
    assert rule.endswith(f"-j DNAT --to-destination [{ADDRESS_V6}]:80")

    end(tool)


def test_a_vxlan_reaches_the_other_host(host: Host, tool: Tool) -> None:
    netconf = configure(host, "VxLAN")
    words = f"type vxlan id 100 local {CLIENT_IPV4} remote {HOST_IPV4} dstport 4789 dev eth0"
    host.client.run(["ip", "link", "add", "vxlan100", *words.split()])
    host.client.run(["ip", "address", "add", "10.66.2.1/16", "dev", "vxlan100"])
    host.client.run(["ip", "link", "set", "vxlan100", "mtu", "1450", "up"])
    _, (address,) = launch(tool, netconf["name"])

    assert address.startswith("10.66.1.")
    assert connect_tcp(host.client, address, 80) == Saw("web", "10.66.2.1", 80)

    end(tool)


def test_macvlan_is_reached_from_outside_and_from_the_host(host: Host, tool: Tool) -> None:
    netconf = configure(host, "macvlan")
    web, (address,) = launch(tool, netconf["name"])
    serve_tcp(host, 5051)

    assert connect_tcp(host.client, address, 80) == Saw("web", CLIENT_IPV4, 80)
    assert isinstance(connect_tcp(host, address, 80), Saw)
    assert isinstance(connect_tcp(web, HOST_IPV4, 5051), Saw)

    end(tool)


def test_every_network_of_the_table_has_a_recipe() -> None:
    table = re.findall(r"^\| \[(\w+)\]\(#(\w+)\)", PAGE, re.MULTILINE)

    assert [name for name, _ in table] == list(SECTIONS)
    assert [anchor for _, anchor in table] == [name.lower() for name in SECTIONS]
