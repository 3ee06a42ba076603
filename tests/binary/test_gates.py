"""What keeps an ADD fast, without a clock: the modules it loads and the programs it starts."""

import re
from typing import Any

import pytest

from tests.binary.conftest import DIST, NAME
from tests.support.gate import need, need_file
from tests.support.host import Container, Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin

EXPENSIVE = set(
    """
    argparse collections contextlib ctypes dataclasses enum functools hashlib inspect ipaddress json
    logging pathlib re signal socket subprocess tempfile threading traceback typing
    """.split()  # noqa: SIM905 - a list literal would put every name on a line of its own
)
"""Modules of which each costs milliseconds, on every start, for what a few lines do as well."""

LISTENERS = "mesos_cni_port_mapper.netfilter.listeners"
MODULES = "/run/modules"
TRACE = "/run/trace"
STRACE = ("strace", "-ff", "-ttt", "-e", "trace=execve", "-o", TRACE)


@pytest.fixture(autouse=True)
def _delegate() -> None:
    need(f"{PLUGIN_DIRECTORY}/static")


@pytest.fixture
def container(host: Host) -> Container:
    return host.container("web-1")


@pytest.fixture
def watched(host: Host) -> Plugin:
    """Return the plugin that tells which modules it had loaded when it left."""
    program = DIST / "gates" / "loaded-modules"
    need_file(program, "make gates")
    return Plugin(host, str(program))


@pytest.fixture
def traced(plugin: Plugin) -> Plugin:
    """Return the plugin whose processes leave a file each with what they executed and when."""
    need("strace")
    return plugin.wrapped(*STRACE)


def netconf(count: int, distance: int = 10) -> dict[str, Any]:
    # Apart from one another, or all of them would be one rule.
    ports = [
        {"host_port": 31000 + distance * index, "container_port": 8000 + index, "protocol": "tcp"}
        for index in range(count)
    ]
    return {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": NAME,
        "chain": "MESOS-NET",
        "delegate": {
            "type": "static",
            "ipam": {"type": "static", "addresses": [{"address": "192.168.7.2/24"}]},
        },
        "args": {"org.apache.mesos": {"network_info": {"port_mappings": ports}}},
    }


