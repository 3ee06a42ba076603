"""What the original hid, left behind or waited for without end when something went wrong."""

import json
import time
from pathlib import Path

import pytest

from tests.netns.networks import (
    CHAIN,
    NOTHING,
    Network,
    Task,
    bridged,
    imagined,
    reached,
    server,
    shim,
    tcp,
    traces,
    udp,
)
from tests.support.delegates import Delegates
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import Answer, Plugin

FAILING = "#!/bin/sh\necho not today >&2\nexit 1\n"
HANGING = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def web(any_host: Host, any_plugin: Plugin) -> Task:
    """Return a container that is attached by two ports."""
    web = bridged(any_plugin).task(server(any_host, "web-1", udp=[53]), tcp(8080), udp(5353))
    web.attach()
    return web


def delete_on(path: str, web: Task) -> Answer:
    """Run DEL with another PATH."""
    return web.plugin.delete(web.container, web.request(), PATH=path)


@pytest.mark.parametrize("tool", ["iptables-save", "iptables-restore"])
def test_a_del_that_cannot_see_or_change_the_rules_fails_and_keeps_the_address(
    any_host: Host, web: Task, tool: str
) -> None:
    before = traces(any_host)

    answer = delete_on(shim(any_host, tool, FAILING), web)

    assert (answer.status, answer.code) == (1, 103)
    assert "not today" in answer.document["details"]
    assert traces(any_host) == before
    assert reached(any_host.client, 8080) == "web-1"

    web.detach()

    assert traces(any_host) == NOTHING


def test_a_del_removes_all_rules_of_a_container_or_none(any_host: Host, web: Task) -> None:
    picky = shim(
        any_host,
        "iptables-restore",
        # The second removal is spoilt, and the tool is left to notice it.
        "#!/bin/sh\nsed 's/-D .* --dport 5353 /&-s 198.51.100.1 /' | "
        '/run/tools/iptables-restore "$@"\n',
    )
    before = any_host.chain(CHAIN)

    answer = delete_on(picky, web)

    assert (answer.status, answer.code) == (1, 103)
    assert any_host.chain(CHAIN) == before


@pytest.mark.parametrize(
    ("result", "words"),
    [
        pytest.param({"dns": {}}, "no address", id="no address"),
        pytest.param({"ip4": {"ip": "192.168.7.2"}}, "192.168.7.2", id="no prefix"),
        pytest.param({"ip4": {"ip": "fd00::2"}}, "fd00::2", id="neither"),
        pytest.param(["ip4"], "not a JSON object", id="no result"),
    ],
)
def test_an_add_without_a_usable_address_is_undone(
    host: Host, plugin: Plugin, result: object, words: str
) -> None:
    delegates = Delegates(host)
    delegates.recording("recording", result)
    network = imagined(plugin, delegates, "unused", delegate={"type": "recording"})

    answer = network.task(host.container("web-1"), tcp(8080)).add()

    assert (answer.status, answer.code) == (1, 102)
    assert words in answer.document["msg"] + answer.document.get("details", "")
    assert delegates.commands("recording") == ["ADD", "DEL"]
    assert traces(host) == NOTHING


def test_an_add_that_fails_at_its_second_mapping_leaves_nothing(
    any_host: Host, any_plugin: Plugin
) -> None:
    task = bridged(any_plugin).task(any_host.container("web-1"), tcp(8080), udp(5353))
    path = shim(
        any_host,
        "iptables-restore",
        "#!/bin/sh\nsed 's/-p udp/-p nonsense/' | /run/tools/iptables-restore \"$@\"\n",
    )

    answer = any_plugin.add(task.container, task.request(), PATH=path)

    assert (answer.status, answer.code) == (1, 103)
    assert traces(any_host) == NOTHING
    assert task.container.run(["ip", "-br", "link"]).text.count("\n") == 1


def test_a_del_removes_the_rules_also_when_the_delegate_is_not_installed(
    any_host: Host, web: Task, frozen: Path
) -> None:
    any_host.hide(str(frozen.parent / ".mesos-cni-delegates"))

    answer = web.plugin.delete(web.container, web.request(), CNI_PATH="/nowhere")

    assert (answer.status, answer.code) == (1, 102)
    assert "'bridge'" in answer.document["msg"]
    assert "/nowhere" in answer.document["details"]
    assert any_host.chain(CHAIN) is None

    web.detach()

    assert traces(any_host) == NOTHING


def test_a_del_does_without_mappings_that_make_sense(any_host: Host, web: Task) -> None:
    netconf = json.loads(web.request())
    netconf["excludeDevices"] = "whatever"
    netconf["args"]["org.apache.mesos"]["network_info"]["port_mappings"][0]["host_port"] = 70000

    answer = web.plugin.delete(web.container, netconf)

    assert (answer.status, answer.stdout) == (0, b"")
    assert traces(any_host) == NOTHING


