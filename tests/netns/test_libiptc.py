"""The program for hosts without iptables(8): batches are atomic, and the lock is everybody's."""

import fcntl
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesos_cni_port_mapper.netfilter.batch import plan_insertion
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from mesos_cni_port_mapper.portmap.rule import IPV4
from tests.netns.libiptc import LOCK, PROGRAM, TAG, Tables, batch, tables_of
from tests.support.gate import need_host
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Host
from tests.support.traffic import Saw, connect_tcp, serve_tcp
from tests.unit.wishes import mapping, wish

RULE = (
    f'-p tcp -m tcp --dport 8080 -m comment --comment "{TAG}" -j DNAT --to-destination 192.0.2.9:80'
)
LIBRARIES = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"


LINK = """\
link add web0 type veth peer name eth0 netns /run/netns/web
address add 192.0.3.1/24 dev web0
link set web0 up
"""
INSIDE = """\
address add 192.0.3.2/24 dev eth0
link set eth0 up
route add default via 192.0.3.1
"""


@pytest.fixture
def tables() -> Iterator[Tables]:
    """Return the tables of a host of its own."""
    need_host("legacy")
    with Host("legacy") as host:
        yield tables_of(host)


@pytest.fixture(scope="module")
def shared() -> Iterator[Tables]:
    """Return the tables of a host for all tests that change nothing but the nat table."""
    need_host("legacy")
    with Host("legacy") as host:
        yield tables_of(host)


@pytest.fixture
def emptied(shared: Tables) -> Tables:
    """Return them with nothing in the nat table."""
    shared.empty()
    return shared


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-N CHAIN", "Chain already exists"),
        ("-X CHAIN", "Too many links"),
        ("-X FULL", "Directory not empty"),
        ("-X NONE", "No chain/target/match by that name"),
        ("-A NONE -j RETURN", "No chain/target/match by that name"),
        ("-D CHAIN -j RETURN", "Bad rule (does a matching rule exist in that chain?)"),
        ("-C CHAIN -j RETURN", "Bad rule (does a matching rule exist in that chain?)"),
        ("-C PREROUTING -j FULL", "No chain/target/match by that name"),
        ("-A CHAIN -j NONE", "there is no chain or target NONE"),
        ("-A CHAIN -g NONE", "there is no chain NONE"),
        ("-A CHAIN -m none -j RETURN", "there is no match none"),
        ("-A CHAIN -j DNAT", 'DNAT: option "--to-destination" must be specified'),
        ("-A CHAIN -p tcp -m tcp --dport 65536", "invalid port/service `65536' specified"),
        ("-A CHAIN -p tcp -m tcp --dport", "nothing follows --dport"),
        ("-A CHAIN --dport 80", "no match or target of the rule knows --dport"),
        ("-A CHAIN -s 192.0.2.256", "192.0.2.256 is no address of IPv4"),
        ("-A CHAIN -s 192.0.2.0/33", "192.0.2.0/33 is no address of IPv4"),
        ("-A CHAIN -s ::1", "::1 is no address of IPv4"),
        ("-A CHAIN !", "nothing follows the !"),
        ("-A CHAIN ! -j RETURN", "-j cannot be inverted"),
        ("-A CHAIN -j RETURN -j DROP", "a rule has one target"),
        ("-A CHAIN -s 192.0.2.1 ! -s 192.0.2.2", "-s is given twice"),
        ("-A CHAIN -p tcp --protocol udp", "-p is given twice"),
        ("-A CHAIN stray -j RETURN", "stray is no option"),
        (
            "-N NAME-OF-TWENTY-NINE-CHARACTERS",
            "a chain's name has 1 to 28 bytes, and no - or ! first",
        ),
        ("-N -N", "a chain's name has 1 to 28 bytes, and no - or ! first"),
        ("-N MARK", "a target has this name"),
    ],
)
def test_a_line_that_cannot_be_carried_out_is_named_and_nothing_changes(
    emptied: Tables, line: str, reason: str
) -> None:
    emptied.restore("-N CHAIN", "-N FULL", "-A FULL -j RETURN", "-A PREROUTING -j CHAIN")
    before = emptied.real_save()

    status, words = emptied.restore("-N OTHER", f"-I CHAIN {RULE}", line)

    assert (status, words) == (1, f"line 4 ({line}): {reason}\n")
    assert emptied.real_save() == before


