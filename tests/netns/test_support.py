"""Prove the harness itself, with the reference plugins in the place of ours."""

import os
from typing import Any

import pytest

from tests.support.delegates import RESULT, Delegates
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, CLIENT_IPV6, HOST_IPV4, HOST_IPV6, Host
from tests.support.machine import observe
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.process import CommandError
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp, serve_udp

BRIDGE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "192.168.7.0/24"}], [{"subnet": "fd00:7::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}


def portmap(result: object, *mappings: tuple[int, int, str]) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "portmap",
        "prevResult": result,
        "runtimeConfig": {
            "portMappings": [
                {"hostPort": host_port, "containerPort": port, "protocol": protocol}
                for host_port, port, protocol in mappings
            ]
        },
    }


def reference(host: Host, name: str) -> Plugin:
    executable = f"{PLUGIN_DIRECTORY}/{name}"
    need(executable)
    return Plugin(host, executable)


def test_packets_reach_a_container_through_the_reference_plugins(any_host: Host) -> None:
    before = observe()
    leases = any_host.files("/var/lib/cni")
    web = any_host.container("web-1")
    bridge, forward = reference(any_host, "bridge"), reference(any_host, "portmap")
    attached = bridge.add(web, BRIDGE)
    netconf = portmap(attached.document, (8080, 80, "tcp"), (5353, 53, "udp"))
    forwarded = forward.add(web, netconf)
    serve_tcp(web, 80)
    serve_udp(web, 53)

    assert (attached.status, forwarded.status) == (0, 0)
    assert attached.addresses == ["192.168.7.2/24", "fd00:7::2/64"]
    for client in (any_host.client, any_host.client):
        assert connect_tcp(client, HOST_IPV4, 8080) == Saw("web-1", CLIENT_IPV4, 80)
        assert connect_udp(client, HOST_IPV4, 5353) == Saw("web-1", CLIENT_IPV4, 53)
    assert connect_tcp(any_host.client, HOST_IPV6, 8080) == Saw("web-1", CLIENT_IPV6, 80)
    assert any_host.chain("CNI-HOSTPORT-DNAT") != []
    assert observe() == before

    assert forward.delete(web, netconf).status == 0
    assert bridge.delete(web, BRIDGE).status == 0
    assert connect_tcp(any_host.client, HOST_IPV4, 8080) == "refused"
    assert any_host.chain("CNI-HOSTPORT-DNAT") == []
    assert any_host.chain("CNI-HOSTPORT-NONE") is None
    assert leases == {}
    assert "networks/net/192.168.7.2" not in any_host.files("/var/lib/cni")


def test_each_variant_of_iptables_has_rules_of_its_own(any_host: Host) -> None:
    any_host.run(["iptables", "-t", "nat", "-N", "MINE"])
    any_host.run(["ip6tables", "-t", "nat", "-A", "PREROUTING", "-j", "ACCEPT"])

    kind = {"nft": "nf_tables", "legacy": "legacy"}[any_host.variant]
    assert f"({kind})" in any_host.run(["iptables", "--version"]).text
    assert any_host.ruleset() == [":MINE -"]
    assert any_host.ruleset(ipv6=True) == ["-A PREROUTING -j ACCEPT"]
    assert (any_host.nftables() == []) == (any_host.variant == "legacy")


def test_outcomes_without_a_server_are_told_apart(host: Host) -> None:
    host.run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "81", "-j", "DROP"])

    assert connect_tcp(host.client, HOST_IPV4, 80) == "refused"
    assert connect_udp(host.client, HOST_IPV4, 80) == "refused"
    assert connect_tcp(host.client, HOST_IPV4, 81, timeout=0.05) == "timeout"
    assert connect_tcp(host.client, "198.51.100.1", 80) == "unreachable"
    assert connect_tcp(host.container("web-1"), "127.0.0.1", 80) == "refused"


def test_the_host_and_the_client_serve_too(host: Host) -> None:
    server = serve_tcp(host, 80)
    serve_udp(host.client, 53, CLIENT_IPV4)

    assert connect_tcp(host, "127.0.0.1", 80) == Saw("host", "127.0.0.1", 80)
    assert connect_tcp(host.client, HOST_IPV6, 80) == Saw("host", CLIENT_IPV6, 80)
    assert connect_udp(host, CLIENT_IPV4, 53, source_port=999) == Saw("client", HOST_IPV4, 53)

    server.stop()

    assert connect_tcp(host, "127.0.0.1", 80) == "refused"


