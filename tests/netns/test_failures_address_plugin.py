"""An address plugin behind a built-in delegate ends with it, however that ends."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import BRIDGE
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

FLANNEL = "FLANNEL_NETWORK=10.22.0.0/16\nFLANNEL_SUBNET=10.22.3.1/24\nFLANNEL_MTU=1450\n"


@pytest.fixture
def plugins(host: Host) -> Delegates:
    made = Delegates(host)
    made.hanging("slow", ["ADD"], stubborn=True)
    return made


def slow(host: Host) -> list[int]:
    return [pid for pid, words in host.processes().items() if [*words[:2]] == ["sleep", "60"]]


@pytest.mark.parametrize(
    "delegate",
    [
        {**BRIDGE, "ipam": {"type": "slow"}},
        {"type": "flannel", "delegate": {"type": "slow"}},
    ],
    ids=["ipam", "flannel's delegate"],
)
def test_a_deadline_of_the_port_mapper_ends_it(
    plugin: Plugin, host: Host, plugins: Delegates, delegate: dict[str, Any]
) -> None:
    host.path("/run/flannel").mkdir()
    host.path("/run/flannel/subnet.env").write_text(FLANNEL + "FLANNEL_IPMASQ=true\n")
    netconf = {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "mesos-cni-port-mapper",
        "chain": "MAPPED",
        "delegate": delegate,
        "timeouts": {"delegate": 1},
    }

    ours = dataclasses.replace(plugin, cni_path=("/run/delegates",))
    answer = ours.add(host.container("web"), netconf)

    assert (answer.status, answer.code) == (1, 102)
    assert plugins.commands("slow")[0] == "ADD"
    assert eventually(lambda: slow(host), []) == []


def test_a_delegate_that_is_killed_takes_it_along(
    delegates_dir: Path, host: Host, plugins: Delegates
) -> None:
    bridge = Plugin(host, str(delegates_dir / "bridge"), ("/run/delegates",))
    container = host.container("web")
    call = bridge.start("ADD", container, {**BRIDGE, "ipam": {"type": "slow"}}, "web", "eth0")
    plugins.await_call("slow")
    assert slow(host) != []

    call.kill()
    call.wait()

    assert eventually(lambda: slow(host), []) == []


def test_what_it_leaves_running_lives_on(
    delegates_dir: Path, host: Host, plugins: Delegates
) -> None:
    result = '{"cniVersion": "1.0.0", "ips": [{"address": "10.22.0.9/16"}]}'
    plugins.scripted("daemon", {"ADD": f"sleep 60 >/dev/null 2>&1 </dev/null & echo '{result}'"})
    bridge = Plugin(host, str(delegates_dir / "bridge"), ("/run/delegates",))

    answer = bridge.add(host.container("web"), {**BRIDGE, "ipam": {"type": "daemon"}})

    assert answer.status == 0
    assert len(slow(host)) == 1