def test_what_the_kernel_refuses_changes_nothing(emptied: Tables) -> None:
    before = emptied.real_save()

    # Only what leaves the host can be masqueraded.
    told = emptied.restore("-N CHAIN", "-A PREROUTING -j CHAIN", "-A CHAIN -j MASQUERADE")

    assert told == (1, "COMMIT of the nat table: Invalid argument\n")
    assert emptied.real_save() == before


@pytest.mark.parametrize(
    "input",
    [
        b"",
        b"*nat\n",
        b"*nat\n-N CHAIN\n",
        b"-N CHAIN\nCOMMIT\n",
        batch(":CHAIN - [0:0]"),
        batch("-N"),
    ],
    ids=["nothing", "no end", "no end after a line", "no table", "a declaration", "no chain"],
)
def test_what_is_no_batch_changes_nothing(emptied: Tables, input: bytes) -> None:
    done = emptied.run("restore", "4", input=input)

    assert done.status == 1
    assert done.stderr.count(b"\n") == 1
    assert emptied.real_save()[-1] == "COMMIT"
    assert not any("CHAIN" in line for line in emptied.real_save())


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("restore",),
        ("restore", "5"),
        ("save", "4"),
        ("save", "4", "-t"),
        ("restore", "4", "-w", "soon"),
        ("restore", "4", "-t", "nat"),
        ("list", "4"),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_are_answered_with_the_usage(
    emptied: Tables, words: tuple[str, ...]
) -> None:
    done = emptied.run(*words, input=batch("-N CHAIN"))

    assert done.status == 2
    assert done.stderr.startswith(b"usage: mesos-cni-libiptc restore")


def test_a_table_that_is_not_there_is_named(emptied: Tables) -> None:
    done = emptied.run("save", "4", "-t", "nosuch")

    assert (done.status, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"cannot open the nosuch table: Table does not exist")


def test_a_listing_that_stdout_does_not_take_fails(emptied: Tables) -> None:
    script = f"exec {PROGRAM} save 4 -t nat >/dev/full"

    done = emptied.host.run(["sh", "-c", script], check=False)

    assert (done.status, done.stderr) == (1, b"stdout does not take the listing\n")


