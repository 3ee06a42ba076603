"""docs/migration.md: each of its configurations forwards a port, and leaves nothing."""

import json
from typing import Any

import pytest

from tests.netns.containers import ROOT
from tests.netns.networks import NOTHING, Traces, traces
from tests.netns.recipes import parse_blocks
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Container, Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin
from tests.support.traffic import Outcome, Saw, connect_tcp, serve_tcp

PAGE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
ORIGINAL, BEFORE, CHAINED, WRAPPED = BLOCKS = [
    json.loads(block) for block in parse_blocks(PAGE, "json")
]
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
MESOS_PORTS = [{"host_port": 8080, "container_port": 80}]


class Runtime:
    """A runtime as far as it matters: it runs a configuration, or a list of plugins in order."""

    def __init__(self, plugin: Plugin, container: Container, netconf: dict[str, Any]) -> None:
        self.plugin = plugin
        self.container = container
        self.result: Any = None
        self.configurations = [
            self._completed(each, netconf) for each in netconf.get("plugins", [netconf])
        ]

    def add(self) -> None:
        """Attach; each plugin but the first is told the result of the one before."""
        for configuration in self.configurations:
            self.result = succeeded(self._run("ADD", configuration))

    def delete(self) -> None:
        """Detach, in reverse."""
        for configuration in reversed(self.configurations):
            succeeded(self._run("DEL", configuration))

    def _run(self, command: str, configuration: dict[str, Any]) -> Answer:
        known = {} if self.result is None else {"prevResult": self.result}
        name = configuration["type"]
        ours = name == "mesos-cni-port-mapper"
        plugin = self.plugin if ours else Plugin(self.plugin.host, f"{PLUGIN_DIRECTORY}/{name}")
        return plugin.run(command, self.container, {**configuration, **known})

    @staticmethod
    def _completed(own: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {
            key: value for key, value in whole.items() if key in ("name", "cniVersion")
        }
        if own.get("capabilities", {}).get("portMappings"):
            return {**own, **named, "runtimeConfig": {"portMappings": PORTS}}
        if "delegate" in own:
            info = {"network_info": {"name": whole["name"], "port_mappings": MESOS_PORTS}}
            return {**own, "args": {"org.apache.mesos": info}}
        return {**own, **named}


def succeeded(answer: Answer) -> Any:
    assert answer.status == 0, (answer.document, answer.stderr)
    return answer.document


def runtime(plugin: Plugin, netconf: dict[str, Any], name: str = "web") -> Runtime:
    need(f"{PLUGIN_DIRECTORY}/bridge", f"{PLUGIN_DIRECTORY}/portmap")
    container = plugin.host.container(name)
    serve_tcp(container, 80)
    return Runtime(plugin, container, netconf)


def left(host: Host) -> Traces:
    """Return what is there, without the chains that portmap makes and leaves."""
    found = traces(host)
    rules = [rule for rule in found.rules if "CNI-HOSTPORT-" not in rule]
    return Traces(tuple(rules), found.leases, found.state)


def positions(host: Host, container: Container) -> dict[str, Outcome]:
    """Return what is reached, and as whom, from each place there is."""
    return {
        "client": connect_tcp(host.client, HOST_IPV4, 8080, timeout=2),
        "host": connect_tcp(host, HOST_IPV4, 8080, timeout=2),
        "loopback": connect_tcp(host, "127.0.0.1", 8080, timeout=2),
        "itself": connect_tcp(container, HOST_IPV4, 8080, timeout=2),
    }


@pytest.mark.parametrize("netconf", BLOCKS, ids=["original", "before", "chained", "wrapped"])
def test_a_configuration_forwards_and_leaves_nothing(
    host: Host, plugin: Plugin, netconf: dict[str, Any]
) -> None:
    web = runtime(plugin, netconf)

    web.add()

    assert connect_tcp(host.client, HOST_IPV4, 8080) == Saw("web", CLIENT_IPV4, 80)

    web.delete()

    assert left(host) == NOTHING


def test_ports_are_reached_from_where_portmap_had_them_reached(host: Host, plugin: Plugin) -> None:
    # With 1, a bridge sends nothing back to where it came from, whoever forwards.
    host.run(["sh", "-c", "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables"])
    seen = []
    for number, netconf in enumerate((BEFORE, CHAINED, WRAPPED)):
        web = runtime(plugin, netconf, f"web-{number}")
        web.add()
        reached = positions(host, web.container)
        web.delete()
        seen.append({each: saw.peer for each, saw in reached.items() if isinstance(saw, Saw)})

    gateway = "10.88.0.1"
    from_everywhere = {"client": CLIENT_IPV4, "host": HOST_IPV4}
    assert seen == [{**from_everywhere, "loopback": gateway, "itself": gateway}] * 3


def test_without_its_keys_loopback_and_the_container_are_not_served(
    host: Host, plugin: Plugin
) -> None:
    netconf = {key: value for key, value in WRAPPED.items() if key not in ("snat", "localhost")}
    web = runtime(plugin, netconf)
    web.add()

    reached = positions(host, web.container)

    assert reached["client"] == Saw("web", CLIENT_IPV4, 80)
    assert reached["loopback"] == "refused"
    assert not isinstance(reached["itself"], Saw)


def test_a_del_of_ours_leaves_the_rules_of_portmap(host: Host, plugin: Plugin) -> None:
    web = runtime(plugin, BEFORE)
    web.add()

    after = Runtime(plugin, web.container, CHAINED)
    after.result = web.result
    after.delete()

    assert any("--to-destination 10.88.0.2:80" in rule for rule in host.ruleset())


def test_portmap_takes_what_it_is_given_back(host: Host, plugin: Plugin) -> None:
    *first, ours = CHAINED["plugins"]
    dropped = ("chain", "localhost", "onConflict")
    own = {key: value for key, value in ours.items() if key not in dropped}
    back = {**CHAINED, "plugins": [*first, {**own, "type": "portmap"}]}
    web = runtime(plugin, back)
    web.add()

    assert connect_tcp(host.client, HOST_IPV4, 8080) == Saw("web", CLIENT_IPV4, 80)
    web.delete()
    assert left(host) == NOTHING
