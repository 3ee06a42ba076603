"""Who attaches a container: one delegate, a list of them, or nobody."""

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.portmap.configuration import parse_configuration

NETCONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "mesos-cni-port-mapper",
    "chain": "MESOS-NET",
    "delegate": {"type": "bridge", "bridge": "cni0"},
}


def refusal_of(**changes: object) -> tuple[int, str]:
    with pytest.raises(CniError) as refusal:
        parse_configuration({**NETCONF, **changes})
    return refusal.value.code, str(refusal.value)


@pytest.mark.parametrize(
    ("delegate", "complaint"),
    [
        pytest.param("bridge", "delegate: must be an object, not 'bridge'", id="a string"),
        pytest.param([], "delegate: must be an object, not an array", id="an array"),
        pytest.param({}, "delegate.type: is missing; it must be a string", id="no type"),
        pytest.param({"type": 5}, "delegate.type: must be a string, not 5", id="type 5"),
        pytest.param({"type": ""}, "delegate.type: '' is no plugin's name", id="no name"),
        pytest.param(
            {"type": "../bridge"}, "delegate.type: '../bridge' is no plugin's name", id="a path"
        ),
        pytest.param(
            {"type": "a\nb"}, r"delegate.type: 'a\nb' is no plugin's name", id="two lines"
        ),
        pytest.param(
            {"type": "mesos-cni-port-mapper"},
            "delegate.type: 'mesos-cni-port-mapper' would delegate to itself",
            id="ourselves",
        ),
        pytest.param(
            {"type": "bridge", "cniVersion": 1},
            "delegate.cniVersion: must be a string, not 1",
            id="version 1",
        ),
    ],
)
def test_a_delegate_is_refused(delegate: object, complaint: str) -> None:
    assert refusal_of(delegate=delegate) == (7, complaint)


@pytest.mark.parametrize("version", ["0.0.1", "2.0.0"])
def test_a_delegate_s_unknown_version_is_refused(version: str) -> None:
    assert refusal_of(delegate={"type": "bridge", "cniVersion": version}) == (
        1,
        f"delegate.cniVersion: '{version}' is not supported",
    )


def test_without_a_delegate_there_is_nobody_to_ask() -> None:
    assert parse_configuration({**NETCONF, "delegate": None}).delegates == ()


def test_delegates_are_asked_in_their_order() -> None:
    netconf = {**NETCONF, "delegate": None, "delegates": [{"type": "bridge"}, {"type": "tuning"}]}

    assert parse_configuration(netconf).delegates == ({"type": "bridge"}, {"type": "tuning"})


@pytest.mark.parametrize(
    ("delegates", "complaint"),
    [
        pytest.param("bridge", "delegates: must be an array, not 'bridge'", id="a string"),
        pytest.param(
            [],
            "delegates: is empty; name the plugins that attach the container",
            id="nobody",
        ),
        pytest.param([{"type": "a"}, "b"], "delegates[1]: must be an object, not 'b'", id="a name"),
        pytest.param(
            [{"type": "a"}, {}],
            "delegates[1].type: is missing; it must be a string",
            id="no type",
        ),
        pytest.param(
            [{"type": "a"}, {"type": "a/b"}],
            "delegates[1].type: 'a/b' is no plugin's name",
            id="a path",
        ),
        pytest.param(
            [{"type": "mesos-cni-port-mapper"}],
            "delegates[0].type: 'mesos-cni-port-mapper' would delegate to itself",
            id="ourselves",
        ),
    ],
)
def test_delegates_are_refused(delegates: object, complaint: str) -> None:
    assert refusal_of(delegate=None, delegates=delegates) == (7, complaint)


def test_a_delegate_among_others_is_refused_for_its_version() -> None:
    assert refusal_of(delegate=None, delegates=[{"type": "a", "cniVersion": "9"}]) == (
        1,
        "delegates[0].cniVersion: '9' is not supported",
    )


def test_one_delegate_and_a_list_of_them_exclude_each_other() -> None:
    assert refusal_of(delegates=[{"type": "a"}]) == (
        7,
        "delegates: cannot be given together with delegate",
    )
