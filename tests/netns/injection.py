"""What tests of failures share: a host to fail on, tools that fail, and deaths at a system call."""

import collections
import json
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.netns.networks import STATE, Network, Task, imagined, tcp
from tests.netns.nft_tables import own_lines
from tests.support.agent import TOOLS
from tests.support.delegates import RESULT, Delegates
from tests.support.host import Host
from tests.support.plugin import Answer, Plugin

DELEGATE = "leasing"
ADDRESS = "192.168.7.2"
LEASES = "/run/leases"
RULES_AT_DEL = "/run/rules-at-del"
TRACE = "/run/trace"


@dataclass(frozen=True)
class Snapshot:
    """All that an attachment may leave on a host, to be compared byte for byte."""

    rules: tuple[str, ...]
    leases: Mapping[str, bytes]
    state: Mapping[str, bytes]


def snapshot(host: Host) -> Snapshot:
    """Look at a host."""
    leases = _files(host, "/var/lib/cni") | _files(host, LEASES)
    return Snapshot(
        rules=(*host.ruleset(), *own_lines(host)),
        # host-local notes here where to go on looking, and never takes it back.
        leases={name: data for name, data in leases.items() if "last_reserved_ip" not in name},
        state={
            name: data
            for name, data in _files(host, STATE).items()
            # It stays on a host once a rule was made there.
            if name.rpartition("/")[2] != "lock"
        },
    )


def _files(host: Host, directory: str) -> dict[str, bytes]:
    return host.files(directory) if host.path(directory).is_dir() else {}


def say(document: Any) -> str:
    """Return a piece of shell that prints a document."""
    return f"printf %s {shlex.quote(json.dumps(document))}"


class Scene:
    """A host on which one container is attached, and another about to be in the same chain.

    The delegate of the other takes a lease, then does as it is told; its DEL notes the rules it
    finds, then frees the lease. ``before`` is how the host must look whenever an ADD has failed.
    """

    def __init__(self, host: Host, plugin: Plugin, *, alone: bool = False, **keys: Any) -> None:
        self.host = host
        self.delegates = Delegates(host)
        self.container = host.container("web-1")
        neighbours = imagined(plugin, self.delegates, "192.168.7.9", **keys)
        host.path(LEASES).mkdir()
        self.network = neighbours.but(name="failing", delegate={"type": DELEGATE})
        self.delegate()
        if not alone:
            neighbours.task(host.container("neighbour"), tcp(8000)).attach()
        self.before = snapshot(host)

    def delegate(self, add: str | None = None, delete: str = "", **options: Any) -> None:
        """Say in shell how ADD goes on once the lease is taken, and DEL before it is freed."""
        save = f"/usr/sbin/xtables-{self.host.variant}-multi iptables-save -t nat"
        lease = f"{LEASES}/$CNI_CONTAINERID"
        bodies = {
            "ADD": f": >{lease}\n{say(RESULT) if add is None else add}",
            "DEL": f"{save} >{RULES_AT_DEL}\n{delete}\nrm -f {lease}",
        }
        self.delegates.scripted(DELEGATE, bodies, **options)

    def task(self, *ports: int, **changes: Any) -> Task:
        """Return a container that asks for host ports, 8080 unless others are given."""
        mappings = [tcp(port) for port in ports or (8080,)]
        return self.network.but(**changes).task(self.container, *mappings)

    @property
    def commands(self) -> list[str]:
        """Return what the delegate was asked so far, without VERSION."""
        return self.delegates.commands(DELEGATE)

    @property
    def rules_at_del(self) -> list[str]:
        """Return the rules that stood when the delegate's last DEL began."""
        lines = self.host.path(RULES_AT_DEL).read_text().splitlines()
        plain = [re.sub(r" \[\d+:\d+\]$", "", line) for line in lines]
        return [line for line in plain if line.startswith("-A") or re.match(r":\S+ -", line)]

    def assert_undone(self, answer: Answer, code: int, details: str = "") -> None:
        """Insist on a document with a code, and on a host as it was, rules gone before leases."""
        assert_failed(answer, code, details)
        assert snapshot(self.host) == self.before
        assert self.commands == ["ADD", "DEL"]
        assert self.rules_at_del == list(self.before.rules)

    def assert_untouched(self, answer: Answer, code: int, details: str = "") -> None:
        """Insist on a document with a code, and that not even the delegate was asked."""
        assert_failed(answer, code, details)
        assert snapshot(self.host) == self.before
        assert self.commands == []


