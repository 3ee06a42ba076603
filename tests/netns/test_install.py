"""Upgrades while a container comes: who runs goes on in the version that it was started from."""

import json
import shutil
from pathlib import Path

import pytest

from tests.netns.containers import SOURCE
from tests.netns.injection import say
from tests.netns.networks import DOCUMENT, tcp
from tests.support.delegates import RESULT, Delegates
from tests.support.host import Host
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

PLUGIN = "mesos-cni-port-mapper"
GO_ON = "/run/go-on"
TARGET = "/run/plugins"


class Upgrades:
    """A directory of plugins in a host, and versions of the frozen plugin to put there in turn."""

    def __init__(self, host: Host, frozen: Path, scratch: Path) -> None:
        self.host = host
        self.frozen = frozen
        self.scratch = scratch
        self._count = 0

    def next(self) -> None:
        """Install yet another version."""
        self._count += 1
        source = self.scratch / str(self._count)
        shutil.copytree(self.frozen.parent, source, symlinks=True)
        (source / f"version-{self._count}").touch()
        flags = ["--plugins-dir", TARGET, "--from", str(source)]
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
        self.host.run([*SOURCE, "install", *flags], env=env)

    def versions(self) -> int:
        """Return how many versions there are."""
        return len(list(self.host.path(TARGET).glob(".*-v*")))


@pytest.fixture
def upgrades(host: Host, frozen: Path, tmp_path: Path) -> Upgrades:
    return Upgrades(host, frozen, tmp_path)


@pytest.mark.parametrize(
    ("ending", "code"), [(say(RESULT), None), ("exit 3", 102)], ids=["succeeds", "fails"]
)
def test_an_add_that_three_upgrades_overtake_ends_as_it_would_have(
    host: Host, upgrades: Upgrades, ending: str, code: int | None
) -> None:
    upgrades.next()
    delegates = Delegates(host)
    wait = f": >/run/waits; while [ ! -e {GO_ON} ]; do sleep 0.02; done"
    delegates.scripted("slow", {"ADD": f"{wait}\n{ending}", "DEL": ""})
    mapping = {"network_info": {"port_mappings": [tcp(8080)]}}
    delegate = {"delegate": {"type": "slow"}, "args": {"org.apache.mesos": mapping}}
    netconf = json.dumps({**DOCUMENT, **delegate}).encode()
    plugin = Plugin(host, f"{TARGET}/{PLUGIN}").finding(delegates.directory)
    container = host.container("web-1")

    call = plugin.start("ADD", container, netconf)
    assert eventually(host.path("/run/waits").exists, True) is True
    for _ in range(3):
        upgrades.next()
    # In force, before that, and the one that runs.
    assert upgrades.versions() == 3
    host.path(GO_ON).touch()
    answer = call.wait()

    assert answer.code == code, answer.stdout
    assert plugin.delete(container, netconf).status == 0
    assert host.chain(DOCUMENT["chain"]) is None
    upgrades.next()
    assert upgrades.versions() == 2
