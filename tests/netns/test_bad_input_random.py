"""Configurations damaged at random: always a valid answer, and never anything left behind."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.netns import mutations
from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.injection import Scene, assert_no_processes, snapshot
from tests.netns.networks import tcp, udp
from tests.support.delegates import VERSIONS
from tests.support.host import Host
from tests.support.plugin import Plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[each for each in BACK_ENDS if each.variant == "nft"], ids=str)
def scene(request: pytest.FixtureRequest, host: Host, plugin: Plugin) -> Scene:
    back_end: BackEnd = request.param
    return Scene(host, plugin, alone=True, **back_end.keys)


def good(scene: Scene) -> Any:
    network = scene.network.but(
        stateDir="/run/mesos-cni-port-mapper", timeouts={"lock": 1}, cniVersion="1.0.0"
    )
    return json.loads(network.task(scene.container, tcp(8080), udp(53)).request())


def test_random_damage_gives_a_valid_answer_and_leaves_nothing(host: Host, scene: Scene) -> None:
    environ = scene.network.plugin.environment("ADD", scene.container)
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.netns import mutations; mutations.main()"
    )
    request = json.dumps([good(scene), list(range(180))]).encode()

    finished = host.run([sys.executable, "-I", "-S", "-c", script], request, environ, timeout=60)

    answers = [json.loads(line) for line in finished.stdout.splitlines()]
    for answer in answers:
        assert valid(answer["command"], answer["status"], answer["stdout"]), answer
    assert len({answer["descriptors"] for answer in answers}) == 1
    assert 20 < len([answer for answer in answers if answer["command"] == "DEL"]) < 160
    assert snapshot(host) == scene.before
    assert_no_leftovers(host)


def test_random_damage_does_the_same_to_the_frozen_program(host: Host, scene: Scene) -> None:
    plugin = scene.network.plugin

    for seed in range(1000, 1020):
        netconf = mutations.mutate(good(scene), seed)
        added = plugin.add(scene.container, netconf)
        assert valid("ADD", added.status, added.stdout.decode()), (seed, added)
        deleted = plugin.delete(scene.container, netconf)
        assert valid("DEL", deleted.status, deleted.stdout.decode()), (seed, deleted)
        assert added.status or not deleted.status

    assert snapshot(host) == scene.before
    assert_no_leftovers(host)


def valid(command: str, status: int, stdout: str) -> bool:
    """Tell whether an answer is what the specification allows."""
    if status == 0:
        return stdout == "" if command == "DEL" else "192.168.7.2" in stdout
    document = json.loads(stdout)
    return (
        status == 1
        and document["cniVersion"] in VERSIONS
        and document["code"] in (1, 2, 7, 102)
        and bool(document["msg"])
        and document["msg"].isprintable()
        and set(document) <= {"cniVersion", "code", "msg", "details"}
    )


def assert_no_leftovers(host: Host) -> None:
    files = host.files("/run/odd") if host.path("/run/odd").exists() else {}
    assert [name for name in files if not name.endswith("/lock")] == []
    assert_no_processes(host)
