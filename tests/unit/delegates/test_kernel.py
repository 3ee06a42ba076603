"""An undo takes away exactly what was made, whichever operation fails."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from delegates import operations as ops
from delegates import sysctl
from delegates.acting import steps
from delegates.facts import Address
from delegates.kernel import Kernel, describe
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.linux import lock, signals
from tests.unit.children import in_child
from tests.unit.delegates.memory_kernel import MemoryNetlink, Refusals

PLAN: list[ops.Operation] = [
    ops.BeginShared(),
    ops.CreateBridge(name="br0"),
    ops.SetPromiscuous(where=ops.HOST, link="br0"),
    ops.ShareAddress(where=ops.HOST, link="br0", address="10.1.0.1/16"),
    ops.SetSysctl(where=ops.HOST, name="net/ipv4/ip_forward", value="1"),
    ops.CreateVeth(name="veth0", peer="eth0", master="br0"),
    ops.SetHairpin(link="veth0"),
    ops.SetUp(where=ops.HOST, link="veth0"),
    ops.EndShared(),
    ops.AddAddress(where=ops.SANDBOX, link="eth0", address="10.1.0.2/16"),
    ops.SetUp(where=ops.SANDBOX, link="eth0"),
    ops.AddRoute(where=ops.SANDBOX, link="eth0", destination="0.0.0.0/0", gateway="10.1.0.1"),
    ops.AwaitUp(where=ops.HOST, link="veth0"),
]


class FakeSandbox:
    path, file = "/run/netns/web", 99

    def inside(self, work: Any) -> Any:
        return work()


class World:
    """A host and a sandbox in memory, and how often the lock was taken and given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refusals = Refusals()
        self.sandbox = MemoryNetlink(self.refusals)
        self.host = MemoryNetlink(self.refusals, peer=self.sandbox)
        self.settings = {"net/ipv4/ip_forward": "0"}
        monkeypatch.setattr(sysctl, "read", self.settings.get)
        monkeypatch.setattr(sysctl, "write", self._write)
        monkeypatch.setattr(lock, "acquire_read_only", lambda *_: os.open("/", os.O_PATH))
        self.kernel = Kernel(FakeSandbox(), {})  # type: ignore[arg-type]
        self.kernel._netlinks = {ops.HOST: self.host, ops.SANDBOX: self.sandbox}  # type: ignore[dict-item]

    def _write(self, name: str, value: str) -> None:
        self.refusals.change()
        self.settings[name] = value

    def state(self) -> tuple[object, ...]:
        return self.host.state(), self.sandbox.state(), dict(self.settings)

    @property
    def locked(self) -> bool:
        return self.kernel._lock >= 0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(monkeypatch)
    yield world
    world.kernel.close()


def existing_bridge(world: World) -> None:
    world.host.have("br0", "bridge", up=True, promiscuous=True)
    world.host.given.append(Address(index=1, family=4, address="10.1.0.1", prefix=16))
    world.settings["net/ipv4/ip_forward"] = "1"


def idle_bridge(world: World) -> None:
    world.host.have("br0", "bridge")


def rival_address(world: World) -> None:
    world.host.have("br0", "bridge", up=False)
    world.host.given.append(
        Address(index=1, family=4, address="10.9.0.1", prefix=16, broadcast="10.9.255.255")
    )


def test_a_plan_is_carried_out(world: World) -> None:
    world.kernel.apply(PLAN)

    assert sorted(world.host.by_name) == ["br0", "veth0"]
    assert world.host.by_name["veth0"].master == world.host.by_name["br0"].index
    assert [entry.address for entry in world.sandbox.given] == ["10.1.0.2"]
    assert [route.gateway for route in world.sandbox.ways] == ["10.1.0.1"]
    assert world.settings["net/ipv4/ip_forward"] == "1"


def changes_of_whole_plan() -> int:
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(monkeypatch)
        world.kernel.apply(PLAN)
        world.kernel.close()
        return world.refusals.seen


@pytest.mark.parametrize(
    "prepare", [lambda _: None, idle_bridge, existing_bridge], ids=["new", "idle", "in use"]
)
@pytest.mark.parametrize("number", range(1, changes_of_whole_plan() + 1))
def test_whichever_change_fails_nothing_stays(world: World, number: int, prepare: Any) -> None:
    prepare(world)
    before = world.state()
    world.refusals.number = number

    try:
        world.kernel.apply(PLAN)
    except CniError as error:
        assert error.code == 999
        assert error.details == "no buffer space"
    world.kernel.undo()

    assert world.state() == before


def test_an_address_that_was_forced_away_comes_back(world: World) -> None:
    rival_address(world)
    before = world.state()
    force = ops.ShareAddress(where=ops.HOST, link="br0", address="10.1.0.1/16", force=True)

    world.kernel.apply([ops.CreateBridge(name="br0"), force])
    assert [entry.address for entry in world.host.given] == ["10.1.0.1"]
    world.kernel.undo()

    assert world.state() == before


