"""Anything may happen to containers in any order: kernel, checkpoints and status always agree.

The order is random but the same every time. A failure prints its steps, which can be run again by
themselves; they are not shortened, because each attempt at that would take seconds.
"""

from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.netns.fleet import ATTACHING, FAILING, FAKE, REAL, SLOW, STUBBORN, Fleet
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

NETWORKS = st.lists(st.sampled_from(ATTACHING), unique=True, max_size=3)
ANY = st.integers(0, MOST - 1)


class Life(RuleBasedStateMachine):
    """A host from its first container to its last."""

    steps: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.host = Host()
        self.fleet = Fleet(self.host)

    def teardown(self) -> None:
        try:
            self.fleet.close()
        finally:
            self.host.close()

    def room(self) -> bool:
        return len(self.fleet.members) < MOST

    def pick(self, number: int) -> str:
        running = self.fleet.running()
        return running[number % len(running)]

    @precondition(room)
    @rule(networks=NETWORKS)
    def launch(self, networks: list[str]) -> None:
        self.steps.append("launch")
        self.fleet.launch(*networks)

    @precondition(room)
    @rule(networks=NETWORKS, bad=st.sampled_from((FAILING, FAILING, SLOW)))
    def launch_what_fails(self, networks: list[str], bad: str) -> None:
        self.steps.append(f"launch {bad}")
        self.fleet.launch(*networks, bad)

    @precondition(lambda self: self.fleet.running())
    @rule(number=ANY, signal=st.sampled_from((15, 9)))
    def kill(self, number: int, signal: int) -> None:
        self.steps.append("kill")
        self.fleet.kill(self.pick(number), signal)

    @precondition(lambda self: self.fleet.running())
    @rule(number=ANY)
    def kill_init(self, number: int) -> None:
        self.steps.append("kill init")
        self.fleet.kill_init(self.pick(number))

    @precondition(lambda self: self.fleet.running())
    @rule(number=ANY)
    def kill_monitor(self, number: int) -> None:
        self.steps.append("kill monitor")
        self.fleet.kill_monitor(self.pick(number))

    @precondition(lambda self: self.fleet.running())
    @rule(number=ANY)
    def kill_monitor_and_init(self, number: int) -> None:
        self.steps.append("kill both")
        self.fleet.kill_both(self.pick(number))

    @rule()
    def kill_agent(self) -> None:
        self.steps.append("kill agent")
        self.fleet.kill_agent()

    @rule()
    def recover(self) -> None:
        self.steps.append("recover")
        self.fleet.recover()

    @rule(name=st.sampled_from(ATTACHING), mtu=st.integers(1400, 1500))
    def edit(self, name: str, mtu: int) -> None:
        self.steps.append("edit")
        self.fleet.configure(name, mtu=mtu)

    @rule(name=st.sampled_from((REAL, FAKE, STUBBORN)))
    def unconfigure(self, name: str) -> None:
        self.steps.append("unconfigure")
        self.fleet.forget(name)

    @rule(name=st.sampled_from((REAL, FAKE)), text=st.sampled_from(("", "{", "[]", '{"name": 1}')))
    def spoil(self, name: str, text: str) -> None:
        self.steps.append("spoil")
        self.fleet.spoil(name, text)

    @rule(broken=st.booleans())
    def turn(self, broken: bool) -> None:
        self.steps.append("turn")
        self.fleet.set_broken(broken=broken)

    @invariant()
    def everything_agrees(self) -> None:
        expected = self.fleet.expected()
        assert eventually(self.fleet.observed, expected) == expected


def test_kernel_checkpoints_and_status_agree_whatever_happens(frozen: Path) -> None:
    need_host("nft")
    need_file(Path("/usr/lib/cni/bridge"), "make setup")
    Life.steps.clear()

    run_state_machine_as_test(Life, settings=SETTINGS)

    assert len(Life.steps) >= 300
    wanted = "launch,launch failing,launch slow,kill,kill init,kill monitor,kill both,kill agent"
    assert set(wanted.split(",")) <= set(Life.steps)
