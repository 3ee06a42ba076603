"""What a container may be asked to be, and that it survives being written down."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import (
    Docker,
    Spec,
    Volume,
    check_container_id,
    check_path,
    check_variable,
    decode_spec,
    encode_spec,
)

FULL = Spec(
    container_id="web.in",
    program="/bin/sh",
    argv=("sh", "-c", "true"),
    environment={"A": "b"},
    networks=({"name": "net"},),
    hostname="h",
    rootfs="/r",
    volumes=(Volume(host_path="/a", container_path="/b", read_only=True),),
    user="web:44",
    working_directory="/w",
    tty=True,
    name="web",
    docker=Docker(image="i", network="user", socket="/s"),
)


@pytest.mark.parametrize("spec", [FULL, Spec(container_id="web")], ids=["full", "empty"])
def test_a_specification_is_read_as_it_was_written(spec: Spec) -> None:
    assert decode_spec(json.loads(json.dumps(encode_spec(spec)))) == spec


@pytest.mark.parametrize("key", sorted(encode_spec(FULL)))
def test_a_field_of_the_wrong_kind_is_named(key: str) -> None:
    document = {**json.loads(json.dumps(encode_spec(FULL))), key: 17}
    if key == "tty":
        assert decode_spec(document).tty is False
        return
    with pytest.raises(CniError, match=f"^{key}: "):
        decode_spec(document)


@pytest.mark.parametrize("text", ["a", "web-1", "A_b", "0", "a.b.c", "a" * 242])
def test_an_id_may_be_what_the_plugins_take(text: str) -> None:
    assert check_container_id(text, "--name") == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.", ".a", "a..b", "a/b", "../a", "a b", "-a", "_a", "a\n", "ä", "$x"),
        "a" * 243,
        ".".join(["a" * 100] * 3),
    ],
)
def test_no_other_id_becomes_a_path(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--name: "):
        check_container_id(text, "--name")


@given(st.text(max_size=300))
def test_an_id_that_passes_is_one_component_of_a_path(text: str) -> None:
    try:
        check_container_id(text, "--name")
    except UsageError:
        return
    assert "/" not in text
    assert text not in ("", ".", "..")
    assert len(text.encode()) <= 255
    assert not text.startswith(".")


def test_the_parent_is_the_id_without_its_last_level() -> None:
    assert [Spec(container_id=text).parent for text in ("a", "a.b", "a.b.c")] == [None, "a", "a.b"]


@pytest.mark.parametrize("text", ["", "a", "./a", "/a/../b", "/..", "/a\0"])
def test_a_path_is_absolute_and_goes_down_only(text: str) -> None:
    with pytest.raises(UsageError):
        check_path(text, "--workdir")


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0")])
def test_a_variable_no_environment_can_hold_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        check_variable(name, value, "--env")