def test_a_port_that_is_taken_is_no_server(host: Host) -> None:
    serve_tcp(host, 80)

    with pytest.raises(CommandError, match="Address already in use"):
        serve_tcp(host, 80)


def test_a_container_is_a_namespace_with_a_path(host: Host) -> None:
    web = host.container("web-1")

    inside = web.run(["readlink", "/proc/self/ns/net"]).text

    assert web.netns == "/run/netns/web-1"
    assert host.run(["ip", "-br", "link", "show", "dev", "lo"]).text.split()[1] == "UNKNOWN"
    assert host.run_in(web, ["ip", "-br", "link"]).text.split()[:2] == ["lo", "UNKNOWN"]
    assert inside != host.run(["readlink", "/proc/self/ns/net"]).text
    assert host.run(["nsenter", f"--net={web.netns}", "readlink", "/proc/self/ns/net"]).text == (
        inside
    )

    web.remove()

    assert list(host.path("/run/netns").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        web.start(["true"])


def test_a_hidden_program_is_not_found(host: Host) -> None:
    host.hide("/usr/sbin/xtables-nft-multi")

    with pytest.raises(PermissionError):
        host.run(["iptables", "--version"])

    assert os.access("/usr/sbin/xtables-nft-multi", os.X_OK)


def test_a_plugin_gets_what_a_runtime_gives_and_nothing_else(host: Host) -> None:
    delegates = Delegates(host)
    delegates.recording("bridge", RESULT)
    plugin = Plugin(host, "/run/delegates/bridge").finding("/run/delegates")

    answer = plugin.add(host.container("web-1"), {"name": "net"}, CNI_ARGS="A=b", PATH=None)
    plugin.delete(None, b"{}", container_id="web-1")
    plugin.version()

    assert (answer.status, answer.document, answer.stderr) == (0, RESULT, "")
    added, deleted, version = delegates.calls("bridge")
    assert added.config == {"name": "net"}
    assert added.env == {
        "CNI_ARGS": "A=b",
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "web-1",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": "/run/netns/web-1",
        "CNI_PATH": "/run/delegates:/usr/lib/cni",
    }
    assert (deleted.env["CNI_NETNS"], deleted.stdin) == ("", b"{}")
    assert version.env == {"CNI_COMMAND": "VERSION"}


def test_fake_delegates_behave_as_they_are_called(host: Host) -> None:
    web = host.container("web-1")
    delegates = Delegates(host)
    delegates.failing("failing", 11, "it's busy", commands=["DEL"])
    delegates.crashing("crashing", "oh no")
    delegates.garbage("garbage")
    delegates.silent("silent")
    delegates.answering("answering", [1])
    delegates.fixed()

    def ask(name: str, command: str = "ADD", **config: str) -> Any:
        answer = Plugin(host, f"/run/delegates/{name}").run(command, web, config)
        return answer.status, answer.document or answer.stdout or answer.stderr

    assert ask("failing") == (0, RESULT)
    assert ask("failing", "DEL")[1]["msg"] == "it's busy"
    assert ask("failing", "DEL")[0] == 1
    assert ask("crashing") == (3, "oh no\n")
    assert ask("garbage") == (0, b'{"ips": [')
    assert ask("silent") == (0, "")
    assert ask("answering", "CHECK") == (0, [1])
    assert delegates.commands("failing") == ["ADD", "DEL", "DEL"]
    assert ask("fixed", cniVersion="1.0.0", address="192.168.7.2/24", address6="fd00::2/64") == (
        0,
        {
            "cniVersion": "1.0.0",
            "ips": [{"address": "192.168.7.2/24"}, {"address": "fd00::2/64"}],
        },
    )
    assert ask("fixed", cniVersion="0.4.0", address="192.168.7.2/24")[1]["ips"] == [
        {"version": "4", "address": "192.168.7.2/24"}
    ]
    assert ask("fixed", address="192.168.7.2/24")[1] == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "192.168.7.2/24"},
    }
