"""What commands tell people and programs: `networks`, `usage`, `recover --json`, `wait --json`."""

import json
import re
import sys
from typing import Any

import pytest

from tests.netns.agents import SOCKET, Agent
from tests.netns.containers import CONFIGURATIONS, ENDLESS, RUNTIME, Tool
from tests.support.host import Host
from tests.support.waiting import eventually

# An interface that something can be sent over, because a made-up address alone counts nothing.
ATTACH = """\
nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name x
nsenter --net="$CNI_NETNS" ip address add 10.9.9.9/24 dev "$CNI_IFNAME"
nsenter --net="$CNI_NETNS" ip link set "$CNI_IFNAME" up
nsenter --net="$CNI_NETNS" ip link set x up
printf %s '{"cniVersion": "1.0.0", "ips": [{"address": "10.9.9.9/24"}]}'
"""
SEND = """\
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 99, ("10.9.9.8", 9))
"""
WITHOUT = "--network_cni_metrics=false"


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def rows(table: str) -> list[list[str]]:
    return [re.split(r" {3,}", line) for line in table.splitlines()]


def test_networks_are_listed_with_their_plugins_and_files(tool: Tool) -> None:
    tool.plugins.silent("addresses")
    tool.network("other", "second", ipam={"type": "addresses"})
    net, other = f"{CONFIGURATIONS}/net.conf", f"{CONFIGURATIONS}/other.conf"

    assert rows(tool.succeed("networks")) == [
        ["NAME", "PLUGINS", "MISSING", "FILE"],
        ["net", "fake", "-", net],
        ["other", "second, addresses", "-", other],
    ]
    assert json.loads(tool.succeed("networks", "--json")) == {
        "networks": [
            {"name": "net", "plugins": ["fake"], "missing": [], "file": net},
            {"name": "other", "plugins": ["second", "addresses"], "missing": [], "file": other},
        ],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("file", "text", "reason", "missing"),
    [
        (
            "a.conf",
            '{"name": "a", "type": "none"}',
            "there is no plugin 'none'",
            {"a": ["none"], "net": []},
        ),
        ("a.conf", '{"name": "a"', "Expecting ',' delimiter", {"net": []}),
        ("z.conf", '{"name": "net", "type": "fake"}', "'net' is in", {"net": []}),
        ("a.conf.off", '{"name": "a", "type": "fake"}', "not read: its name ends", {"net": []}),
    ],
    ids=["plugin", "json", "twice", "name"],
)
def test_a_configuration_that_would_not_work_is_told_and_is_a_failure(
    tool: Tool, file: str, text: str, reason: str, missing: dict[str, list[str]]
) -> None:
    path = f"{CONFIGURATIONS}/{file}"
    tool.host.path(path).write_text(text)

    people = tool.run("networks")
    programs = tool.run("networks", "--json")

    assert (people.status, programs.status) == (1, 1)
    assert people.stderr.startswith(f"mesos-cni: {path}: ")
    assert people.stderr.count("\n") == 1
    assert reason in people.stderr
    assert [(row[0], row[2]) for row in rows(people.stdout)[1:]] == [
        (name, ", ".join(plugins) or "-") for name, plugins in missing.items()
    ]
    document = json.loads(programs.stdout)
    assert {each["name"]: each["missing"] for each in document["networks"]} == missing
    (problem,) = document["problems"]
    assert (problem["path"], reason in problem["reason"]) == (path, True)


def test_recover_tells_programs_what_became_of_each_container(tool: Tool) -> None:
    for name in ("web", "done", "old"):
        tool.detached(name, ENDLESS, "--networks", "net")
    before = {name: tool.status(name) for name in ("web", "done", "old")}
    tool.kill(before["web"]["monitor_pid"])
    for name in ("done", "old"):
        tool.kill(before[name]["monitor_pid"])
        tool.kill(before[name]["pid"])
    assert eventually(lambda: tool.state("done"), "lost") == "lost"
    tool.host.run(["rm", "-r", f"{RUNTIME}/containers/old"])

    report = json.loads(tool.succeed("recover", "--json"))

    assert report == {
        "monitored": ["web"],
        "finished": ["done"],
        "detached": ["old"],
        "problems": [],
    }


