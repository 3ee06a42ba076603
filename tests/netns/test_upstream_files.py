"""Mesos' tests of the files by which a container knows itself and its name servers.

Each test has the name of its model; docs/upstream-tests.md says where they differ, and why.
"""

import json
import shlex
import sys
from typing import Any

import pytest

from mesos_cni_port_mapper.isolator.dns import NO_DNS, Dns, render_resolv_conf
from tests.netns.upstream import MOCK, MOCK_RESULT, PYTHON, Upstream
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, Host
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import serve_tcp

NAME = "www.example.test"

# Answers every question with one address, which is all that a resolver needs.
NAME_SERVER = """\
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\\0", 12) + 5
    known = query[end - 4 : end - 2] == b"\\0\\1"
    head = query[:2] + b"\\x85\\x80" + query[4:6] + (b"\\0\\1" if known else b"\\0\\0") + b"\\0" * 4
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4" + socket.inet_aton(sys.argv[1])
    server.sendto(head + query[12:end] + (answer if known else b""), peer)
"""
FETCH = f"""\
import socket
print(socket.create_connection(("{NAME}", 80), 10).recv(100).decode())
"""
TWICE = f"for n in 1 2; do {PYTHON} -c {shlex.quote(FETCH)} || exit 1; done"


@pytest.fixture
def tool(host: Host) -> Upstream:
    return Upstream(host)


@pytest.mark.parametrize(
    ("dns", "text"),
    [
        (NO_DNS, ""),
        (Dns(domain="mesos.apache.org"), "domain mesos.apache.org\n"),
        (
            Dns(nameservers=("192.0.2.53", "192.0.2.54")),
            "nameserver 192.0.2.53\nnameserver 192.0.2.54\n",
        ),
        (Dns(search=("a.test", "b.test")), "search a.test b.test\n"),
        (Dns(options=("ndots:2", "timeout:1")), "options ndots:2 timeout:1\n"),
    ],
    ids=["nothing", "domain", "name servers", "search", "options"],
)
def test_generate_resolver_config(dns: Dns, text: str) -> None:
    assert render_resolv_conf(dns) == text


def test_launch_container_in_host_network(tool: Upstream) -> None:
    for flag in ("CONFIG_DIR", "PLUGINS_DIR"):
        tool.variables[f"MESOS_NETWORK_CNI_{flag}"] = None
    tool.host.path("/run/hosts").write_text(f"{CLIENT_IPV4} {NAME}\n")
    tool.host.run(["mount", "--bind", "/run/hosts", "/etc/hosts"])
    serve_tcp(tool.host.client, 80)

    said = tool.succeed("run", *tool.image(), "--command", TWICE)

    assert said.count('"name": "client"') == 2


def test_verify_resolver_config(tool: Upstream) -> None:
    dns = {
        "nameservers": ["192.0.2.53", "192.0.2.54"],
        "domain": "mesos.apache.org",
        "search": ["a.mesos.apache.org", "a.mesos.apache.org"],
        "options": ["option1", "option2"],
    }
    result = shlex.quote(json.dumps({**MOCK_RESULT, "dns": dns}))
    tool.mock(f"printf %s {result}", f"printf %s {result}")

    assert tool.finish("cat /etc/resolv.conf").splitlines() == [
        "domain mesos.apache.org",
        "search a.mesos.apache.org a.mesos.apache.org",
        "options option1 option2",
        "nameserver 192.0.2.53",
        "nameserver 192.0.2.54",
    ]
    tool.assert_nothing_left()


def test_internet_verify_resolver_config(tool: Upstream) -> None:
    need(f"{PLUGIN_DIRECTORY}/bridge")
    bridge = {
        "name": "bridge",
        "type": "bridge",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "subnet": "10.1.0.0/24",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "dns": {"nameservers": ["127.0.0.1", CLIENT_IPV4], "options": ["timeout:1"]},
    }
    tool.configure("bridge", bridge)
    client = tool.host.client
    server = client.start([sys.executable, "-c", NAME_SERVER, CLIENT_IPV4])
    assert server.stdout_line() == b"ready"
    serve_tcp(client, 80)
    path = f"/run/plugins:{PLUGIN_DIRECTORY}"

    said = tool.succeed(
        "run", "--networks", "bridge", "--network_cni_plugins_dir", path, "--command", TWICE
    )

    assert said.count('"name": "client"') == 2


def test_read_only_bind_mounts(tool: Upstream) -> None:
    before = tool.host.run(["cat", "/etc/resolv.conf"]).text
    tried = "(echo nameserver 192.0.2.66 >>/etc/resolv.conf) 2>/dev/null && exit 1; exit 0"

    assert tool.succeed("run", *tool.image(), "--command", tried) == ""
    assert tool.host.run(["cat", "/etc/resolv.conf"]).text == before
    tool.assert_nothing_left()


def _default(server: str, name: str | None = None) -> dict[str, Any]:
    dns = {
        "nameservers": [server],
        "domain": f"{server}.test",
        "search": ["a.test", "b.test"],
        "options": ["option1"],
    }
    named = {} if name is None else {"network_name": name}
    return {"network_mode": "CNI", **named, "dns": dns}


@pytest.mark.parametrize(
    ("defaults", "server"),
    [
        ([_default("192.0.2.1", MOCK)], "192.0.2.1"),
        ([_default("192.0.2.2")], "192.0.2.2"),
        ([_default("192.0.2.2"), _default("192.0.2.1", MOCK)], "192.0.2.1"),
    ],
    ids=["by name", "nameless", "both"],
)
def test_verify_default_dns(tool: Upstream, defaults: list[Any], server: str) -> None:
    tool.plugins.recording("mockPlugin", {"ip4": MOCK_RESULT["ip4"]})
    flag = json.dumps({"mesos": defaults})

    assert tool.finish("cat /etc/resolv.conf", "--default_container_dns", flag).splitlines() == [
        f"domain {server}.test",
        "search a.test b.test",
        "options option1",
        f"nameserver {server}",
    ]
    tool.assert_nothing_left()
