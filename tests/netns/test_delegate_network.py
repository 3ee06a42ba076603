"""GC and STATUS of the built-in plugins: what nobody has goes, and what is ready says so."""

from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import BRIDGE, NETWORKS, leases
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Answer, Plugin

BRIDGED: dict[str, Any] = {**BRIDGE, "cniVersion": "1.1.0"}
PTP = {**BRIDGED, "type": "ptp"}
SUBNET = """\
FLANNEL_NETWORK=10.22.0.0/16
FLANNEL_SUBNET=10.22.3.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
PLAIN: dict[str, dict[str, Any]] = {
    "bridge": BRIDGED,
    "flannel": {"cniVersion": "1.1.0", "name": "net", "type": "flannel"},
    "host-local": {**BRIDGED, "type": "host-local"},
    "ipvlan": {**BRIDGED, "type": "ipvlan", "master": "eth0"},
    "loopback": {"cniVersion": "1.1.0", "name": "net", "type": "loopback"},
    "macvlan": {**BRIDGED, "type": "macvlan", "master": "eth0"},
    "ptp": PTP,
    "static": {**BRIDGED, "type": "static", "ipam": {"type": "static"}},
    "vlan": {**BRIDGED, "type": "vlan", "master": "eth0", "vlanId": 5},
}


def ask(
    host: Host, directory: Path, command: str, conf: dict[str, Any], *valid: tuple[str, str]
) -> Answer:
    """Ask about a network, as libcni does: with no container in the environment."""
    if command == "GC":
        attachments = [{"containerID": name, "ifname": ifname} for name, ifname in valid]
        conf = {**conf, "cni.dev/valid-attachments": attachments}
    plugin = Plugin(host, str(directory / conf["type"]), (str(directory), "/run/delegates"))
    return plugin.gc(conf) if command == "GC" else plugin.status(conf)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_every_plugin_knows_what_its_version_has(
    delegates_dir: Path, host: Host, name: str, command: str
) -> None:
    host.path("/run/flannel").mkdir()
    host.path("/run/flannel/subnet.env").write_text(SUBNET)

    answer = ask(host, delegates_dir, command, PLAIN[name])

    assert (answer.status, answer.stdout) == (0, b"")


@pytest.mark.parametrize("conf", [BRIDGED, PTP], ids=["bridge", "ptp"])
def test_what_belongs_to_no_valid_attachment_goes(
    delegates_dir: Path, host: Host, conf: dict[str, Any]
) -> None:
    plugin = Plugin(host, str(delegates_dir / conf["type"]), (str(delegates_dir),))
    kept, gone = host.container("kept"), host.container("gone")
    assert plugin.add(gone, conf).status == 0
    result = plugin.add(kept, conf).document
    other = host.container("other")
    assert plugin.add(other, {**conf, "name": "another"}).status == 0
    gone.remove()

    assert ask(host, delegates_dir, "GC", conf, ("kept", "eth0")).status == 0

    holders = {path.read_bytes() for path in host.path(f"{NETWORKS}/net").glob("[0-9f]*")}
    assert holders == {b"kept\r\neth0"}
    assert len(list(host.path(f"{NETWORKS}/another").glob("[0-9f]*"))) == 2
    rules = host.ruleset() + host.ruleset(ipv6=True)
    assert not any("gone" in rule for rule in rules)
    assert any("kept" in rule for rule in rules)
    assert any("another" in rule for rule in rules)
    assert plugin.check(kept, {**conf, "prevResult": result}).status == 0


def test_who_does_not_say_what_is_valid_does_not_say_what_is_not(
    delegates_dir: Path, host: Host
) -> None:
    plugin = Plugin(host, str(delegates_dir / "bridge"), (str(delegates_dir),))
    assert plugin.add(host.container("web"), BRIDGED).status == 0
    before = (leases(host), host.ruleset(), host.ruleset(ipv6=True))

    assert plugin.gc(BRIDGED).status == 0

    assert (leases(host), host.ruleset(), host.ruleset(ipv6=True)) == before


def test_an_address_that_is_no_containers_stays_taken(delegates_dir: Path, host: Host) -> None:
    directory = host.path(f"{NETWORKS}/net")
    directory.mkdir(parents=True)
    (directory / "10.22.0.7").mkdir()
    (directory / "10.22.0.8").write_text("old")
    (directory / "10.22.0.9").write_text("older")

    conf = PLAIN["host-local"]
    assert ask(host, delegates_dir, "GC", conf, ("old", "eth0")).status == 0

    assert leases(host) == ["10.22.0.7", "10.22.0.8"]


def test_an_ipam_plugin_of_somebody_else_is_asked_too(delegates_dir: Path, host: Host) -> None:
    plugins = Delegates(host)
    plugins.failing("theirs", 50, "not yet", ["STATUS"])
    plugins.failing("old", 104, "what is that?", ["STATUS", "GC"])
    theirs, old = ({**BRIDGED, "ipam": {"type": name}} for name in ("theirs", "old"))

    answer = ask(host, delegates_dir, "STATUS", theirs)

    assert (answer.status, answer.document["code"], answer.document["msg"]) == (1, 50, "not yet")
    assert ask(host, delegates_dir, "GC", theirs, ("web", "eth0")).status == 0
    (_, collected) = plugins.calls("theirs")
    assert collected.config["cni.dev/valid-attachments"] == [
        {"containerID": "web", "ifname": "eth0"}
    ]
    assert [ask(host, delegates_dir, each, old).status for each in ("STATUS", "GC")] == [0, 0]


@pytest.mark.parametrize(
    ("conf", "code"),
    [
        ({**BRIDGED, "mtu": "x"}, 7),
        ({**BRIDGED, "ipam": {"type": "nowhere"}}, 102),
        ({**BRIDGED, "ipam": {"type": "host-local", "subnet": "x"}}, 7),
        (PLAIN["flannel"], 50),
    ],
)
def test_a_network_that_nobody_could_be_attached_to_is_not_ready(
    delegates_dir: Path, host: Host, conf: dict[str, Any], code: int
) -> None:
    answer = ask(host, delegates_dir, "STATUS", conf)

    assert (answer.status, answer.document["code"]) == (1, code)


@pytest.mark.parametrize(
    ("delegate", "code"), [({"mtu": "x"}, 7), ({"type": "theirs"}, 50), ({"type": "old"}, 0)]
)
def test_flannel_is_as_ready_as_its_delegate(
    delegates_dir: Path, host: Host, delegate: dict[str, Any], code: int
) -> None:
    plugins = Delegates(host)
    plugins.failing("theirs", 50, "not yet", ["STATUS"])
    plugins.failing("old", 104, "what is that?", ["STATUS", "GC"])
    host.path("/run/flannel").mkdir()
    host.path("/run/flannel/subnet.env").write_text(SUBNET)
    conf = {**PLAIN["flannel"], "delegate": delegate}

    answer = ask(host, delegates_dir, "STATUS", conf)

    assert (answer.status, answer.code or 0) == (min(code, 1), code)
    assert ask(host, delegates_dir, "GC", conf, ("web", "eth0")).status == (1 if code == 7 else 0)
    if code == 50:
        (_, collected) = plugins.calls("theirs")
        attachments = collected.config["cni.dev/valid-attachments"]
        assert attachments == [{"containerID": "web", "ifname": "eth0"}]
