import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.isolator.configurations import (
    Catalogue,
    is_read,
    is_remarkable,
    parse_configuration,
    read_directory,
)
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath

PLAIN = {"name": "net", "type": "bridge"}


def parsed(document: object) -> Any:
    return parse_configuration(json.dumps(document).encode())


@pytest.fixture
def plugins(tmp_path: Path) -> PluginPath:
    directory = tmp_path / "plugins"
    directory.mkdir()
    for name in ("bridge", "host-local", "port-mapper"):
        (directory / name).touch(mode=0o755)
    return PluginPath(str(directory))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "configurations"
    directory.mkdir()
    return directory


def read(directory: Path, plugins: PluginPath) -> tuple[list[str], list[tuple[str, str]]]:
    catalogue = read_directory(directory, plugins)
    problems = [(Path(each.path).name, each.reason) for each in catalogue.problems]
    return [network.name for network in catalogue.networks], problems


def test_a_plain_configuration_is_a_list_of_one() -> None:
    configuration = parsed({**PLAIN, "cniVersion": "1.0.0", "ipam": {}})

    assert (configuration.name, configuration.version) == ("net", "1.0.0")
    assert configuration.plugins == (configuration.document,)
    assert not configuration.is_list


def test_a_list_has_its_plugins_in_order() -> None:
    configuration = parsed({"name": "net", "plugins": [{"type": "a"}, {"type": "b"}]})

    assert configuration.is_list
    assert configuration.types == ("a", "b")


def test_the_plugins_behind_others_are_known_by_name() -> None:
    delegate = {"type": "bridge", "ipam": {"type": "host-local"}}
    nested = {
        "type": "outer",
        "delegates": [{"type": "ptp"}, {"type": "outer", "delegate": delegate}],
    }

    assert parsed({**PLAIN, "type": "port-mapper", "delegate": delegate}).types == (
        "port-mapper",
        "bridge",
        "host-local",
    )
    assert parsed({**nested, "name": "net"}).types == ("outer", "ptp", "bridge", "host-local")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "an array, not a JSON object"),
        ({"type": "bridge"}, "name: is missing"),
        ({"name": "net"}, "type: is missing"),
        ({"name": "net", "type": 1}, "type: must be a string"),
        ({"name": "net", "type": "a/b"}, "is no name of a plugin"),
        ({"name": "ns", "type": "bridge"}, "name: 'ns' is the name of a file"),
        ({"name": "../x", "type": "bridge"}, "name: '../x' begins with a dot"),
        ({**PLAIN, "cniVersion": 1}, "cniVersion: must be a string"),
        ({**PLAIN, "args": []}, "args: must be an object"),
        ({**PLAIN, "args": {"org.apache.mesos": {}}}, 'args["org.apache.mesos"]: is reserved'),
        ({**PLAIN, "args": {"org.apache.mesos": None}}, 'args["org.apache.mesos"]: is reserved'),
        ({**PLAIN, "ipam": "x"}, "ipam: must be an object"),
        ({**PLAIN, "ipam": {"type": 1}}, "ipam.type: must be a string"),
        ({"name": "net", "plugins": []}, "plugins: is empty"),
        ({"name": "net", "plugins": {}}, "plugins: must be an array"),
        ({"name": "net", "plugins": [1]}, "plugins[0]: must be an object"),
        ({"name": "net", "plugins": [{"type": "a"}, {}]}, "plugins[1].type: is missing"),
    ],
)
def test_a_broken_configuration_is_refused(document: object, complaint: str) -> None:
    with pytest.raises(CniError) as failure:
        parsed(document)

    assert complaint in str(failure.value)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "type", "plugins", "args", "ipam", "delegate", "delegates"]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_is_read_or_refused(data: bytes) -> None:
    try:
        assert parse_configuration(data).types
    except (CniError, ValueError) as error:
        assert str(error)


def test_only_a_checkpoint_may_hold_what_is_ours() -> None:
    data = json.dumps({**PLAIN, "args": {"org.apache.mesos": {}}}).encode()

    assert parse_configuration(data, checkpointed=True).name == "net"


