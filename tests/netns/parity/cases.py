"""What a case of parity is: data, and how it becomes work for `tests.netns.parity.worker`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.agent import NAMESPACES

REFERENCE = "/usr/lib/cni"
# What Debian's 1.1.1 speaks. Ours speaks 1.1.0 too.
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
# A runtime hands the result of ADD to DEL from this version on.
DELETES_WITH_RESULT = ("0.4.0", "1.0.0")

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of the plugin; what is given changes the case's configuration and environment.

    A key or variable changed to None is left out. ``previous`` is the container whose result goes
    in as prevResult: by default the same, for CHECK and for DEL as a runtime does; "" for none.
    """

    command: str
    container: str = "c1"
    conf: Config = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    stdin: str | None = None
    previous: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Shell:
    """Something an operator, or a careless program, does; ``show`` compares what it prints."""

    script: str
    place: str = "host"
    show: bool = False


@dataclass(frozen=True)
class Forget:
    """The container's network namespace goes away, and with it its path."""

    container: str = "c1"


@dataclass(frozen=True)
class Probe:
    """A datagram from a container to the client outside, who tells from where it came."""

    container: str
    address: Literal["192.0.2.2", "2001:db8:1::2"]


Step = Call | Shell | Forget | Probe

ADD, CHECK, DEL, DEL_AGAIN = (Call(command) for command in ("ADD", "CHECK", "DEL", "DEL"))
ADD_2, CHECK_2, DEL_2 = (Call(command, "c2") for command in ("ADD", "CHECK", "DEL"))
# A whole life, of one container and of two.
ONE: tuple[Step, ...] = (ADD, CHECK, DEL, DEL_AGAIN)
# A bridge has the lowest MAC of its ports, and CHECK wants that of the result: no CHECK after DEL.
TWO: tuple[Step, ...] = (ADD, CHECK, ADD_2, CHECK_2, DEL, DEL_2)
# For what ADD should refuse, or what only its result shows.
REFUSED: tuple[Step, ...] = (ADD, DEL)


@dataclass(frozen=True)
class Case:
    """One case: a plugin, its configuration, what is there before, and what is done."""

    name: str
    conf: Config
    steps: Sequence[Step] = ONE
    env: Mapping[str, str | None] = field(default_factory=dict, kw_only=True)
    before: str = field(default="", kw_only=True)
    files: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    uplink: bool = field(default=False, kw_only=True)
    dad: bool = field(default=False, kw_only=True)
    versions: Sequence[str] = field(default=VERSIONS, kw_only=True)

    @property
    def plugin(self) -> str:
        """Return the name of the plugin that is called."""
        return str(self.conf["type"])

    @property
    def id(self) -> str:
        """Return the name by which tests and the documentation know the case."""
        return f"{self.plugin}: {self.name}"


def labels(case: Case) -> list[str]:
    """Return a name for each step that shows in a difference."""
    return [f"{number} {_label(step)}" for number, step in enumerate(_steps(case), 1)]


def plan_baseline(case: Case) -> dict[str, Any]:
    """Return a run that only tells what the kernel is like before any step."""
    return plan_run(case, VERSIONS[-1], REFERENCE) | {"baseline": True, "steps": []}


def plan_run(case: Case, version: str, plugins: str) -> dict[str, Any]:
    """Return one run as the worker wants it, with the plugins of one directory."""
    return {
        "baseline": False,
        "plugins": plugins,
        "containers": ["c1", "c2"] if _mentions_second(case) else ["c1"],
        "dad": case.dad,
        "uplink": case.uplink,
        "files": dict(case.files),
        "steps": [_work(case, step, version, plugins) for step in _steps(case)],
    }


def _steps(case: Case) -> list[Step]:
    return [Shell(case.before), *case.steps] if case.before else list(case.steps)


def _label(step: Step) -> str:
    match step:
        case Call():
            return f"{step.command} {step.container}"
        case Shell():
            return "shell"
        case Forget():
            return f"forget {step.container}"
        case Probe():
            return f"probe {step.container}"


def _mentions_second(case: Case) -> bool:
    return any(not isinstance(step, Shell) and step.container == "c2" for step in case.steps)


def _work(case: Case, step: Step, version: str, plugins: str) -> dict[str, Any]:
    match step:
        case Shell():
            return {"kind": "shell", "place": step.place, "script": step.script, "show": step.show}
        case Forget():
            return {"kind": "forget", "place": step.container}
        case Probe():
            return {"kind": "probe", "place": step.container, "address": step.address}
        case Call():
            return {
                "kind": "call",
                "type": step.type or case.plugin,
                "env": _environment(case, step, plugins),
                "stdin": _stdin(case, step, version),
                "previous": _previous(step, version),
                "keep": step.container,
            }


def _environment(case: Case, step: Call, plugins: str) -> dict[str, str]:
    usual = {
        "CNI_COMMAND": step.command,
        "CNI_CONTAINERID": step.container,
        "CNI_NETNS": f"{NAMESPACES}/{step.container}",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": plugins,
    }
    changed = {**usual, **case.env, **step.env}
    return {name: value for name, value in changed.items() if value is not None}


def _stdin(case: Case, step: Call, version: str) -> str:
    if step.stdin is not None:
        return step.stdin
    changed = {"cniVersion": version, "name": "net", **case.conf, **step.conf}
    return json.dumps({key: value for key, value in changed.items() if value is not None})


def _previous(step: Call, version: str) -> str:
    if step.previous is not None:
        return step.previous
    wanted = step.command == "CHECK" or (step.command == "DEL" and version in DELETES_WITH_RESULT)
    return step.container if wanted else ""