def test_recover_tells_programs_what_it_could_not_do(tool: Tool) -> None:
    tool.plugins.failing("stuck", 11, "not now", ["DEL"])
    tool.network("stuck", "stuck")
    tool.detached("web", "exit 3", "--networks", "stuck")
    tool.run("wait", "web")

    left = tool.run("recover", "--json")

    assert left.status == 1
    report = json.loads(left.stdout)
    (problem,) = report.pop("problems")
    assert report == {"monitored": [], "finished": [], "detached": []}
    assert problem.startswith("web: ")
    assert "not now" in problem
    assert left.stderr == f"mesos-cni: {problem}\n"


@pytest.mark.parametrize(
    ("command", "status"), [("exit 7", 7), ("exit 0", 0), ("kill -KILL $$", 137)]
)
def test_wait_tells_programs_how_a_container_ended(tool: Tool, command: str, status: int) -> None:
    tool.detached("web", command, "--networks", "net")

    document = json.loads(tool.succeed("wait", "--json", "web"))

    assert document == {"status": status, "detached": True, "error": ""}


def test_wait_tells_programs_that_nobody_saw_the_end(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    status = tool.status("web")
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])
    assert eventually(lambda: tool.state("web"), "lost") == "lost"
    tool.succeed("recover")

    document = json.loads(tool.succeed("wait", "--json", "web"))

    assert document == {"status": None, "detached": True, "error": ""}


def test_wait_tells_programs_that_a_container_could_not_be_detached(tool: Tool) -> None:
    tool.plugins.failing("stuck", 11, "not now", ["DEL"])
    tool.network("stuck", "stuck")
    tool.detached("web", "exit 3", "--networks", "stuck")

    left = tool.run("wait", "--json", "web")

    document = json.loads(left.stdout)
    assert (left.status, document["status"], document["detached"]) == (1, 3, False)
    assert "not now" in document["error"]
    detaching = "mesos-cni: detaching container 'web' failed: "
    assert left.stderr == f"{detaching}{document['error']}\n"


def counted(tool: Tool, name: str) -> dict[str, int]:
    usage: dict[str, int] = json.loads(tool.succeed("usage", "--json", name))
    return usage


def test_people_read_a_counter_a_line_and_programs_the_same(tool: Tool) -> None:
    tool.plugins.scripted("fake", {"ADD": ATTACH})
    tool.detached("web", ENDLESS, "--networks", "net")
    tool.succeed("exec", "web", sys.executable, "-c", SEND)

    before = counted(tool, "web")
    lines = tool.succeed("usage", "web").splitlines()
    after = counted(tool, "web")

    assert before["net_tx_bytes"] > 0
    assert [line.split()[0] for line in lines] == list(before)
    # The kernel sends now and then, too.
    for line in lines:
        name, count = line.split()
        assert before[name] <= int(count) <= after[name], line
    width = max(map(len, before))
    assert {line.rindex(" ") for line in lines} == {width + 1}


def test_a_container_on_the_hosts_network_has_no_counters(tool: Tool) -> None:
    tool.detached("web", ENDLESS)

    assert counted(tool, "web") == {}
    assert tool.succeed("usage", "web") == ""


@pytest.mark.parametrize("flag", [WITHOUT, "--no-network_cni_metrics"])
def test_nothing_is_counted_where_that_is_not_wanted(tool: Tool, flag: str) -> None:
    tool.detached("web", ENDLESS, "--networks", "net", flag)
    tool.detached("counted", ENDLESS, "--networks", "net")

    assert counted(tool, "web") == {}
    assert tool.succeed("usage", "web") == ""
    assert len(counted(tool, "counted")) == 8


def test_an_agent_that_is_told_so_counts_nothing(tool: Tool) -> None:
    agent = Agent(tool, "--socket", SOCKET, WITHOUT).ready()
    agent.launch("web", {"name": "net"})

    listed: list[dict[str, Any]] = agent.get("/containers").document
    assert [list(each["statistics"]) for each in listed] == [["timestamp"]]
    assert "mesos_cni_container_net_rx_bytes{" not in agent.get("/metrics").text
    assert agent.get("/state").document["flags"]["network_cni_metrics"] == "false"
    assert counted(tool, "web") == {}
    agent.process.close()