@pytest.mark.parametrize("name", ["net", "net.conf", "10-net.json", "a.b.conflist", "mockConfig"])
def test_a_configurations_file_is_called(name: str) -> None:
    assert is_read(name)


@pytest.mark.parametrize(
    ("name", "remarkable"),
    [
        (".net.conf", False),
        (".net.conf.swp", False),
        ("net.conf~", False),
        ("#net.conf#", False),
        ("net.conf.bak", False),
        ("net.conf.dpkg-old", False),
        ("net~", False),
        ("net.yaml", True),
        ("README.md", True),
    ],
)
def test_another_file_is_not_read(name: str, remarkable: bool) -> None:
    assert not is_read(name)
    assert is_remarkable(name) == remarkable


def test_a_directory_is_read_in_order_and_the_first_of_a_name_wins(
    directory: Path, plugins: PluginPath
) -> None:
    (directory / "20-b.conf").write_text(json.dumps({"name": "b", "type": "bridge"}))
    (directory / "30-a.json").write_text(json.dumps({"name": "a", "type": "bridge"}))
    (directory / "10-a").write_text(json.dumps({"name": "a", "type": "host-local"}))
    (directory / "sub").mkdir()
    (directory / "link.conf").symlink_to(directory / "20-b.conf")

    names, problems = read(directory, plugins)

    assert names == ["a", "b"]
    assert problems == [
        ("30-a.json", f"the network 'a' is in {directory}/10-a already"),
        ("link.conf", f"the network 'b' is in {directory}/20-b.conf already"),
    ]


def test_what_cannot_be_read_is_reported_and_the_rest_is_used(
    directory: Path, plugins: PluginPath
) -> None:
    (directory / "a.conf").write_text(json.dumps(PLAIN))
    (directory / "b.conf").write_text("{")
    (directory / "c.conf").write_bytes(b'{"name": "\xff"}')
    (directory / "d.conf").symlink_to(directory / "absent")
    os.mkfifo(directory / "e.conf")
    (directory / "f.txt").touch()
    (directory / "g.conf~").write_text(json.dumps(PLAIN))

    names, problems = read(directory, plugins)

    assert names == ["net"]
    assert [name for name, _ in problems] == ["b.conf", "c.conf", "d.conf", "e.conf", "f.txt"]
    assert all(reason and "\n" not in reason for _, reason in problems)
    assert problems[3][1] == "it is not a regular file"


def test_missing_plugins_are_a_problem_and_no_obstacle(
    directory: Path, plugins: PluginPath
) -> None:
    delegate = {"type": "absent", "ipam": {"type": "gone"}}
    document = {"name": "net", "type": "port-mapper", "delegate": delegate}
    (directory / "net.conf").write_text(json.dumps(document))

    names, problems = read(directory, plugins)

    assert names == ["net"]
    assert [reason for _, reason in problems] == [
        "there is no plugin 'absent'",
        "there is no plugin 'gone'",
    ]
    (network,) = read_directory(directory, plugins).networks
    assert network.missing == ("absent", "gone")


def test_an_unknown_network_is_not_found() -> None:
    assert Catalogue().find("net") is None


def test_cni_path_is_the_operators_unless_something_is_built_in_only(tmp_path: Path) -> None:
    for name in ("given/bridge", "built/bridge", "built/host-local"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    given, built = f"/absent::{tmp_path}/given", tmp_path / "built"
    path = PluginPath(given, built)

    assert path.find("bridge") == f"{tmp_path}/given/bridge"
    assert path.find("host-local") == f"{built}/host-local"
    assert path.find("../given/bridge") == path.find("") == path.find("absent") == ""
    assert path.cni_path(["bridge"]) == path.cni_path(["bridge", "absent"]) == given
    assert path.cni_path(["bridge", "host-local"]) == f"{given}:{built}"
    assert PluginPath("", built).cni_path(["bridge"]) == str(built)
    assert PluginPath(given).cni_path(["host-local"]) == given
