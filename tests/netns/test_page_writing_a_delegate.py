"""docs/writing-a-delegate.md: its code is a plugin, and its commands print what it says."""

import json
import re
import sys
from typing import Any

import pytest

from delegates import operations as ops
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.cni.result import Result
from tests.netns.containers import ROOT
from tests.netns.recipes import OWN_OPT, follow, parse_blocks, parse_sections
from tests.support.agent import TOOLS
from tests.support.host import SEARCH_PATH, Container, Host
from tests.support.plugin import Answer, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp

PAGE = (ROOT / "docs/writing-a-delegate.md").read_text(encoding="utf-8")
PROGRAM = "".join(parse_blocks(PAGE, "python"))
SECTIONS = parse_sections(PAGE)
NETCONF: dict[str, Any] = json.loads(parse_blocks(PAGE, "json")[0])
ENVIRONMENT = {"PATH": SEARCH_PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
PROGRAM_PATH = f"{TOOLS}/join"
LEASES = "/var/lib/cni/networks/fabric"


@pytest.fixture
def host_with_python(host: Host) -> Host:
    """Have a host on which the page's program finds an interpreter with the framework."""
    for path, text in (
        (f"{TOOLS}/python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
        (PROGRAM_PATH, PROGRAM),
    ):
        host.path(path).write_text(text)
        host.path(path).chmod(0o755)
    return host


class Served:
    """The page's program on a host with its bridge, as a runtime uses it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._plugin = Plugin(host, PROGRAM_PATH)
        host.run(["ip", "link", "add", "fabric0", "mtu", "1450", "type", "bridge"])
        host.run(["ip", "link", "set", "fabric0", "up"])

    def ask(self, command: str, box: Container | None, **netconf: Any) -> Answer:
        return self._plugin.run(command, box, NETCONF | netconf, container_id="web", **ENVIRONMENT)

    def left(self, box: Container) -> tuple[list[str], list[str], list[str]]:
        """Return ports of the bridge, links of the container, and leases."""
        directory = self.host.path(LEASES)
        leases = directory.glob("10.*") if directory.exists() else ()
        ports = self.host.run(["ls", "/sys/class/net/fabric0/brif"]).text.split()
        text = box.run(["ip", "-oneline", "link"]).text
        links = re.findall(r"^\d+: (\w+)", text, re.MULTILINE)
        return ports, links, [path.name for path in leases]


@pytest.fixture
def served(host_with_python: Host) -> Served:
    return Served(host_with_python)


def test_the_page_says_what_happens(host_with_python: Host) -> None:
    steps = [step for section in SECTIONS.values() for step in section]
    preparation = (
        f"{OWN_OPT}mkdir -p /opt/cni/bin\ncp {PROGRAM_PATH} /opt/cni/bin\n"
        "chmod -x /opt/cni/bin/join\nexport PYTHONDONTWRITEBYTECODE=1\n"
    )

    follow(host_with_python, steps, preparation)

    assert [path.name for path in host_with_python.path(LEASES).glob("10.*")] == []
    assert list(host_with_python.path("/run/netns").iterdir()) == []
    assert "fabric0" not in host_with_python.run(["ip", "link"]).text


def test_the_program_is_as_short_as_the_page_says() -> None:
    assert 50 <= len([line for line in PROGRAM.splitlines() if line.strip()]) <= 75


def test_its_plan_needs_no_kernel() -> None:
    names: dict[str, Any] = {"__name__": "join"}
    exec(compile(PROGRAM, "join", "exec"), names)
    asked = Request(
        command="ADD",
        container_id="web",
        ifname="eth0",
        netns="/run/netns/web",
        path=(),
        environ={},
        netconf=NETCONF,
        version="1.0.0",
    )
    configuration = names["Configuration"](bridge="fabric0", port="join1", mtu=1450)
    ips = [{"address": "10.66.0.2/24", "gateway": "10.66.0.1"}]
    given = Result(version="1.0.0", document={"cniVersion": "1.0.0", "ips": ips})

    plan = names["Join"]().plan(asked, configuration, given)

    assert plan.operations == [
        ops.CreateVeth(name="join1", peer="eth0", mtu=1450, master="fabric0"),
        ops.SetUp(where=ops.HOST, link="join1"),
        ops.AddAddress(where=ops.SANDBOX, link="eth0", address="10.66.0.2/24"),
        ops.SetUp(where=ops.SANDBOX, link="eth0"),
    ]
    assert plan.ips == [ips[0] | {"interface": 1}]


def test_the_configuration_shown_is_the_one_that_is_tried() -> None:
    first = SECTIONS["Trying it"]
    (written,) = [step.command for step in first if "fabric.conf <<EOF" in step.command]

    assert json.loads(written.partition("\n")[2].removesuffix("EOF")) == NETCONF


@pytest.mark.parametrize("version", ["0.2.0", "0.3.1", "1.1.0"])
def test_it_answers_in_the_version_asked(served: Served, version: str) -> None:
    answer = served.ask("ADD", served.host.container("web"), cniVersion=version)

    assert answer.document["cniVersion"] == version
    assert ("ip4" in answer.document, "ips" in answer.document) == (
        version == "0.2.0",
        version != "0.2.0",
    )


def test_what_fails_half_way_leaves_nothing(served: Served) -> None:
    box = served.host.container("web")
    before = served.left(box)
    routes = [{"dst": "10.77.0.0/16"}, {"dst": "0.0.0.0/0", "gw": "192.0.2.99"}]

    answer = served.ask("ADD", box, ipam=NETCONF["ipam"] | {"routes": routes})

    assert (answer.code, "192.0.2.99" in answer.document["msg"]) == (999, True)
    assert served.left(box) == before == ([], ["lo"], [])


def test_del_works_without_the_namespace_and_twice(served: Served) -> None:
    box = served.host.container("web")
    assert served.ask("ADD", box).status == 0
    ports, links, leases = served.left(box)
    assert (len(ports), links, leases) == (1, ["lo", "eth0"], ["10.66.0.2"])

    assert [served.ask("DEL", None).status for _ in range(2)] == [0, 0]
    assert served.left(box)[2] == []


def test_two_containers_reach_each_other(served: Served) -> None:
    boxes = [served.host.container(name) for name in ("web", "other")]
    plugin = Plugin(served.host, PROGRAM_PATH)
    for box in boxes:
        assert plugin.add(box, NETCONF, **ENVIRONMENT).status == 0

    serve_tcp(boxes[0], 80)
    assert connect_tcp(boxes[1], "10.66.0.2", 80) == Saw("web", "10.66.0.3", 80)


def test_a_field_of_the_wrong_type_is_named(served: Served) -> None:
    answer = served.ask("ADD", served.host.container("web"), bridge=7)

    assert (answer.code, answer.document["msg"].partition(":")[0]) == (7, "bridge")
