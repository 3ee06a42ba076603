"""Containers launched at once and stopped at once by the agent, against a shell loop.

The loop makes a namespace with `ip netns add`, calls plugins with the same configuration, and later
undoes both: what attaching costs when nothing looks after it. A container of ours has four more
namespaces, a process, an init, a monitor, files in its /etc and checkpoints.

The plugins are our built-in delegates, which come with the agent, or the reference plugins as
Debian packages them.
"""

import argparse
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.netns.agents import SOCKET, Agent, identity
from tests.netns.containers import CONFIGURATIONS, FROZEN, ROOT, Tool
from tests.netns.networks import DOCUMENT
from tests.support.host import Host

MANY = 50
ROUNDS = 5
EXPECTED = 1.15
_NETWORK = "measured"
_NAMES = [f"c{number}" for number in range(MANY)]
_SETTLE = 0.3
_PATIENCE = 60.0
_HEAD = (
    "POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)
_COMMAND = {"shell": False, "value": "sleep", "arguments": ["sleep", "infinity"]}

_BRIDGE = {"cniVersion": "1.0.0"} | DOCUMENT["delegate"] | {"bridge": "br0"}
_PLAIN = _BRIDGE | {"ipMasq": False}
_OURS = f"{ROOT}/dist/plugins"
_BUILT_IN = f"{_OURS}:{ROOT}/dist/delegates"
_REFERENCE = f"{_OURS}:/usr/lib/cni"


@dataclass(frozen=True)
class Case:
    """What is measured: a network, and where either side finds its plugins."""

    network: str
    ours: str
    loop: str
    configuration: Mapping[str, Any]

    def __str__(self) -> str:
        words = {_OURS: "built-in", _BUILT_IN: "built-in", _REFERENCE: "reference", "": ""}
        return f"{self.network:15} {words[self.ours]:10} {words[self.loop]:10}"


NONE = Case("none", "", "", {})
"""Without a network namespaces are all that is made, and there is nothing to compare that with."""
CASES = (
    Case("port mapper", _OURS, _BUILT_IN, {"cniVersion": "1.0.0", **DOCUMENT}),
    Case("port mapper", _REFERENCE, _REFERENCE, {"cniVersion": "1.0.0", **DOCUMENT}),
    Case("bridge, ipMasq", _OURS, _BUILT_IN, _BRIDGE),
    Case("bridge, ipMasq", _OURS, _REFERENCE, _BRIDGE),
    Case("bridge, ipMasq", _REFERENCE, _REFERENCE, _BRIDGE),
    Case("bridge", _OURS, _BUILT_IN, _PLAIN),
    Case("bridge", _OURS, _REFERENCE, _PLAIN),
    Case("bridge", _REFERENCE, _REFERENCE, _PLAIN),
)

# One subshell for each container, all at once; the same calls as a runtime makes.
_LOOP = """\
for name in {names}; do (
    export CNI_CONTAINERID=$name CNI_NETNS=/run/netns/$name CNI_IFNAME=eth0 CNI_PATH={path}
    {body}
) & done
wait
"""
_ADD = "ip netns add $name; {call}"
_DEL = "{call}; ip netns delete $name"
_CALL = (
    "CNI_COMMAND={command} {program} <"
    + f"{CONFIGURATIONS}/{_NETWORK}.conf >/dev/null || echo $name"
)


class LaunchError(Exception):
    """A side did not do what it was to be timed at."""


@dataclass(frozen=True)
class Round:
    """Seconds that both sides took in turn, for launching and for stopping."""

    ours: tuple[float, float]
    loop: tuple[float, float]


class _Tool(Tool):
    """`mesos-cni` with the plugins that are measured."""

    def __init__(self, host: Host, plugins: str) -> None:
        self._plugins = plugins
        super().__init__(host, [str(FROZEN)])

    def environment(self) -> dict[str, str]:
        return super().environment() | {"MESOS_NETWORK_CNI_PLUGINS_DIR": self._plugins}


class Stage:
    """A host with an agent on it and one network."""

    def __init__(self, host: Host, case: Case) -> None:
        self.host = host
        self.case = case
        if case.configuration:
            document = {**case.configuration, "name": _NETWORK}
            tool = _Tool(host, case.ours)
            host.path(f"{CONFIGURATIONS}/{_NETWORK}.conf").write_text(json.dumps(document))
        else:
            tool = _Tool(host, _OURS)
        self.agent = Agent(tool, "--socket", SOCKET).ready()

    def close(self) -> None:
        """End the agent."""
        self.agent.end()
        self.agent.process.close()

    def round(self, number: int) -> Round:
        """Have both sides take their turns, each first every other time."""
        if number % 2:
            ours = self._time_ours()
            return Round(ours, self._time_loop())
        loop = self._time_loop()
        return Round(self._time_ours(), loop)

    def _time_ours(self) -> tuple[float, float]:
        infos = [{"name": _NETWORK}] if self.case.configuration else []
        container = {"type": "MESOS", "network_infos": infos}

        def launch(name: str) -> int:
            return self._call("LAUNCH_CONTAINER", name, command=_COMMAND, container=container)

        def stop(name: str) -> int:
            asked = self._call("KILL_CONTAINER", name, signal=15)
            return max(asked, self._call("WAIT_CONTAINER", name))

        launched = _timed(lambda: _at_once(launch))
        stopped = _timed(lambda: _at_once(stop))
        _at_once(lambda name: self._call("REMOVE_CONTAINER", name))
        return launched, stopped

    def _call(self, kind: str, name: str, **fields: Any) -> int:
        """Send a call, as cheaply as a client can: what that costs is not what is measured."""
        fields["container_id"] = identity(name)
        body = json.dumps({"type": kind, kind.lower(): fields}).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(str(self.host.path(SOCKET)))
            connection.sendall(_HEAD.format(len(body)).encode() + body)
            return int(connection.recv(1 << 16).split(b" ", 2)[1])

    def _time_loop(self) -> tuple[float, float]:
        return self._time_script(_ADD, "ADD"), self._time_script(_DEL, "DEL")

    def _time_script(self, body: str, command: str) -> float:
        call = _CALL.format(command=command, program=self._program()) if self.case.loop else ":"
        script = _LOOP.format(
            names=" ".join(_NAMES), path=self.case.loop, body=body.format(call=call)
        )
        failed: list[str] = []

        def run() -> None:
            done = self.host.run(["/bin/sh", "-c", script], timeout=120)
            failed.extend(done.text.split())

        seconds = _timed(run)
        if failed:
            message = f"the loop's {command} failed for {len(failed)} containers"
            raise LaunchError(message)
        return seconds

    def _program(self) -> str:
        name = self.case.configuration["type"]
        found = (Path(directory, name) for directory in self.case.loop.split(":"))
        return str(next(path for path in found if path.exists()))


def _timed(work: Callable[[], object]) -> float:
    time.sleep(_SETTLE)
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _at_once(work: Callable[[str], int]) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        statuses = list(pool.map(work, _NAMES))
    if any(status != 200 for status in statuses):
        message = f"the agent answered {sorted(set(statuses))}"
        raise LaunchError(message)


def measure(case: Case, rounds: int) -> list[Round]:
    """Measure one case in a fresh host; the first round warms up and is forgotten."""
    with Host() as host:
        stage = Stage(host, case)
        try:
            return [stage.round(number) for number in range(rounds + 1)][1:]
        finally:
            stage.close()


@dataclass(frozen=True)
class Row:
    """What was measured in one case: ours divided by the loop's, pair by pair, the medians.

    ``rates`` are launches a second, ours and the loop's. ``share`` is how much of our time is ours:
    what the same containers take without a network.
    """

    case: Case
    launch: float
    stop: float
    both: float
    rates: tuple[float, float]
    share: float

    @property
    def met(self) -> bool:
        return self.case == NONE or self.both <= EXPECTED

    def __str__(self) -> str:
        words = (
            f"{self.case} {self.launch:7.2f} {self.stop:6.2f} {self.both:6.2f} "
            f"{self.rates[0]:11.0f} {self.rates[1]:7.0f} {self.share:14.0%}"
        )
        if self.case != NONE:
            words += f"  at most {EXPECTED}: {'met' if self.met else 'MISSED'}"
        return words


def rows(count: int) -> Iterator[Row]:
    """Measure every case so many times, after a round that warms up."""
    bare = measure(NONE, count)
    yield _row(NONE, bare, bare)
    for case in CASES:
        yield _row(case, measure(case, count), bare)


def _row(case: Case, rounds: list[Round], bare: list[Round]) -> Row:
    return Row(
        case=case,
        launch=statistics.median(each.ours[0] / each.loop[0] for each in rounds),
        stop=statistics.median(each.ours[1] / each.loop[1] for each in rounds),
        both=statistics.median(sum(each.ours) / sum(each.loop) for each in rounds),
        rates=(
            MANY / statistics.median(each.ours[0] for each in rounds),
            MANY / statistics.median(each.loop[0] for each in rounds),
        ),
        share=_median_sum(bare) / _median_sum(rounds),
    )


def _median_sum(rounds: list[Round]) -> float:
    return statistics.median(sum(each.ours) for each in rounds)


def main() -> int:
    """Measure, and print a line for each case."""
    parser = argparse.ArgumentParser("bench.launch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of turns (default: 5)")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return 1 if show(options.rounds) else 0


def show(rounds: int) -> int:
    """Print the rows as they come; return how many missed what is expected."""
    print(
        f"{MANY} containers at once, ours through the agent / a shell loop, "
        f"wall, median of {rounds} pairs"
    )
    print(
        "network         plugins    loop's      launch   stop   both"
        "  launches/s  loop/s  share of ours  expected"
    )
    missed = 0
    for row in rows(rounds):
        print(row, flush=True)
        missed += not row.met
    return missed


if __name__ == "__main__":
    sys.exit(main())
