"""Fields of a configuration: what is taken, and complaints that lead to the field."""

from collections.abc import Callable
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

Read = Callable[[Section], object]


@pytest.mark.parametrize(
    ("document", "read", "value"),
    [
        pytest.param({"a": "x"}, lambda s: s.string("a"), "x", id="a string"),
        pytest.param({"a": ""}, lambda s: s.string("a", "y"), "", id="an empty string"),
        pytest.param({}, lambda s: s.string("a", "y"), "y", id="the default of a string"),
        pytest.param({"a": None}, lambda s: s.string("a", "y"), "y", id="null for a string"),
        pytest.param({"a": ["x", "y"]}, lambda s: s.strings("a"), ("x", "y"), id="strings"),
        pytest.param({"a": None}, lambda s: s.strings("a"), (), id="no strings"),
        pytest.param({"a": [1, {}]}, lambda s: s.array("a"), [1, {}], id="an array"),
        pytest.param({}, lambda s: s.array("a"), [], id="no array"),
        pytest.param({"a": 1}, lambda s: s.integer("a", 1, 9), 1, id="the lowest number"),
        pytest.param({"a": 9}, lambda s: s.integer("a", 1, 9), 9, id="the highest number"),
        pytest.param({"a": 2}, lambda s: s.seconds("a", 5.0), 2.0, id="whole seconds"),
        pytest.param({"a": 0.001}, lambda s: s.seconds("a", 5.0), 0.001, id="a millisecond"),
        pytest.param({"a": 86400}, lambda s: s.seconds("a", 5.0), 86400.0, id="a day"),
        pytest.param({"a": None}, lambda s: s.seconds("a", 5.0), 5.0, id="the default of seconds"),
        pytest.param({"a": {"b": 1}}, lambda s: s.section("a").document, {"b": 1}, id="an object"),
        pytest.param({}, lambda s: s.optional_section("a").document, {}, id="no object"),
        pytest.param({"a": True}, lambda s: s.boolean("a"), True, id="true"),
        pytest.param({"a": None}, lambda s: s.boolean("a"), False, id="neither true nor false"),
    ],
)
def test_a_field_is_read(document: dict[str, Any], read: Read, value: object) -> None:
    assert read(Section(document)) == value


@pytest.mark.parametrize(
    ("document", "read", "complaint"),
    [
        pytest.param(
            {}, lambda s: s.string("a"), "a: is missing; it must be a string", id="no string"
        ),
        pytest.param(
            {"a": None}, lambda s: s.string("a"), "a: is missing; it must be a string", id="null"
        ),
        pytest.param(
            {"a": 1},
            lambda s: s.string("a", "y"),
            "a: must be a string, not 1",
            id="a number for a string",
        ),
        pytest.param(
            {"a": "x"},
            lambda s: s.strings("a"),
            "a: must be an array, not 'x'",
            id="a string for strings",
        ),
        pytest.param(
            {"a": ["x", 1]},
            lambda s: s.strings("a"),
            "a[1]: must be a string, not 1",
            id="a number among strings",
        ),
        pytest.param(
            {"a": {}},
            lambda s: s.array("a"),
            "a: must be an array, not an object",
            id="an object for an array",
        ),
        pytest.param(
            {"a": []},
            lambda s: s.optional_section("a"),
            "a: must be an object, not an array",
            id="an array for an object",
        ),
        pytest.param(
            {}, lambda s: s.section("a"), "a: is missing; it must be an object", id="no object"
        ),
        pytest.param(
            {},
            lambda s: s.integer("a", 1, 9),
            "a: is missing; it must be a whole number",
            id="no number",
        ),
        *[
            pytest.param(
                {"a": value},
                lambda s: s.boolean("a"),
                f"a: must be true or false, not {text}",
                id=f"{text} for true or false",
            )
            for value, text in [(0, "0"), (1, "1"), ("true", "'true'"), ([], "an array")]
        ],
        *[
            pytest.param(
                {"a": value},
                lambda s: s.integer("a", 1, 9),
                f"a: must be a whole number from 1 to 9, not {text}",
                id=f"{text} for a whole number",
            )
            for value, text in [
                (0, "0"),
                (10, "10"),
                (True, "true"),
                (2.0, "2.0"),
                ("2", "'2'"),
            ]
        ],
        *[
            pytest.param(
                {"a": value},
                lambda s: s.seconds("a", 5.0),
                f"a: must be {text}",
                id=f"{value!r} for seconds",
            )
            for value, text in [
                (True, "a number of seconds, not true"),
                ("5", "a number of seconds, not '5'"),
                (0, "from 0.001 to 86400 seconds, not 0"),
                (-1, "from 0.001 to 86400 seconds, not -1"),
                (86401, "from 0.001 to 86400 seconds, not 86401"),
            ]
        ],
    ],
)
def test_a_field_is_refused(document: dict[str, Any], read: Read, complaint: str) -> None:
    with pytest.raises(CniError) as refusal:
        read(Section(document))

    assert (refusal.value.code, str(refusal.value)) == (7, complaint)


def test_the_path_of_a_nested_field_is_written_out() -> None:
    section = Section({"delegate": {"ipam": {}}}).section("delegate").section("ipam")

    assert section.path_of("subnet") == "delegate.ipam.subnet"


def test_a_key_with_dots_in_it_is_quoted_in_its_path() -> None:
    section = Section({}).optional_section("args").optional_section("org.apache.mesos")

    assert section.path_of("network_info") == 'args["org.apache.mesos"].network_info'


def test_a_refusal_may_carry_another_code() -> None:
    with pytest.raises(CniError) as refusal:
        refuse("a", "is odd", 2)

    assert (refusal.value.code, refusal.value.msg, refusal.value.details) == (2, "a: is odd", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("80", "'80'", id="a string in quotes"),
        pytest.param("a\nb\u2028\ud800", r"'a\nb\u2028\ud800'", id="a string on one line"),
        pytest.param(80, "80", id="a number without"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(None, "null", id="null"),
        pytest.param([1], "an array", id="an array"),
        pytest.param({"a": 1}, "an object", id="an object"),
        pytest.param("a" * 78, f"'{'a' * 78}'", id="80 characters whole"),
        pytest.param("a" * 79, f"'{'a' * 59}... (81 characters)", id="81 characters cut"),
        pytest.param(10**4000, f"1{'0' * 59}... (4001 characters)", id="a number of 4001 digits"),
    ],
)
def test_a_value_is_shown_shortly(value: object, text: str) -> None:
    assert shown(value) == text