@pytest.mark.parametrize("number", [1, 2])
def test_an_address_that_cannot_replace_another_leaves_it(world: World, number: int) -> None:
    rival_address(world)
    before = world.state()
    force = ops.ShareAddress(where=ops.HOST, link="br0", address="10.1.0.1/16", force=True)
    world.refusals.number = number

    with pytest.raises(CniError):
        world.kernel.apply([force])
    world.kernel.undo()

    assert world.state() == before


def test_a_rival_is_named(world: World) -> None:
    rival_address(world)

    with pytest.raises(CniError) as caught:
        world.kernel.apply([ops.ShareAddress(where=ops.HOST, link="br0", address="10.1.0.1/16")])

    assert "10.9.0.1/16" in caught.value.details


@pytest.mark.parametrize(
    ("present", "wanted", "fits"),
    [
        (("fd00:1::1", 64), "fd00:2::1/64", True),
        (("fd00:1::1", 64), "fd00:1::2/64", False),
        (("fd00::1", 32), "fd00:0:5::1/64", False),
    ],
)
def test_ipv6_networks_share_a_bridge_unless_they_overlap(
    world: World, present: tuple[str, int], wanted: str, fits: bool
) -> None:
    world.host.have("br0", "bridge", up=True)
    world.host.given.append(Address(index=1, family=6, address=present[0], prefix=present[1]))
    share = ops.ShareAddress(where=ops.HOST, link="br0", address=wanted)

    try:
        world.kernel.apply([share])
    except CniError:
        assert not fits
    else:
        assert fits


def test_a_new_bridge_that_others_joined_meanwhile_stays(world: World) -> None:
    world.kernel.apply([ops.CreateBridge(name="br0")])
    world.host.have("other", master=world.host.by_name["br0"].index)

    world.kernel.undo()

    assert "br0" in world.host.by_name


def test_who_made_what_is_shared_keeps_others_waiting(world: World) -> None:
    world.kernel.apply([ops.BeginShared(), ops.CreateBridge(name="br0"), ops.EndShared()])

    assert world.locked
    world.kernel.close()
    assert not world.locked


def test_who_found_it_as_it_should_be_lets_others_go_on(world: World) -> None:
    existing_bridge(world)
    shared = [step for step in PLAN[:9] if not isinstance(step, ops.SetHairpin)]

    world.kernel.apply(shared)

    assert not world.locked


def test_a_lock_that_is_held_is_worth_another_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(path: str, seconds: float) -> int:
        raise lock.LockHeldError(f"{path} is locked by pid 7 (bridge)")

    monkeypatch.setattr(lock, "acquire_read_only", held)

    with pytest.raises(CniError) as caught:
        world.kernel.apply([ops.BeginShared()])

    assert caught.value.code == 11
    assert "pid 7 (bridge)" in caught.value.details


def test_a_wait_ends_when_somebody_asks_to_end() -> None:
    def work() -> str:
        signals.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            for _ in steps(10):
                pass
        except signals.Interrupted as interruption:
            return str(interruption)
        return "it went on"

    assert in_child(work) == "interrupted by signal 15"


def test_an_undo_goes_on_and_tells_of_what_it_could_not_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kernel.apply([ops.CreateBridge(name="br0"), ops.CreateVeth(name="veth0", peer="eth0")])
    delete = world.host.delete_link

    def refuse(name: str) -> None:
        if name == "veth0":
            raise OSError(16, "Device or resource busy")
        delete(name)

    monkeypatch.setattr(world.host, "delete_link", refuse)

    with pytest.raises(CniError) as caught:
        world.kernel.undo()

    assert "veth0" in caught.value.details
    assert "br0" not in world.host.by_name


def test_an_optional_setting_may_be_refused(world: World) -> None:
    world.refusals.number = 1

    world.kernel.apply([ops.SetSysctl(where=ops.HOST, name="x", value="1", optional=True)])
    with pytest.raises(CniError):
        world.refusals.seen = 0
        world.kernel.apply([ops.SetSysctl(where=ops.HOST, name="x", value="1")])


def test_a_setting_that_is_right_is_not_written(world: World) -> None:
    world.settings["x"] = "1"

    world.kernel.apply([ops.SetSysctl(where=ops.HOST, name="x", value="1")])

    assert world.refusals.seen == 0


def test_a_route_is_taken_back_from_its_own_table(world: World) -> None:
    world.sandbox.have("eth0")
    add = ops.AddRoute(where=ops.SANDBOX, link="eth0", destination="::/0", table=1000, priority=7)
    world.kernel.apply([add])
    assert [(route.table, route.priority) for route in world.sandbox.ways] == [(1000, 7)]

    world.kernel.undo()

    assert world.sandbox.ways == []


def test_an_operation_describes_itself() -> None:
    add = ops.AddRoute(where=ops.SANDBOX, link="eth0", destination="::/0", gateway="fd00::1")

    assert describe(add) == "add route eth0 ::/0 fd00::1 in the container"
    assert describe(ops.CreateBridge(name="br0")) == "create bridge br0 on the host"
