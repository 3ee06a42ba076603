"""Input that is wrong: the path of the field and the right code, before anything is done."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netns.injection import Scene, assert_failed, snapshot
from tests.netns.networks import tcp, udp
from tests.support.delegates import VERSIONS
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import Answer, Plugin

MISSING = object()
NETWORK_INFO = ("args", "org.apache.mesos", "network_info")
MAPPINGS = (*NETWORK_INFO, "port_mappings")
MAPPINGS_PATH = 'args["org.apache.mesos"].network_info.port_mappings'

Keys = tuple[str | int, ...]
Values = tuple[Any, ...]


@pytest.fixture(scope="module")
def module_scene(frozen: Path) -> Iterator[Scene]:
    with Host() as host:
        yield Scene(host, Plugin(host, str(frozen)))


@pytest.fixture
def scene(module_scene: Scene) -> Iterator[Scene]:
    before = (module_scene.commands, snapshot(module_scene.host))
    yield module_scene
    # Whatever the complaint was: it came first.
    assert (module_scene.commands, snapshot(module_scene.host)) == before


def good(scene: Scene) -> dict[str, Any]:
    netconf = scene.network.but(
        stateDir="/run/mesos-cni-port-mapper", timeouts={}, cniVersion="1.0.0"
    )
    document: dict[str, Any] = json.loads(
        netconf.task(scene.container, tcp(8080), udp(53)).request()
    )
    return document


def changed(document: dict[str, Any], path: Keys, value: Any) -> dict[str, Any]:
    *parents, key = path
    node: Any = document
    for parent in parents:
        node = node[parent]
    if value is MISSING:
        del node[key]
    else:
        node[key] = copy.deepcopy(value)
    return document


def send(scene: Scene, netconf: Any, command: str = "ADD", **env: str | None) -> Answer:
    data = netconf if isinstance(netconf, bytes) else json.dumps(netconf).encode()
    return scene.network.plugin.run(command, scene.container, data, "eth0", None, **env)


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON"),
        (b"  \n", "is not JSON"),
        (b'{"name": "x"', "is not JSON"),
        (b'{"name": "x"} x', "is not JSON"),
        (b"{'name': 'x'}", "is not JSON"),
        (b'{"name": NaN}', "is not JSON"),
        (b'{"name": "\x01"}', "is not JSON"),
        (b'{"name": "\xff"}', "is not JSON"),
        (b'\xef\xbb\xbf{"name": "x"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "an array"),
        (b'"name"', "name"),
        (b"null", "null"),
        (b"1e3", "1000"),
        (b"true", "true"),
    ],
    ids=[
        *("empty", "blank", "half", "more", "quotes", "nan", "control", "latin-1", "bom", "deep"),
        *("array", "string", "null", "number", "boolean"),
    ],
)
def test_what_is_no_json_object_is_undecodable(
    scene: Scene, command: str, data: bytes, words: str
) -> None:
    answer = send(scene, data, command)

    assert_failed(answer, 6, words)
    assert answer.document["msg"].startswith("the network configuration ")


def wrong(path: Keys, words: str, *values: Any, code: int = 7) -> Iterator[Any]:
    """Yield a case for each value of a field; its message must begin with the field's path."""
    for value in values:
        shown = "missing" if value is MISSING else json.dumps(value)
        yield pytest.param(path, value, code, words, id=f"{_spelt(path)}={shown[:40]}")


def _spelt(path: Keys) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


NO_STRINGS: Values = (1, 1.5, True, [], {}, ["x"])
NO_OBJECTS: Values = (1, True, "x", [], [{}])
NO_PORTS: Values = (
    0,
    65536,
    -1,
    80.5,
    80.0,
    "80",
    True,
    False,
    1e3,
    99999999999999999999,
    [80],
    {},
    "http",
)
NO_DURATIONS: Values = ("5", 0, -1, True, [], {}, 86401, 0.0001, 1e300)
ODD_NAMES = ("", " ", "a b", "a/b", "../x", ".x", "-x", 'a"b', "a'b", "a\nb", "a\0b", "ä")
ODD_CHAINS = (
    *("", " ", "A B", 'A"B', "A'B", "A\nB", "A;B", "A/B", "A\0B", "Ä", "-x", "!x", "-A", "--"),
    *("A" * 29, "A" * 300),
)
ODD_DEVICES: Values = (
    *(
        "",
        "+",
        " ",
        "a b",
        "a/b",
        "a:b",
        "-x",
        "!x",
        ".",
        "..",
        "sixteen-letters-",
        "a\nb",
        'a"b',
        "ä",
    ),
    *(1, None, [], {}, True),
)

