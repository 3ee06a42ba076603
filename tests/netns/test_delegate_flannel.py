"""flannel on a real kernel: its delegate attaches, and nothing is lost of what it saved."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.netns.networks import tcp
from tests.support.delegates import Delegates
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Container, Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp

ENV = """\
FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.31.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
V6 = "FLANNEL_IPV6_NETWORK=fd00:42::/48\nFLANNEL_IPV6_SUBNET=fd00:42:0:1f::1/64\n"
SAVED = "/var/lib/cni/flannel"
LEASES = "/var/lib/cni/networks/flannel-net"
NETCONF: dict[str, Any] = {"cniVersion": "1.0.0", "name": "flannel-net", "type": "flannel"}
# What a Mesos agent needs besides: it must be reached by the container's executor.
MESOS = {"bridge": "cni0", "isDefaultGateway": True, "hairpinMode": True}


@pytest.fixture
def flannel(host: Host, delegates_dir: Path) -> Plugin:
    write_env(host, ENV)
    return Plugin(host, str(delegates_dir / "flannel"))


def write_env(host: Host, text: str) -> None:
    directory = host.path("/run/flannel")
    directory.mkdir(exist_ok=True)
    (directory / "subnet.env").write_text(text)


def saved(host: Host) -> dict[str, Any]:
    directory = host.path(SAVED)
    return {
        path.name: json.loads(path.read_text())
        for path in (directory.iterdir() if directory.exists() else ())
    }


def leases(host: Host) -> list[str]:
    directory = host.path(LEASES)
    found = directory.glob("10.*") if directory.exists() else ()
    return sorted(path.name for path in found)


def links(container: Container) -> list[str]:
    text = container.run(["ip", "-oneline", "link"]).text
    return re.findall(r"^\d+: (\w+)", text, re.MULTILINE)


def nothing_left(host: Host, container: Container) -> None:
    veths = [name for name in links_of_host(host) if name.startswith("veth")]
    assert (saved(host), leases(host), links(container), veths) == ({}, [], ["lo"], [])
    assert host.ruleset() == []


def links_of_host(host: Host) -> list[str]:
    return re.findall(r"^\d+: (\w+)", host.run(["ip", "-oneline", "link"]).text, re.MULTILINE)


def succeed(answer: Answer) -> Any:
    assert answer.status == 0, (answer.document, answer.stderr)
    return answer.document


def test_a_container_of_mesos_gets_what_flannel_gave_the_host(host: Host, flannel: Plugin) -> None:
    box = host.container("c1")
    netconf = {"name": "flannel-net", "type": "flannel", "delegate": MESOS}

    result = succeed(flannel.add(box, netconf))

    result.pop("cniVersion", None)
    assert result == {
        "ip4": {
            "ip": "10.42.31.2/24",
            "gateway": "10.42.31.1",
            "routes": [{"dst": "10.42.0.0/16"}, {"dst": "0.0.0.0/0", "gw": "10.42.31.1"}],
        },
        "dns": {},
    }
    assert saved(host) == {
        "c1": {
            "name": "flannel-net",
            "type": "bridge",
            **MESOS,
            "ipMasq": False,
            "mtu": 1450,
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.42.31.0/24"}]],
                "routes": [{"dst": "10.42.0.0/16"}],
            },
            "ifname": "eth0",
        }
    }
    assert (host.path(SAVED) / "c1").stat().st_mode & 0o777 == 0o600
    for place, link in ((box, "eth0"), (host, "cni0")):
        assert " mtu 1450 " in place.run(["ip", "-oneline", "link", "show", link]).text
    # `FLANNEL_IPMASQ=true` says that flanneld has seen to it.
    assert host.ruleset() == []
    serve_tcp(box, 80)
    assert connect_tcp(host, "10.42.31.2", 80) == Saw("c1", "10.42.31.1", 80)

    for _ in range(2):
        assert succeed(flannel.delete(box, netconf)) is None
    nothing_left(host, box)


