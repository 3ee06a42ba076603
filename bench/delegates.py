"""The built-in bridge with host-local against the reference's: one attachment, made and unmade."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.figures import Figure, compute_ratios, only
from bench.sides import DELEGATES, NOTHING
from bench.stage import BenchError, Call, time_pairs
from tests.support.host import Container, Host
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin

OURS = DELEGATES / "bridge"
THEIRS = Path(PLUGIN_DIRECTORY, "bridge")
EXPECTED = 1.5
"""With masquerading, as in the Mesos documents: what the imports of pyroute2 may cost at most."""


def measure(pairs: int) -> Iterator[Figure]:
    """Yield the figures; the last is the floor, an interpreter that starts and does nothing."""
    for work, masquerade, expected in (("ipMasq", True, EXPECTED), ("no ipMasq", False, None)):
        with Host() as host:
            container = host.container("web-1")
            ours, theirs = (
                _prepare(host, container, program, _netconf(name, masquerade))
                for program, name in ((OURS, "ours"), (THEIRS, "theirs"))
            )
            times = time_pairs(host, ours, theirs, pairs)
            nothing = [Call(str(NOTHING), call.environ, call.stdin) for call in ours]
            floor = time_pairs(host, nothing, theirs, pairs)
        yield Figure(work, "ADD+DEL", THEIRS.name, *compute_ratios(times), expected)
        for number, command in enumerate(("ADD", "DEL")):
            yield Figure(work, command, THEIRS.name, *compute_ratios(only(times, number)))
        yield Figure(f"{work}: floor", "ADD+DEL", THEIRS.name, *compute_ratios(floor))


def _netconf(name: str, masquerade: bool) -> dict[str, Any]:
    number = {"ours": 1, "theirs": 2}[name]
    return {
        "cniVersion": "1.0.0",
        "name": name,
        "type": "bridge",
        "bridge": f"br{number}",
        "isGateway": True,
        "ipMasq": masquerade,
        "ipam": {
            "type": "host-local",
            "subnet": f"192.168.{number}.0/24",
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "/run/leases",
        },
    }


def _prepare(
    host: Host, container: Container, program: Path, netconf: Mapping[str, Any]
) -> list[Call]:
    plugin = Plugin(host, str(program))
    for command, links in (("ADD", {"lo", "eth0"}), ("DEL", {"lo"})):
        answer = plugin.run(command, container, netconf)
        found = {link["ifname"] for link in json.loads(container.run(["ip", "-j", "link"]).stdout)}
        if answer.status != 0 or found != links:
            message = f"{command} of {program} left {found}; it said {answer.stdout.decode()}"
            raise BenchError(message)
    return [
        Call(plugin.executable, plugin.environment(command, container), json.dumps(netconf))
        for command in ("ADD", "DEL")
    ]
