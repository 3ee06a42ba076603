"""Anything may happen to containers in any order: kernel, checkpoints and status always agree.

The order is random but the same every time. A failure prints its steps, which can be run again by
themselves; they are not shortened, because each attempt at that would take seconds.
"""

from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.netns.fleet import Fleet
from tests.netns.fleet_networks import ATTACHING, FAILING, FAILS, HANGS, SLOW
from tests.support.gate import need_file, need_host
from tests.support.host import Host
from tests.support.waiting import eventually

LIVES, STEPS = 6, 52
MOST = 6

SETTINGS = settings(
    max_examples=LIVES,
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

NETWORKS = st.sampled_from(
    [each for size in (3, 2, 1, 0) for each in permutations(ATTACHING, size)]
)
SPOILT = st.sampled_from(("", "{", "[]", '{"name": 1}'))
ANY = st.integers(0, 59)

# What can be done while there is room for a container, while one runs, and always: each as often
# as it stands here.
ROOM = (*("launch",) * 6, "launch failing", "launch slow")
RUNNING = ("kill", "kill", "kill init", "kill monitor", "kill both")
ALWAYS = ("kill agent", "recover", "edit", "edit", "turn", "turn", "unconfigure", "spoil")
KINDS = {*ROOM, *RUNNING, *ALWAYS}


class Life(RuleBasedStateMachine):
    """A host from its first container to its last."""

    steps: ClassVar[list[str]] = []
    hung: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.host = Host()
        self.fleet = Fleet(self.host)

    def teardown(self) -> None:
        try:
            self.hung.append(self.fleet.hung())
            self.fleet.close()
        finally:
            self.host.close()

    # One rule for all, because of several each life would do without some.
    @rule(which=ANY, number=ANY, networks=NETWORKS, name=st.sampled_from(ATTACHING), text=SPOILT)
    def step(self, which: int, number: int, networks: Sequence[str], name: str, text: str) -> None:
        fleet, running = self.fleet, self.fleet.running()
        room = ROOM if len(fleet.members) < MOST else ()
        kinds = (*room, *(RUNNING if running else ()), *ALWAYS)
        kind = kinds[which % len(kinds)]
        container = running[number % len(running)] if running else ""
        # With most networks unusable there would be little to see.
        edited = next(iter(fleet.unusable()), name)
        actions: dict[str, Callable[[], None]] = {
            "launch": lambda: fleet.launch(*networks),
            "launch failing": lambda: fleet.launch(*networks, FAILING),
            "launch slow": lambda: fleet.launch(*networks, SLOW),
            "kill": lambda: fleet.kill(container, (15, 9)[number % 2]),
            "kill init": lambda: fleet.kill_init(container),
            "kill monitor": lambda: fleet.kill_monitor(container),
            "kill both": lambda: fleet.kill_both(container),
            "kill agent": fleet.kill_agent,
            "recover": fleet.recover,
            "edit": lambda: fleet.configure(edited),
            "turn": lambda: fleet.set_trouble(("", "", FAILS, HANGS)[number % 4]),
            "unconfigure": lambda: fleet.forget(name),
            "spoil": lambda: fleet.spoil(name, text),
        }
        self.steps.append(kind)
        actions[kind]()

    @invariant()
    def everything_agrees(self) -> None:
        expected = self.fleet.expected()
        assert eventually(self.fleet.observed, expected) == expected


def test_kernel_checkpoints_and_status_agree_whatever_happens(frozen: Path) -> None:
    need_host("nft")
    need_file(Path("/usr/lib/cni/bridge"), "make setup")
    Life.steps.clear()
    Life.hung.clear()

    run_state_machine_as_test(Life, settings=SETTINGS)

    assert len(Life.steps) >= 300
    assert set(Life.steps) == KINDS
    assert sum(Life.hung) > 0
