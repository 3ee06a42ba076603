"""Random lives of containers on each back end: after every step the host is as the model says.

ADDs with every policy, DELs, CHECKs, a firewall that somebody flushes, state that is lost, and
plugins that are killed somewhere. The order is random but the same every time; a failure prints it.
"""

import random
import time
from typing import Any

import pytest

from tests.netns.behaviour.site import NOTHING, TAKEN, Imagined, Member, Site, everything, mapping
from tests.netns.behaviour.test_crowd import Owners, _check, expected, present

STEPS = 45
NAMES = ("a", "b", "c", "d")
PORTS = tuple(mapping(20000 + 10 * number) for number in range(5))


class Life:
    """A host, who is attached to it, and who has which port."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site = site
        self.fake = Imagined(site)
        self.chance = chance
        self.places = {name: self.fake.member(name) for name in NAMES}
        self.attached: dict[str, Member] = {}
        self.owners: Owners = {}
        self.steps: list[str] = []

    def member(self, name: str, **changes: Any) -> Member:
        """Return a container that asks for some of the ports."""
        base = self.places[name]
        wanted = self.chance.sample(PORTS, self.chance.randint(1, 3))
        return Member(base.plugin, {**base.netconf, **changes}, base.container, tuple(wanted))

    def step(self) -> None:
        kind = self.chance.choice(
            ["add", "add", "add", "delete", "delete", "check", "die", "flush"]
        )
        name = self.chance.choice(NAMES)
        self.steps.append(f"{kind} {name}")
        getattr(self, kind)(name)
        assert present(self.site) == self.owners, self.steps

    def add(self, name: str) -> None:
        policy = self.chance.choice(["takeover", "takeover", "fail"])
        member = self.member(name, onConflict=policy)
        wanted = expected([member])
        contested = {self.owners[port] for port in wanted if port in self.owners} - {name}
        answer = member.run("ADD")
        if contested and policy == "fail":
            assert answer.code == TAKEN, (self.steps, answer.document)
            if name in self.attached:
                self.forget(name)  # An ADD that fails is undone, with what it was to replace.
            return
        assert answer.status == 0, (self.steps, answer.document)
        self.forget(name)
        self.owners |= wanted
        self.attached[name] = member

    def forget(self, name: str) -> None:
        self.attached.pop(name, None)
        self.owners = {port: owner for port, owner in self.owners.items() if owner != name}

    def delete(self, name: str) -> None:
        self.member(name).detach()
        self.forget(name)

    def check(self, name: str) -> None:
        member = self.attached.get(name)
        if member is not None:
            whole = all(self.owners.get(port) == name for port in expected([member]))
            answer = member.plugin.run("CHECK", *_check(member))
            assert (answer.status == 0) == whole, (self.steps, answer.document)

    def die(self, name: str) -> None:
        """Kill an ADD or a DEL somewhere; the DEL that follows makes everything good."""
        command = self.chance.choice(["ADD", "ADD", "DEL"])
        member = self.member(name, onConflict="takeover")
        call = member.start(command)
        time.sleep(self.chance.uniform(0, 0.06))
        call.kill()
        survived = call.wait(drain=False).status == 0
        if survived and command == "ADD":
            self.forget(name)
            self.owners |= expected([member])
        self.delete(name)

    def flush(self, _: str) -> None:
        """Remove everything as somebody else might, and have all containers attached again."""
        for command in ("nft flush ruleset", "iptables -t nat -F", "ip6tables -t nat -F"):
            if self.site.host.variant == "nft" or command.startswith("ip"):
                self.site.host.run(command.split(" "))
        for name in list(self.attached):
            self.delete(name)


@pytest.mark.parametrize("seed", range(2))
def test_the_host_is_as_the_model_says(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    life = Life(site, chance)

    for _ in range(STEPS):
        life.step()

    assert {step.partition(" ")[0] for step in life.steps} == {
        "add",
        "delete",
        "check",
        "die",
        "flush",
    }
    for name in NAMES:
        life.delete(name)
    assert everything(site) == NOTHING