@pytest.mark.parametrize("action", [("restore", "4"), ("save", "4", "-t", "nat")], ids=" ".join)
def test_the_lock_is_waited_for_as_long_as_is_said(tables: Tables, action: tuple[str, ...]) -> None:
    tables.restore()
    file = os.open(tables.host.path(LOCK), os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    waiting = tables.start(*action, "-w", "1", input=batch("-N CHAIN"))

    done = waiting.wait(5)

    os.close(file)
    assert (done.status, done.stdout) == (4, b"")
    assert done.stderr.startswith(b"/run/xtables.lock is locked by ")
    assert done.stderr.endswith(b"waited 1 s\n")
    assert tables.rules("CHAIN") == []
    assert tables.restore("-N CHAIN") == (0, "")


def test_the_lock_s_place_can_be_another(tables: Tables) -> None:
    environ = {"XTABLES_LOCKFILE": "/run/other.lock"}

    done = tables.host.run([str(PROGRAM), "save", "4", "-t", "nat"], env=environ)

    assert done.status == 0
    assert tables.host.path("/run/other.lock").exists()
    assert not tables.host.path(LOCK).exists()


def test_a_lock_that_cannot_be_had_at_all_says_why(tables: Tables) -> None:
    environ = {"XTABLES_LOCKFILE": "/nowhere/xtables.lock"}

    done = tables.host.run([str(PROGRAM), "restore", "4"], batch("-N CHAIN"), environ, check=False)

    assert done.status == 4
    assert done.stderr == b"cannot lock /nowhere/xtables.lock: No such file or directory\n"


def test_twenty_at_once_all_land(tables: Tables) -> None:
    tables.restore("-N CHAIN")
    running = [
        tables.start(
            "restore", "4", "-w", "20", input=batch(f"-A CHAIN -m mark --mark {number} -j RETURN")
        )
        for number in range(1, 21)
    ]

    assert [process.wait().status for process in running] == [0] * 20

    wanted = {f"-A CHAIN -m mark --mark {number:#x} -j RETURN" for number in range(1, 21)}
    assert set(tables.rules("CHAIN")) == wanted


def test_tables_are_made_by_asking_for_them_and_no_others(tables: Tables) -> None:
    def made() -> list[str]:
        names = [f"/proc/net/{name}_tables_names" for name in ("ip", "ip6")]
        return [tables.host.run(["cat", name]).text for name in names]

    assert made() == ["", ""]

    tables.restore("-N CHAIN")
    tables.save(6, "raw")

    assert made() == ["nat\n", "raw\n"]


def test_counters_of_other_rules_go_on(emptied: Tables) -> None:
    emptied.host.run(["iptables", "-t", "nat", "-A", "OUTPUT", "-c", "17", "4711", "-j", "ACCEPT"])

    assert emptied.restore("-N CHAIN", "-I OUTPUT -j CHAIN") == (0, "")

    listed = emptied.host.run(["iptables-save", "-c", "-t", "nat"]).text
    assert "[17:4711] -A OUTPUT -j ACCEPT" in listed


def test_packets_take_a_rule_that_it_made(tables: Tables) -> None:
    server = tables.host.container("web")
    tables.host.run(["ip", "-batch", "-"], LINK.encode())
    server.run(["ip", "-batch", "-"], INSIDE.encode())
    tables.host.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    serve_tcp(server, 80)
    [plan] = plan_forwarding(
        wish("web", mapping(8080), addresses=("192.0.3.2/24",), devices=("web0",))
    )
    assert connect_tcp(tables.host.client, HOST_IPV4, 8080) == "refused"

    assert tables.restore(*plan_insertion(plan, ())) == (0, "")

    assert connect_tcp(tables.host.client, HOST_IPV4, 8080) == Saw("web", CLIENT_IPV4, 80)


def test_a_host_without_iptables_and_its_libraries_will_do(tables: Tables) -> None:
    wanted = "-A CHAIN -p tcp -m tcp --dport 80 -j RETURN"
    names = ("libip4tc.so.2", "libip6tc.so.2", "libxtables.so.12")
    for path in ("/usr/sbin/xtables-legacy-multi", *[f"{LIBRARIES}/{name}" for name in names]):
        tables.host.hide(path)
    tables.host.hide(f"{LIBRARIES}/xtables")
    tables.host.hide("/etc/protocols")

    assert tables.restore("-N CHAIN", wanted) == (0, "")
    assert tables.restore("-N CHAIN", wanted, family=6) == (0, "")

    assert wanted in tables.save()
    assert wanted in tables.save(6)


def test_a_rule_that_cannot_be_read_keeps_its_place_and_cannot_be_touched(
    tables: Tables, tmp_path: Path
) -> None:
    rules = [
        '-A CHAIN -m limit --limit 5/min -m comment --comment "not ours" -j RETURN',
        "-A CHAIN -j CHECKSUM --checksum-fill",
        "-A CHAIN -j RETURN",
    ]
    tables.real_restore("-N CHAIN", rules[0], rules[2])
    copy = tmp_path / "copy"
    shutil.copytree(PROGRAM.parent, copy, symlinks=True)
    (copy / ".mesos-cni-libiptc-lib/xtables/libxt_limit.so").unlink()
    blind = Tables(tables.host, f"{copy}/{PROGRAM.name}")
    shown = '-A CHAIN -m limit [unknown extension] -m comment --comment "not ours" -j RETURN'

    assert [line for line in blind.save() if "-A" in line] == [shown, rules[2]]
    before = tables.real_save()
    assert blind.restore(shown.replace("-A", "-D"))[0] == 1
    assert tables.real_save() == before
    assert blind.restore("-N OTHER", rules[2].replace("-A", "-D")) == (0, "")
    assert tables.rules("CHAIN") == [rules[0]]


def test_nothing_else_is_started(tables: Tables, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = ["strace", "-f", "-o", str(trace), "-e", "trace=execve,fork,vfork,clone,clone3"]

    done = tables.host.run([*program, str(PROGRAM), "restore", str(IPV4)], batch("-N CHAIN"))

    # The loader of frozen programs starts the program once more.
    calls = [line for line in trace.read_text().splitlines() if "(" in line]
    assert (done.status, len(calls)) == (0, 2), calls