WRONG_FIELDS = [
    *wrong(("name",), "is missing", MISSING, None),
    *wrong(("name",), "must be a string", *NO_STRINGS),
    *wrong(("name",), "must begin with a letter", *ODD_NAMES),
    *wrong(("type",), "is missing", MISSING, None),
    *wrong(("type",), "must be a string", *NO_STRINGS),
    *wrong(("cniVersion",), "must be a string", *NO_STRINGS),
    *wrong(("cniVersion",), "is not supported", "1", "0.2", "2.0.0", "1.0.0 ", code=1),
    *wrong(("chain",), "is missing", MISSING, None),
    *wrong(("chain",), "must be a string", *NO_STRINGS),
    *wrong(("chain",), "", *ODD_CHAINS),
    *wrong(("chain",), "built-in chain", "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    *wrong(("chain",), "target", "ACCEPT", "DROP", "RETURN", "DNAT", "MASQUERADE", "LOG"),
    *wrong(("delegate",), "is missing", MISSING, None),
    *wrong(("delegate",), "must be an object", *NO_OBJECTS),
    *wrong(("delegate", "type"), "is missing", MISSING, None),
    *wrong(("delegate", "type"), "must be a string", *NO_STRINGS),
    *wrong(("delegate", "type"), "no plugin's name", "", ".", "..", "a/b", "/bin/sh", "a\nb"),
    *wrong(("delegate", "type"), "delegate to itself", "mesos-cni-port-mapper"),
    *wrong(("delegate", "cniVersion"), "must be a string", *NO_STRINGS),
    *wrong(("delegate", "cniVersion"), "is not supported", "9.9.9", code=1),
    *wrong(("excludeDevices",), "must be an array", 1, True, "eth0", {}),
    *[case for index in (0, 1) for case in wrong(("excludeDevices", index), "", *ODD_DEVICES)],
    *wrong(("stateDir",), "must be a string", *NO_STRINGS),
    *wrong(("stateDir",), "must be an absolute path", "", "run", "./run", "/run/a\0b"),
    *wrong(("timeouts",), "must be an object", *NO_OBJECTS),
    *wrong(("timeouts", "delegate"), "second", *NO_DURATIONS),
    *wrong(("timeouts", "lock"), "second", *NO_DURATIONS),
    *wrong(("timeouts", "tools"), "second", *NO_DURATIONS),
    *wrong(("args",), "must be an object", *NO_OBJECTS),
    *wrong(NETWORK_INFO[:2], "must be an object", *NO_OBJECTS),
    *wrong(NETWORK_INFO, "must be an object", *NO_OBJECTS),
    *wrong(MAPPINGS, "must be an array", 1, True, "8080:80", {}),
    *wrong((*MAPPINGS, 0), "must be an object", 1, None, "8080:80", [], [8080, 80]),
    *wrong((*MAPPINGS, 1, "host_port"), "is missing", MISSING, None),
    *wrong((*MAPPINGS, 1, "host_port"), "from 1 to 65535", *NO_PORTS),
    *wrong((*MAPPINGS, 0, "container_port"), "is missing", MISSING, None),
    *wrong((*MAPPINGS, 0, "container_port"), "from 1 to 65535", *NO_PORTS),
    *wrong((*MAPPINGS, 0, "protocol"), "must be a string", *NO_STRINGS),
    *wrong((*MAPPINGS, 0, "protocol"), "tcp, udp, sctp", "", "icmp", "dccp", "tcp ", "6", code=2),
]


@pytest.mark.parametrize(("path", "value", "code", "words"), WRONG_FIELDS)
def test_a_wrong_field_is_named(
    scene: Scene, path: Keys, value: Any, code: int, words: str
) -> None:
    netconf = good(scene)
    netconf["excludeDevices"] = ["eth0", "veth+"]

    answer = send(scene, changed(netconf, path, value))

    assert_failed(answer, code, words)
    assert answer.document["msg"].startswith(f"{_spelt(path)}: ")
    assert answer.document["msg"].isprintable()


@pytest.mark.parametrize(
    ("mappings", "index", "first"),
    [
        ([tcp(80), udp(80), tcp(81), tcp(80, 81)], 3, 0),
        ([tcp(80), {"host_port": 80, "container_port": 1}], 1, 0),
        ([tcp(79), tcp(80), tcp(80, 81) | {"protocol": "TCP"}], 2, 1),
    ],
    ids=["other-container-port", "default-protocol", "letter-case"],
)
def test_a_port_asked_for_twice_is_named_with_its_first(
    scene: Scene, mappings: Any, index: int, first: int
) -> None:
    answer = send(scene, changed(good(scene), MAPPINGS, mappings))

    assert_failed(answer, 7, f"port 80 is mapped by {MAPPINGS_PATH}[{first}]")
    assert answer.document["msg"].startswith(f"{MAPPINGS_PATH}[{index}]: ")


VARIABLES = {
    "ADD": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH"],
    "CHECK": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
}


@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
@pytest.mark.parametrize(
    ("command", "names"),
    [
        *[(command, [name]) for command, names in VARIABLES.items() for name in names],
        *VARIABLES.items(),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_variables_that_are_missing_are_all_named(
    scene: Scene, command: str, names: list[str], value: str | None
) -> None:
    answer = send(scene, good(scene), command, **dict.fromkeys(names, value))

    assert_failed(answer, 4)
    assert answer.document["msg"] == "; ".join(f"{name} is missing" for name in names)


@pytest.mark.parametrize("command", list(VARIABLES))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("CNI_CONTAINERID", value) for value in ODD_NAMES if value and "\0" not in value],
        *[
            ("CNI_IFNAME", value)
            for value in ("a b", "a/b", "a:b", ".", "..", "sixteen-letters-", "a\nb", "a\x7fb")
        ],
    ],
)
def test_a_malformed_variable_is_named(scene: Scene, command: str, name: str, value: str) -> None:
    answer = send(scene, good(scene), command, **{name: value})

    assert_failed(answer, 4, name)
    assert answer.document["msg"].isprintable()