def test_the_port_mapper_leads_to_a_container_of_flannels(
    host: Host, plugin: Plugin, flannel: Plugin
) -> None:
    box = host.container("c1")
    mapper = plugin.finding(str(Path(flannel.executable).parent))
    netconf = {
        "name": "flannel-pm",
        "type": "mesos-cni-port-mapper",
        "chain": "MESOS-FLANNEL",
        "excludeDevices": ["cni0"],
        "delegate": {"type": "flannel", "dataDir": "/var/lib/cni/flannel-pm", "delegate": MESOS},
        "args": {"org.apache.mesos": {"network_info": {"port_mappings": [tcp(8080)]}}},
    }

    succeed(mapper.add(box, netconf))
    serve_tcp(box, 80)
    assert connect_tcp(host.client, HOST_IPV4, 8080) == Saw("c1", CLIENT_IPV4, 80)

    succeed(mapper.delete(box, netconf))
    nothing_left(host, box)
    assert list(host.path("/var/lib/cni/flannel-pm").iterdir()) == []


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_the_answer_is_in_the_version_asked_and_can_be_checked(
    host: Host, flannel: Plugin, version: str
) -> None:
    box = host.container("c1")
    netconf = NETCONF | {"cniVersion": version, "delegate": {"bridge": "fl0"}}

    result = succeed(flannel.add(box, netconf))
    assert (result["cniVersion"], [entry["name"] for entry in result["interfaces"]][::2]) == (
        version,
        ["fl0", "eth0"],
    )
    assert [ip["address"] for ip in result["ips"]] == ["10.42.31.2/24"]
    assert result["routes"] == [{"dst": "10.42.0.0/16"}]
    if version == "0.3.1":
        assert flannel.check(box, netconf | {"prevResult": result}).code == 1
        return
    succeed(flannel.check(box, netconf | {"prevResult": result}))
    box.run(["ip", "link", "set", "eth0", "name", "gone"])
    assert flannel.check(box, netconf | {"prevResult": result}).code == 999


def test_both_families(host: Host, flannel: Plugin) -> None:
    write_env(host, ENV + V6)
    box = host.container("c1")

    result = succeed(flannel.add(box, NETCONF))

    assert [ip["address"] for ip in result["ips"]] == ["10.42.31.2/24", "fd00:42:0:1f::2/64"]
    assert [route["dst"] for route in result["routes"]] == ["10.42.0.0/16", "fd00:42::/48"]
    routes = box.run(["ip", "-6", "route"]).text
    assert "fd00:42::/48 via fd00:42:0:1f::1 dev eth0" in routes


def test_where_flanneld_does_not_masquerade_the_bridge_does(host: Host, flannel: Plugin) -> None:
    write_env(host, ENV.replace("IPMASQ=true", "IPMASQ=false"))
    box = host.container("c1")
    netconf = NETCONF | {"delegate": {"isDefaultGateway": True}}
    serve_tcp(host.client, 80)

    succeed(flannel.add(box, netconf))
    # The client has no route to the container.
    assert connect_tcp(box, CLIENT_IPV4, 80) == Saw("client", HOST_IPV4, 80)

    # By then flanneld may have been started with other flags, or not at all.
    write_env(host, ENV)
    succeed(flannel.delete(box, netconf))
    nothing_left(host, box)


def test_after_a_reboot_the_address_is_given_back(host: Host, flannel: Plugin) -> None:
    box = host.container("c1")
    succeed(flannel.add(box, NETCONF))
    assert leases(host) == ["10.42.31.2"]

    box.remove()
    (host.path("/run/flannel") / "subnet.env").unlink()
    for _ in range(2):
        succeed(flannel.delete(None, NETCONF, container_id="c1"))
    assert (saved(host), leases(host)) == ({}, [])


def test_two_networks_of_flannel_in_one_directory_are_kept_apart(
    host: Host, flannel: Plugin
) -> None:
    box = host.container("c1")
    networks = {
        "eth0": NETCONF | {"delegate": {"bridge": "fl0"}},
        "eth1": NETCONF | {"name": "other", "delegate": {"bridge": "fl1"}},
    }
    calls = [flannel.start("ADD", box, conf, ifname) for ifname, conf in networks.items()]
    for call in calls:
        succeed(call.wait())
    assert sorted(conf["bridge"] for conf in saved(host).values()) == ["fl0", "fl1"]
    assert sorted(links(box)) == ["eth0", "eth1", "lo"]

    succeed(flannel.delete(box, networks["eth1"], "eth1"))
    succeed(flannel.delete(box, networks["eth1"], "eth1"))
    assert [conf["bridge"] for conf in saved(host).values()] == ["fl0"]
    assert (links(box), leases(host)) == (["lo", "eth0"], ["10.42.31.2"])
    succeed(flannel.delete(box, networks["eth0"]))
    nothing_left(host, box)