def beside(document: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration like another's, for a container with other ports and address."""
    ports = document["args"]["org.apache.mesos"]["network_info"]["port_mappings"]
    moved = [each | {"host_port": each["host_port"] + 1} for each in ports]
    ipam = {"type": "static", "addresses": [{"address": "192.168.7.3/24"}]}
    return document | {
        "delegate": document["delegate"] | {"ipam": ipam},
        "args": {"org.apache.mesos": {"network_info": {"port_mappings": moved}}},
    }


def succeeded(answer: Answer) -> Answer:
    assert (answer.status, answer.stderr) == (0, "")
    return answer


def add_neighbour(plugin: Plugin, container: Container) -> None:
    """Have another container's rules in the chain."""
    neighbour = netconf(0)
    network_info = neighbour["args"]["org.apache.mesos"]["network_info"]
    network_info["port_mappings"] = [{"host_port": 30999, "container_port": 80}]
    succeeded(plugin.add(container, neighbour, container_id="neighbour"))


def loaded(host: Host) -> set[str]:
    return set(host.path(MODULES).read_text().split())


def executed(host: Host) -> list[str]:
    """Return the names of the programs that were executed, the first one first."""
    found = []
    for file in host.path(TRACE).parent.glob("trace.*"):
        found += re.findall(r'^(\S+) execve\("(?:.*?/)?([^/"]+)", .* = 0$', file.read_text(), re.M)
        file.unlink()
    return [program for _, program in sorted(found)]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_add_check_and_del_load_nothing_expensive(
    host: Host, watched: Plugin, container: Container, count: int
) -> None:
    result = succeeded(watched.add(container, netconf(count), MPM_LOADED_MODULES=MODULES)).document
    after_add = loaded(host)
    checked = netconf(count) | {"prevResult": result}
    succeeded(watched.check(container, checked, MPM_LOADED_MODULES=MODULES))
    after_check = loaded(host)
    succeeded(watched.delete(container, checked, MPM_LOADED_MODULES=MODULES))
    after_del = loaded(host)

    for modules in (after_add, after_check, after_del):
        assert "mesos_cni_port_mapper.port_mapper" in modules
        assert modules & EXPENSIVE == set()
    # Looking at all sockets and processes of a host is for who asks how things are.
    looks = [LISTENERS in modules for modules in (after_add, after_check, after_del)]
    assert looks == [False, count > 0, False]


def test_version_loads_nothing_expensive_and_not_even_the_port_mapper(
    host: Host, watched: Plugin
) -> None:
    succeeded(watched.version(MPM_LOADED_MODULES=MODULES))

    modules = loaded(host)
    assert "mesos_cni_port_mapper.cni.skeleton" in modules
    assert "mesos_cni_port_mapper.port_mapper" not in modules
    assert modules & EXPENSIVE == set()


@pytest.mark.parametrize("count", [1, 100])
def test_the_first_add_takes_one_restore(
    host: Host, traced: Plugin, container: Container, count: int
) -> None:
    succeeded(traced.add(container, netconf(count)))

    assert executed(host) == [NAME, NAME, "static", "iptables-restore"]
    assert len(host.chain("MESOS-NET") or []) == count


@pytest.mark.parametrize("count", [1, 100])
def test_an_add_into_a_chain_in_use_takes_one_restore(
    host: Host, plugin: Plugin, traced: Plugin, container: Container, count: int
) -> None:
    add_neighbour(plugin, container)

    succeeded(traced.add(container, netconf(count)))

    assert executed(host) == [NAME, NAME, "static", "iptables-restore"]
    assert len(host.chain("MESOS-NET") or []) == count + 1


@pytest.mark.parametrize("count", [1, 100])
def test_a_del_takes_no_tool_where_others_stay(
    host: Host, plugin: Plugin, traced: Plugin, container: Container, count: int
) -> None:
    add_neighbour(plugin, container)
    succeeded(plugin.add(container, netconf(count)))

    succeeded(traced.delete(container, netconf(count)))

    assert executed(host) == [NAME, NAME, "static"]
    assert len(host.chain("MESOS-NET") or []) == 1


@pytest.mark.parametrize("count", [1, 100])
def test_the_last_del_takes_one_restore(
    host: Host, plugin: Plugin, traced: Plugin, container: Container, count: int
) -> None:
    succeeded(plugin.add(container, netconf(count)))

    succeeded(traced.delete(container, netconf(count)))

    assert executed(host) == [NAME, NAME, "iptables-restore", "static"]
    assert host.chain("MESOS-NET") is None


def test_a_del_of_elements_takes_no_tool_where_others_stay(
    host: Host, plugin: Plugin, traced: Plugin, container: Container
) -> None:
    native = netconf(3) | {"backend": "nftables", "snat": True, "localhost": True}
    succeeded(plugin.add(container, native, container_id="neighbour"))
    before = host.nftables()
    succeeded(plugin.add(container, beside(native)))

    succeeded(traced.delete(container, beside(native)))

    assert executed(host) == [NAME, NAME, "static"]
    assert host.nftables() == before
    succeeded(traced.delete(container, native, container_id="neighbour"))
    assert executed(host) == [NAME, NAME, "nft", "static"]
    assert host.nftables() == []


def test_a_del_lists_where_the_rules_are_not_in_nf_tables(any_plugin: Plugin) -> None:
    need("strace")
    container = any_plugin.host.container("web-1")
    succeeded(any_plugin.add(container, netconf(1)))

    succeeded(any_plugin.wrapped(*STRACE).delete(container, netconf(1)))

    listed = ["iptables-save"] if any_plugin.host.variant == "legacy" else []
    assert executed(any_plugin.host) == [NAME, NAME, *listed, "iptables-restore", "static"]


def test_the_tables_of_a_family_take_one_restore(
    host: Host, traced: Plugin, container: Container
) -> None:
    local = netconf(1) | {"snat": True, "localhost": True}

    succeeded(traced.add(container, local))
    assert executed(host) == [NAME, NAME, "static", "iptables-restore"]
    assert len(host.ruleset(table="raw")) == 3

    succeeded(traced.delete(container, local))
    assert executed(host) == [NAME, NAME, "iptables-restore", "static"]


def test_a_run_of_a_thousand_ports_takes_the_programs_of_one(
    host: Host, traced: Plugin, container: Container
) -> None:
    programs = []
    for count in (1, 1000):
        for command in (traced.add, traced.delete):
            succeeded(command(container, netconf(count, distance=1)))
            programs.append(executed(host))

    assert programs[:2] == programs[2:]
    assert programs[0] == [NAME, NAME, "static", "iptables-restore"]
    assert programs[1] == [NAME, NAME, "iptables-restore", "static"]


def test_without_mappings_no_tool_is_run(host: Host, traced: Plugin, container: Container) -> None:
    succeeded(traced.add(container, netconf(0)))
    assert executed(host) == [NAME, NAME, "static"]

    succeeded(traced.delete(container, netconf(0)))
    assert executed(host) == [NAME, NAME, "static"]


def test_version_runs_nothing_but_itself(host: Host, traced: Plugin) -> None:
    succeeded(traced.version())

    assert executed(host) == [NAME, NAME]