def assert_failed(answer: Answer, code: int, words: str = "") -> None:
    """Insist on an error document with a code, and words in its message or details."""
    assert (answer.status, answer.code) == (1, code), (answer.stdout, answer.stderr)
    said = f"{answer.document['msg']}\n{answer.document.get('details', '')}"
    assert words in said, answer.document


def assert_no_processes(host: Host) -> None:
    """Insist that nothing runs any more; what was killed may need a moment to die."""
    end = time.monotonic() + 5
    while (left := host.processes()) and time.monotonic() < end:
        time.sleep(0.01)
    assert left == {}


class Tool:
    """A script in the place of one of the host's tools.

    In it ``real`` is the tool, and ``$n`` counts the calls from 1.
    """

    def __init__(self, host: Host, name: str) -> None:
        self._multi = f"/usr/sbin/xtables-{host.variant}-multi"
        self._name = name
        self._path = host.path(f"{TOOLS}/{name}")
        self._calls = host.path(f"/run/calls-of-{name}")

    def behave(self, body: str) -> None:
        """Do this when called from now on."""
        lines = (
            "#!/bin/sh",
            f"echo >>/run/calls-of-{self._name}",
            f"n=$(wc -l </run/calls-of-{self._name})",
            f'real() {{ {self._multi} {self._name} "$@"; }}',
            body,
        )
        self._calls.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        self._path.write_text("\n".join(lines) + "\n")
        self._path.chmod(0o755)

    def repair(self) -> None:
        """Be the tool again."""
        self._path.unlink(missing_ok=True)
        self._path.symlink_to(self._multi)

    @property
    def calls(self) -> int:
        """Return how often the script was called."""
        return len(self._calls.read_text()) if self._calls.exists() else 0


class Held:
    """A lock file that another process holds for a while; entering returns the holder's PID."""

    def __init__(self, host: Host, path: str) -> None:
        # Its child has to lose the descriptor, or it would go on holding the lock.
        self._process = host.start(["flock", "--close", path, "sh", "-c", "echo; sleep 60"])

    def __enter__(self) -> int:
        self._process.stdout_line()
        return self._process.pid_inside

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(drain=False)


@dataclass(frozen=True)
class Instant:
    """The beginning of a system call: its name, and how many of that name there were by then."""

    call: str
    count: int

    def __str__(self) -> str:
        return f"{self.call} {self.count}"


def instants(task: Task, command: str) -> list[Instant]:
    """Run a command, and return every system call of the plugin from when it has its input."""
    answer = _through(task, "strace", "-o", TRACE).run(command)
    assert answer.status == 0, answer
    counts: collections.Counter[str] = collections.Counter()
    found, started = [], False
    for line in task.plugin.host.path(TRACE).read_text().splitlines():
        name, bracket, _ = line.partition("(")
        if not bracket or not name.isidentifier():
            continue
        counts[name] += 1
        started = started or line.startswith("read(0, ")
        if started:
            found.append(Instant(name, counts[name]))
    return found


def killed_at(instant: Instant, task: Task, command: str) -> bool:
    """Run a command, kill the plugin alone at an instant, and tell whether that instant came.

    What it has started goes on. The plugin is one process from the bootloader on, so that strace
    need not follow children.
    """
    trace = f"trace={instant.call}"
    inject = f"inject={instant.call}:signal=KILL:when={instant.count}"
    plugin = task.plugin.wrapped("strace", "-o", "/dev/null", "-e", trace, "-e", inject)
    call = plugin.start(command, task.container, task.request(), task.ifname, task.container_id)
    return call.wait(drain=False).status == -9


def _through(task: Task, *wrapper: str) -> Task:
    network = Network(task.plugin.wrapped(*wrapper), task.netconf)
    return network.task(task.container, *task.mappings, ifname=task.ifname)