@pytest.mark.parametrize(
    ("delegate", "words"),
    [
        # It fails before anything was done, half way, and with an address already given.
        ({"bridge": "b/r"}, "bridge"),
        ({"bridge": "eth0"}, "eth0"),
        ({"mtu": 1}, ""),
    ],
)
def test_a_failed_add_leaves_nothing(
    host: Host, flannel: Plugin, delegate: dict[str, Any], words: str
) -> None:
    box = host.container("c1")
    netconf = NETCONF | {"delegate": delegate}

    answer = flannel.add(box, netconf)

    assert answer.status == 1
    assert words in answer.document["msg"]
    nothing_left(host, box)
    succeed(flannel.delete(box, netconf))


def test_an_add_on_a_name_that_is_taken_costs_the_first_nothing(
    host: Host, flannel: Plugin
) -> None:
    box = host.container("c1")
    succeed(flannel.add(box, NETCONF))
    before = saved(host)

    assert flannel.add(box, NETCONF | {"delegate": {"bridge": "fl1"}}).code == 999

    assert (saved(host), links(box)) == (before, ["lo", "eth0"])
    succeed(flannel.delete(box, NETCONF))
    nothing_left(host, box)


def test_without_subnet_env_the_error_names_it_and_del_is_fine(host: Host, flannel: Plugin) -> None:
    (host.path("/run/flannel") / "subnet.env").unlink()
    box = host.container("c1")

    answer = flannel.add(box, NETCONF)

    assert (answer.code, answer.document["msg"]) == (999, "there is no /run/flannel/subnet.env")
    status = flannel.status(NETCONF | {"cniVersion": "1.1.0"})
    assert (status.code, status.document["msg"]) == (50, answer.document["msg"])
    succeed(flannel.delete(box, NETCONF))
    nothing_left(host, box)


def test_an_id_that_would_lead_elsewhere_is_refused(host: Host, flannel: Plugin) -> None:
    box = host.container("c1")

    for container_id in ("../c1", "..", "a/b", ".hidden"):
        assert flannel.add(box, NETCONF, container_id=container_id).code == 4
        assert flannel.delete(box, NETCONF, container_id=container_id).code == 4
    assert saved(host) == {}


def test_another_plugin_as_the_delegate(host: Host, flannel: Plugin) -> None:
    need(f"{PLUGIN_DIRECTORY}/bridge", f"{PLUGIN_DIRECTORY}/host-local")
    host.run(["cp", f"{PLUGIN_DIRECTORY}/bridge", "/run/tools/debians-bridge"])
    box = host.container("c1")
    named = flannel.finding("/run/tools")
    delegate = {"type": "debians-bridge", "isGateway": True}

    result = succeed(named.add(box, NETCONF | {"delegate": delegate}))
    assert [ip["address"] for ip in result["ips"]] == ["10.42.31.2/24"]
    succeed(named.delete(box, NETCONF))
    nothing_left(host, box)


def test_killed_while_the_delegate_runs_its_del_finds_what_was_saved(
    host: Host, flannel: Plugin
) -> None:
    plugins = Delegates(host)
    plugins.hanging("slow", ["ADD"])
    box = host.container("c1")
    named = flannel.finding(plugins.directory)
    netconf = NETCONF | {"delegate": {"type": "slow", "key": "value"}}

    call = named.start("ADD", box, netconf)
    plugins.await_call("slow")
    call.kill()
    call.wait(drain=False)
    succeed(named.delete(box, NETCONF))

    received = plugins.calls("slow")[-1]
    assert (received.command, received.config["key"]) == ("DEL", "value")
    assert saved(host) == {}


def test_asked_to_end_it_has_the_delegate_detach(host: Host, flannel: Plugin) -> None:
    plugins = Delegates(host)
    plugins.hanging("slow", ["ADD"])
    box = host.container("c1")
    netconf = NETCONF | {"delegate": {"type": "slow"}}

    call = flannel.finding(plugins.directory).start("ADD", box, netconf)
    plugins.await_call("slow")
    call.kill(signal.SIGTERM)

    assert call.wait().code == 11
    assert plugins.commands("slow") == ["ADD", "DEL"]
    assert saved(host) == {}
