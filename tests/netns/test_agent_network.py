"""A container of the agent's is reached through the host's port, as with Mesos. Real plugins."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.netns.agents import SOCKET, Agent, identity
from tests.netns.containers import CONFIGURATIONS, Tool
from tests.support.host import HOST_IPV4, Host
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.waiting import eventually

CHAIN = "MESOS-TEST-PORT-MAPPER"
FETCH = (
    f"import urllib.request as r; print(r.urlopen('http://{HOST_IPV4}:8080/', timeout=2).read())"
)
SERVE = f"""
cat >/run/served.py <<'END'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")
http.server.HTTPServer(("", 80), Handler).serve_forever()
END
exec {sys.executable} /run/served.py
"""


def bridge(number: int, **more: object) -> dict[str, object]:
    ipam = {"type": "host-local", "subnet": f"10.{number + 1}.0.0/24", **more}
    return {"type": "bridge", "bridge": f"mesos-cni{number}", "isGateway": True, "ipam": ipam}


def configure(tool: Tool, name: str, document: Mapping[str, object]) -> None:
    path = tool.host.path(f"{CONFIGURATIONS}/{name}.conf")
    path.write_text(json.dumps({"name": name, **document}))


def fetched(tool: Tool) -> str:
    left = tool.host.client.run([sys.executable, "-c", FETCH], check=False)
    return left.text.strip() if left.status == 0 else "nothing"


def leases(tool: Tool) -> list[str]:
    kept = tool.host.path("/var/lib/cni/networks")
    return sorted(path.name for path in kept.rglob("10.*")) if kept.is_dir() else []


def test_a_container_on_two_networks_is_reached_through_the_hosts_port(
    host: Host, frozen: Path
) -> None:
    tool = Tool(host)
    mapped = {
        "type": frozen.name,
        "chain": CHAIN,
        "excludeDevices": ["mesos-cni0"],
        "delegate": bridge(0, routes=[{"dst": "0.0.0.0/0"}]),
    }
    configure(tool, "mapped", mapped)
    configure(tool, "plain", bridge(1))
    plugins = f"{frozen.parent}:{PLUGIN_DIRECTORY}"
    agent = Agent(tool, "--socket", SOCKET, "--network_cni_plugins_dir", plugins).ready()
    mapping = {"host_port": 8080, "container_port": 80, "protocol": "tcp"}
    requests = ({"name": "mapped", "port_mappings": [mapping]}, {"name": "plain"})
    launched = agent.launch("web", *requests, command=SERVE)

    assert (launched.status, launched.text) == (200, "")
    status = agent.tasks()["web"]["statuses"][-1]["container_status"]
    assert status["network_infos"] == [
        {
            "name": "mapped",
            "ip_addresses": [{"ip_address": "10.1.0.2", "protocol": "IPv4"}],
            "port_mappings": [mapping],
        },
        {"name": "plain", "ip_addresses": [{"ip_address": "10.2.0.2", "protocol": "IPv4"}]},
    ]
    assert eventually(lambda: fetched(tool), "b'served'", 15) == "b'served'"
    (listed,) = agent.get("/containers").document
    assert listed["statistics"]["net_rx_bytes"] > 0

    agent.kill()
    assert fetched(tool) == "b'served'"
    agent.restart()
    assert agent.tasks()["web"]["statuses"][-1]["container_status"] == status
    assert fetched(tool) == "b'served'"
    assert leases(tool) == ["10.1.0.2", "10.2.0.2"]

    agent.call("KILL_CONTAINER", container_id=identity("web"))
    assert agent.call("WAIT_CONTAINER", container_id=identity("web")).status == 200
    assert fetched(tool) == "nothing"
    assert leases(tool) == []
    assert host.chain(CHAIN) is None
    agent.call("REMOVE_CONTAINER", container_id=identity("web"))
    assert agent.end()[0] == 0
    assert tool.containers() == []
    assert host.processes() == {}