def test_a_del_whose_delegate_fails_can_be_repeated(host: Host, plugin: Plugin) -> None:
    delegates = Delegates(host)
    delegates.failing("moody", 7, "not now", ["DEL"], {"ip4": {"ip": "192.168.7.2/24"}})
    web = imagined(plugin, delegates, "unused", delegate={"type": "moody"}).task(
        host.container("web-1"), tcp(8080)
    )
    web.attach()

    answer = web.delete()

    assert (answer.status, answer.code) == (1, 102)
    assert answer.document["details"] == "not now"
    assert host.chain(CHAIN) is None

    delegates.recording("moody")
    web.detach()

    assert traces(host) == NOTHING


def test_a_delegate_that_cannot_be_started_leaves_no_file(host: Host, plugin: Plugin) -> None:
    delegates = Delegates(host)
    broken = host.path(f"{delegates.directory}/broken")
    broken.write_text("#!/nowhere/interpreter\n")
    broken.chmod(0o755)
    host.path("/run/tmp").mkdir()
    web = imagined(plugin, delegates, "unused", delegate={"type": "broken"}).task(
        host.container("web-1"), tcp(8080)
    )

    answer = web.plugin.add(web.container, web.request(), TMPDIR="/run/tmp")

    assert (answer.status, answer.code) == (1, 102)
    assert "/run/delegates/broken" in answer.document["msg"]
    assert host.files("/run/tmp") == {}
    assert traces(host).rules == ()

    # Whether it had attached anything cannot be known, so the record waits for a DEL that works.
    delegates.silent("broken")
    web.detach()

    assert traces(host) == NOTHING


def test_no_file_is_made_outside_the_state_directory_and_nothing_listens(
    host: Host, plugin: Plugin
) -> None:
    need("strace")
    calls = "trace=open,openat,creat,mkdir,mkdirat,mknod,symlink,link,listen"
    network = imagined(plugin, Delegates(host), "10.5.0.2")
    web = network.task(host.container("web-1"), tcp(8080))
    for command in ("ADD", "DEL"):
        traced = network.plugin.wrapped("strace", "-ff", "-e", calls, "-o", "/run/trace")
        assert traced.run(command, web.container, web.request()).status == 0

    lines = [
        line
        for name, trace in host.files("/run").items()
        if name.startswith("trace.")
        for line in trace.decode().splitlines()
    ]
    made = [line for line in lines if "O_CREAT" in line or "mk" in line or "link" in line]
    ours = ("/run/mesos-cni-port-mapper", "/run/delegates/.fixed/", "/run/xtables.lock")
    assert len(made) > 3
    assert [line for line in made if not any(path in line for path in ours)] == []
    assert [line for line in lines if line.startswith("listen")] == []


def impatient(network: Network) -> Network:
    return network.but(timeouts={"delegate": 0.3, "tools": 0.6, "lock": 0.3})


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_delegate_that_hangs_is_ended(host: Host, plugin: Plugin, command: str) -> None:
    delegates = Delegates(host)
    delegates.hanging("hanging", [command], stubborn=True)
    network = imagined(plugin, delegates, "unused", delegate={"type": "hanging"})
    task = impatient(network).task(host.container("web-1"), tcp(8080))
    begin = time.monotonic()

    answer = task.run(command)

    assert (answer.status, answer.code) == (1, 102)
    assert answer.document["msg"] == (
        f"delegate hanging did not finish {command} in 0.3 s and was killed"
    )
    assert time.monotonic() - begin < 15
    assert host.processes() == {}
    assert host.chain(CHAIN) is None


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_iptables_that_hangs_is_ended(host: Host, plugin: Plugin, command: str) -> None:
    network = impatient(imagined(plugin, Delegates(host), "10.5.0.2"))
    web = network.task(host.container("web-1"), tcp(8080))
    if command == "DEL":
        web.attach()
    path = shim(host, "iptables-restore", HANGING)
    begin = time.monotonic()

    answer = web.plugin.run(command, web.container, web.request(), PATH=path)

    assert answer.status == 1
    assert "iptables-restore did not finish in 0.6 s" in str(answer.document)
    assert time.monotonic() - begin < 15
    assert host.processes() == {}


def test_a_lock_that_is_never_given_back_is_not_waited_for_without_end(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = impatient(imagined(any_plugin, Delegates(any_host), "10.5.0.2"))
    network.task(any_host.container("web-1"), tcp(8080)).attach()
    (directory,) = any_host.path("/run/mesos-cni-port-mapper").iterdir()
    held = f"/run/mesos-cni-port-mapper/{directory.name}/lock"
    any_host.start(["flock", held, "sleep", "60"])
    begin = time.monotonic()

    answer = network.task(any_host.container("web-2"), tcp(8081)).add()

    assert (answer.status, answer.code) == (1, 11)
    assert held in answer.document["msg"]
    assert time.monotonic() - begin < 15


def test_how_a_delegate_ended_is_told_as_it_was(host: Host, plugin: Plugin) -> None:
    delegates = Delegates(host)
    delegates.crashing("crashing", "no such bridge", ["ADD"])
    network = imagined(plugin, delegates, "unused", delegate={"type": "crashing"})

    answer = network.task(host.container("web-1"), tcp(8080)).add()

    assert answer.document == {
        "cniVersion": "0.2.0",
        "code": 102,
        "msg": "delegate crashing failed on ADD (exit status 3)",
        "details": "no such bridge",
    }
    assert answer.stderr == "no such bridge\n"
