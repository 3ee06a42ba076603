"""A throwaway host with both sides set up in it, and the measuring of them."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Times
from bench.scenarios import Scenario
from bench.sides import Portmap, PortMapper, Side
from tests.support.host import UPLINK, Container, Host
from tests.support.plugin import Plugin

_RUNNER = Path(__file__).with_name("runner.py")
_LONGEST_RUN = 3600.0
_GATEWAY, _ADDRESS, _NEIGHBOUR = "192.168.7.1/24", "192.168.7.2/24", "192.168.7.3/24"
_GATEWAY_V6, _ADDRESS_V6 = "2001:db8:7::1/64", "2001:db8:7::2/64"


class BenchError(Exception):
    """A side did not do the work that it was to be timed at."""


@dataclass(frozen=True)
class Call:
    """One run of a program, as `runner` is told of it; ``netns`` is a path, "" for the host's."""

    program: str
    environ: dict[str, str]
    stdin: str
    netns: str = ""


def version_call(program: Path) -> Call:
    """Return the question that a runtime asks first."""
    return Call(str(program), {"CNI_COMMAND": "VERSION"}, '{"cniVersion": "1.0.0"}')


def time_pairs(
    host: Host, ours: Sequence[Call], theirs: Sequence[Call], pairs: int
) -> list[tuple[Times, Times]]:
    """Have both sides take turns inside a host."""
    sides = [[dataclasses.asdict(call) for call in side] for side in (ours, theirs)]
    finished = host.run(
        [sys.executable, "-I", "-S", str(_RUNNER)],
        json.dumps({"pairs": pairs, "sides": sides}).encode(),
        timeout=_LONGEST_RUN,
    )
    return [(ours, theirs) for ours, theirs in json.loads(finished.stdout)]


def time_scenario(host: Host, scenario: Scenario, pairs: int) -> list[tuple[Times, Times]]:
    """Set a scenario up in a fresh host, see both sides do the work, then time them."""
    # A host has a route to its containers; portmap looks for it.
    host.run(["ip", "address", "add", _GATEWAY, "dev", UPLINK])
    host.run(["ip", "address", "add", _GATEWAY_V6, "dev", UPLINK, "nodad"])
    if scenario.foreign_rules:
        lines = _foreign_rules(scenario.foreign_rules)
        host.run(["iptables-restore", "--noflush"], "\n".join(lines).encode())
    container = host.container("web-1")
    ours, theirs = (
        _prepare(host, container, scenario, side)
        for side in (
            PortMapper(scenario.options, scenario.backend),
            Portmap(snat=scenario.snat),
        )
    )
    return time_pairs(host, ours, theirs, pairs)


def _prepare(host: Host, container: Container, scenario: Scenario, side: Side) -> list[Call]:
    plugin = Plugin(host, str(side.program))
    if scenario.neighbour:
        single = [(30999, 80)]
        other = side.netconf([_NEIGHBOUR], single)
        _prove(
            "ADD", side, plugin, container, other, side.targets(single), container_id="neighbour"
        )
    addresses = [_ADDRESS, _ADDRESS_V6] if scenario.dual_stack else [_ADDRESS]
    netconf = side.netconf(addresses, scenario.mappings)
    targets = side.targets(scenario.mappings)
    _prove("ADD", side, plugin, container, netconf, targets)
    _prove("DEL", side, plugin, container, netconf, -targets)
    return [
        Call(plugin.executable, plugin.environment(command, container), json.dumps(netconf))
        for command in ("ADD", "DEL")
    ]


def _prove(
    command: str,
    side: Side,
    plugin: Plugin,
    container: Container,
    netconf: Mapping[str, Any],
    difference: int,
    container_id: str | None = None,
) -> None:
    before = side.count(plugin.host)
    answer = plugin.run(command, container, netconf, container_id=container_id)
    found = side.count(plugin.host) - before
    if answer.status != 0 or found != difference:
        message = (
            f"{command} of {netconf['type']} made a difference of {found} targets, "
            f"not {difference}; it said {answer.stdout.decode()}{answer.stderr}"
        )
        raise BenchError(message)


def _foreign_rules(count: int) -> list[str]:
    rules = [
        f"-A FOREIGN -d 10.96.{index // 250}.{index % 250}/32 -p tcp -m tcp --dport 443 "
        f'-m comment --comment "service {index}" -j DNAT --to-destination 10.32.0.1:6443'
        for index in range(count)
    ]
    return ["*nat", ":FOREIGN - [0:0]", "-A PREROUTING -j FOREIGN", *rules, "COMMIT", ""]