def test_everything_wrong_with_the_variables_is_said_at_once(scene: Scene) -> None:
    answer = send(scene, b"", CNI_CONTAINERID="a/b", CNI_IFNAME="a/b", CNI_NETNS=None, CNI_PATH="")

    assert_failed(answer, 4)
    said = answer.document["msg"].split("; ")
    assert [complaint.split()[0] for complaint in said] == [
        *("CNI_NETNS", "CNI_PATH", "CNI_CONTAINERID", "CNI_IFNAME")
    ]


@pytest.mark.parametrize(
    ("command", "code"), [(None, 4), ("", 4), ("add", 104), ("ADD ", 104), ("FROB", 104)]
)
def test_a_command_must_be_known(scene: Scene, command: str | None, code: int) -> None:
    assert_failed(send(scene, good(scene), CNI_COMMAND=command), code, "CNI_COMMAND")


@pytest.mark.parametrize("named", VERSIONS)
def test_an_error_comes_in_the_version_that_was_asked_for(scene: Scene, named: str) -> None:
    answer = send(scene, good(scene) | {"cniVersion": named, "chain": 1})

    assert_failed(answer, 7, "chain")
    assert answer.document["cniVersion"] == named


@pytest.mark.parametrize("named", VERSIONS[:4])
def test_check_needs_a_version_that_has_it(scene: Scene, named: str) -> None:
    assert_failed(send(scene, good(scene) | {"cniVersion": named}, "CHECK"), 1, "0.4.0 or later")


@pytest.mark.parametrize(
    "netconf", [b"", b"[]", b'{"name": "x"}', {"chain": "ACCEPT"}, {"delegate": {}}, {"args": []}]
)
def test_no_program_is_started_for_bad_input(scene: Scene, netconf: Any) -> None:
    need("strace")
    data = netconf if isinstance(netconf, bytes) else good(scene) | netconf
    plugin = scene.network.plugin.wrapped("strace", "-f", "-o", "/run/trace", "-e", "trace=process")
    body = data if isinstance(data, bytes) else json.dumps(data).encode()

    answer = plugin.run("ADD", scene.container, body)

    trace = scene.host.path("/run/trace").read_text()
    assert answer.status == 1
    # The bootloader executes itself once more, to set up its environment.
    assert trace.count("execve(") == 2
    assert [word for word in ("fork(", "clone(", "clone3(") if word in trace] == []


def test_a_mapping_that_went_wrong_does_not_keep_a_rule(host: Host, plugin: Plugin) -> None:
    scene = Scene(host, plugin)
    task = scene.task()
    task.attach()

    answer = send(scene, changed(good(scene), (*MAPPINGS, 0, "host_port"), "x"), "DEL")

    assert answer.status == 0
    assert snapshot(host) == scene.before
