"""`mesos-cni doctor` on hosts that lack something: it is found, named, and nothing is changed."""

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netns.behaviour.backends import BACK_ENDS
from tests.netns.behaviour.site import STATE, Site, mapping, settle
from tests.netns.containers import CONFIGURATIONS, Tool
from tests.support.gate import need_host
from tests.support.host import Host
from tests.support.plugin import Plugin


@pytest.fixture
def site(frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with iptables' nft variant."""
    need_host("nft")
    with Host("nft") as host:
        settle(host)
        yield Site(host, Plugin(host, str(frozen)), BACK_ENDS[0])


@pytest.fixture
def tool(site: Site) -> Tool:
    return Tool(site.host)


def findings(tool: Tool, status: int) -> dict[str, tuple[str, str]]:
    """Return what is amiss, by subject: the level and the text."""
    left = tool.run("doctor", "--json")
    assert left.stderr == ""
    document: dict[str, Any] = json.loads(left.stdout)
    assert (left.status, document["healthy"]) == (status, status == 0), document
    return {
        each["subject"]: (each["level"], each["text"])
        for each in document["findings"]
        if each["level"] != "ok"
    }


def test_a_host_that_is_well(site: Site, tool: Tool) -> None:
    tool.network("net")
    site.web(mapping(8080), localhost=True, name="web")
    before = (site.host.nftables(), site.host.files(STATE))

    assert findings(tool, 0) == {}

    assert (site.host.nftables(), site.host.files(STATE)) == before
    assert site.host.run(["cat", "/proc/net/ip_tables_names"], check=False).text == ""
    *_, last = tool.succeed("doctor").splitlines()
    assert last.endswith(" ok")


def test_legacy_tables_are_tried_if_they_are_there_and_never_made() -> None:
    need_host("legacy")
    with Host("legacy") as host:
        settle(host)
        tool = Tool(host)

        def tried() -> list[str]:
            found = json.loads(tool.run("doctor", "--json").stdout)["findings"]
            return [each["subject"] for each in found if each["text"] == "would take rules"]

        assert "iptables" not in tried()
        names = "/proc/net/ip_tables_names"
        assert host.run(["cat", names], check=False).text == ""

        host.run(["iptables", "-t", "nat", "-S"])

        assert "iptables" in tried()


def test_configurations_that_would_fail(tool: Tool) -> None:
    tool.network("other")
    ours: dict[str, Any] = {"plugin": "mesos-cni-port-mapper", "delegate": {"type": "fake"}}
    tool.network("well", **ours, chain="WELL")
    tool.network("nochain", **ours)
    tool.network("nobackend", **ours, chain="A", backend="libiptc")
    tool.network("nodelegate", **{**ours, "delegate": {"type": "nowhere"}}, chain="B")
    tool.network("devices", **ours, chain="C", excludeDevices=["a b"])
    tool.network("inner", delegate={"type": "mesos-cni-port-mapper"})
    (tool.host.path(CONFIGURATIONS) / "broken.conf").write_text("{")

    left = json.loads(tool.run("doctor", "--json").stdout)["findings"]
    texts = {f"{each['subject']}: {each['text']}" for each in left if each["level"] == "problem"}

    said = "\n".join(sorted(texts))
    assert "network nochain: chain: is missing" in said
    assert "network inner: chain: is missing" in said
    assert "network nobackend: backend: " in said
    assert "network devices: excludeDevices[0]: " in said
    assert "nodelegate.conf: there is no plugin 'nowhere'" in said
    assert "broken.conf: " in said
    assert "well" not in said
    assert len(texts) == 6


def test_what_a_container_that_is_gone_left(site: Site, tool: Tool) -> None:
    member = site.member(site.host.container("gone"), mapping(8080))
    member.attach()
    member.container.remove()
    (namespace,) = site.host.path(STATE).iterdir()
    (namespace / "attachments" / "garbage").write_text("{}")

    assert findings(tool, 0) == {
        "state": ("warning", f"{STATE}/{namespace.name}/attachments/garbage is none of our files")
    }
    said = tool.succeed("doctor")
    assert "container gone on network net-1 (eth0): its container is gone" in said
    # Of a writer that was killed.
    (namespace / "claims" / ".half").touch()
    assert f"{namespace.name}/claims/.half is none of our files" in tool.succeed("doctor")


def test_rules_that_were_flushed(site: Site, tool: Tool) -> None:
    site.web(mapping(8080), name="web")
    site.host.run(["nft", "flush", "ruleset"])

    assert findings(tool, 1)["state"][0] == "problem"


def test_rules_in_both_worlds(site: Site, tool: Tool) -> None:
    site.web(mapping(8080), name="web")
    rule = "-t nat -A PREROUTING -p tcp --dport 1 -j REDIRECT --to-ports 2"
    site.host.run(["iptables-legacy", *rule.split()])

    assert findings(tool, 0)["both worlds"][0] == "warning"


@pytest.mark.parametrize("whose", ["iptables", "ours"])
def test_a_lock_that_is_held(site: Site, tool: Tool, whose: str) -> None:
    site.web(mapping(8080), name="web")
    (namespace,) = site.host.path(STATE).iterdir()
    name = {"iptables": "/run/xtables.lock", "ours": f"{STATE}/{namespace.name}/lock"}[whose]
    with site.host.path(name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        level, text = findings(tool, 1)[name]

    assert level == "problem"
    assert text.startswith("is held by ")


def test_a_state_directory_that_cannot_be_written(site: Site, tool: Tool) -> None:
    site.host.run(["mkdir", STATE])
    site.host.run(["mount", "--bind", STATE, STATE])
    site.host.run(["mount", "-o", "remount,bind,ro", STATE])

    assert findings(tool, 1) == {"state": ("problem", f"{STATE}: not writable")}


def test_a_state_directory_that_outlives_a_reboot(site: Site, tool: Tool) -> None:
    # What is mounted last counts; any kind will do that is not gone by itself.
    site.host.run(["mkdir", "/run/kept"])
    site.host.run(["mount", "-t", "proc", "none", "/run/kept"])

    assert "/run/kept is on proc and outlives" in tool.succeed("doctor", "--state-dir", "/run/kept")


def test_an_interface_that_lets_strangers_in(site: Site, tool: Tool) -> None:
    site.host.run(["sysctl", "-w", "net.ipv4.conf.eth0.route_localnet=1"])

    assert list(findings(tool, 0)) == ["net.ipv4.conf.eth0.route_localnet"]


def test_a_firewall_that_flushes(site: Site, tool: Tool) -> None:
    site.host.run(["cp", "/bin/sleep", "/run/firewalld"])
    firewall = site.host.start(["/run/firewalld", "60"])
    try:
        assert list(findings(tool, 0)) == ["firewalld"]
    finally:
        firewall.kill()
        firewall.wait(10)
        firewall.close()


def test_a_host_without_tools(site: Site, tool: Tool) -> None:
    for name in ("nft", "xtables-nft-multi"):
        site.host.hide(f"/usr/sbin/{name}")

    found = findings(tool, 1)

    assert found["tools"] == ("problem", "neither iptables nor nft is installed")


def test_a_host_that_does_not_forward(site: Site, tool: Tool) -> None:
    site.host.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"])

    assert findings(tool, 0) == {"net.ipv4.ip_forward": ("warning", "is 0: no IPv4 goes on")}


@pytest.mark.parametrize(
    "weak",
    [
        ("--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups"),
        ("--bounding-set=-net_admin", "--inh-caps=-net_admin"),
    ],
    ids=["nobody", "root"],
)
def test_without_privilege_most_of_it_is_said(
    site: Site, tool: Tool, weak: tuple[str, ...]
) -> None:
    site.web(mapping(8080), name="web")
    left = site.host.run(
        ["setpriv", *weak, *tool.argv, "doctor", "--json"], env=tool.environment(), check=False
    )

    document = json.loads(left.stdout)
    assert left.status == 0
    said = {each["subject"]: each["text"] for each in document["findings"]}
    assert said["privilege"] == "not root: rules cannot be seen"
    assert {"iptables", "nft", "net.ipv4.ip_forward"} <= set(said)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--state_dir", "x"), "--state_dir"), (("more",), "more"), (("--no-such",), "--no-such")],
)
def test_what_cannot_be_meant_is_named_in_one_line(
    tool: Tool, arguments: tuple[str, ...], named: str
) -> None:
    left = tool.run("doctor", *arguments)

    assert (left.status, left.stdout) == (2, "")
    assert len(left.stderr.splitlines()) == 1
    assert named in left.stderr
