"""JSON without the json module: the same answers, and errors in words."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni import codec

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=12,
)


@pytest.fixture(params=["with the C scanner", "without the C scanner"])
def _either_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without the C scanner":
        monkeypatch.setattr(codec, "_json", None)


@given(DOCUMENTS)
def test_encoding_and_the_json_module_agree(document: object) -> None:
    assert codec.encode(document) == json.dumps(document, separators=(",", ":")).encode()


@given(DOCUMENTS, st.sampled_from([None, 1, 4]))
def test_decoding_and_the_json_module_agree(document: object, indent: int | None) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=False)

    assert codec.decode(text.encode("utf-8", "surrogatepass")) == json.loads(text)


@settings(max_examples=200)
@given(st.binary(max_size=20) | st.text('{}[]",:0123456789.eE+-truefalsn \\u', max_size=20))
def test_whatever_the_input_it_is_decoded_as_json_does_or_refused(raw: bytes | str) -> None:
    data = raw.encode() if isinstance(raw, str) else raw
    try:
        expected = json.loads(data.decode())
    except ValueError:
        expected = ValueError

    if expected is ValueError or not _finite(expected):
        with pytest.raises(ValueError, match=r"."):
            codec.decode(data)
    else:
        assert codec.decode(data) == expected


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, dict) or all(map(_finite, value.values()))


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "Expecting value: line 1 column 1", id="nothing"),
        pytest.param(b" \n\t\r", "Expecting value", id="blanks"),
        pytest.param(b"{", "Expecting property name", id="an object cut short"),
        pytest.param(b'{"a":1', "Expecting ',' delimiter", id="an object without its end"),
        pytest.param(b"[1,]", "Expecting value", id="a comma too many"),
        pytest.param(b'"abc', "Unterminated string", id="a string without its end"),
        pytest.param(b'"a\nb"', "Invalid control character", id="a line break in a string"),
        pytest.param(b'"\\x"', r"Invalid \\escape", id="an unknown escape"),
        pytest.param(b"{} {}", "Extra data: line 1 column 4", id="trailing data"),
        pytest.param(b"{}x", "Extra data", id="trailing letters"),
        pytest.param(b"NaN", "NaN is not JSON", id="NaN"),
        pytest.param(b"[Infinity]", "Infinity is not JSON", id="Infinity"),
        pytest.param(b"[-Infinity]", "-Infinity is not JSON", id="minus Infinity"),
        pytest.param(b"[1e999]", "1e999 is too large", id="a number no float can hold"),
        pytest.param(b"[-1e999]", "-1e999 is too large", id="its negative"),
        pytest.param(b"'a'", "Expecting value", id="single quotes"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="brackets without an end"),
        pytest.param(b"[" * 9999 + b"]" * 9999, "nested too deeply", id="deep nesting"),
        pytest.param(b'{"a":' * 100_000, "nested too deeply", id="deep nesting of objects"),
        pytest.param(b"\xef\xbb\xbf{}", "BOM", id="a byte order mark"),
        pytest.param(b'"\xff"', "utf-8", id="bytes that are no UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', "utf-8", id="a surrogate in UTF-8"),
        pytest.param("{}".encode("utf-16"), "utf-8", id="UTF-16"),
        pytest.param(b"9" * 5000, "limit", id="a number of 5000 digits"),
        pytest.param(b"01", "Extra data", id="a leading zero"),
        pytest.param(b"\x00", "Expecting value", id="a zero byte"),
    ],
)
def test_malformed_input_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        codec.decode(data)


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b' \r\n\t{"a": 1}\n ', {"a": 1}, id="blanks around it"),
        pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="of duplicate keys the last"),
        pytest.param(b'"\\ud83d\\ude00"', "\N{GRINNING FACE}", id="a pair of surrogates"),
        pytest.param(b'"\\ud800"', "\ud800", id="a lone surrogate"),
        pytest.param(b"18446744073709551616", 1 << 64, id="a large whole number"),
        pytest.param(b"[0.5,-1e2]", [0.5, -100.0], id="numbers with a fraction"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b"true", True, id="a bare word"),
    ],
)
def test_unusual_but_proper_input_is_decoded(data: bytes, value: object) -> None:
    assert codec.decode(data) == value


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize(
    ("value", "data"),
    [
        pytest.param({"b": 1, "a": [True, None]}, b'{"b":1,"a":[true,null]}', id="order is kept"),
        pytest.param("\ud800\xe9", b'"\\ud800\\u00e9"', id="ASCII even for a lone surrogate"),
        pytest.param({1: "a"}, b'{"1":"a"}', id="a number as a key"),
        pytest.param((1, 2), b"[1,2]", id="a tuple"),
    ],
)
def test_a_value_is_encoded_compactly(value: object, data: bytes) -> None:
    assert codec.encode(value) == data


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param({"a": object()}, TypeError, id="an object of no JSON type"),
        pytest.param(float("nan"), ValueError, id="NaN"),
        pytest.param([float("inf")], ValueError, id="Infinity"),
    ],
)
def test_what_is_not_json_is_not_encoded(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        codec.encode(value)


def test_a_failed_encoding_does_not_spoil_the_next() -> None:
    inner: list[object] = [object()]
    with pytest.raises(TypeError):
        codec.encode(inner)
    inner[0] = 1

    assert codec.encode(inner) == b"[1]"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param('codec.decode(b\' {"a": [1, 2.5, "x", null]} \')', id="decoding"),
        pytest.param('codec.encode({"a": [1, 2.5, "x", None]})', id="encoding"),
    ],
)
def test_proper_json_does_without_the_json_module(statement: str) -> None:
    program = (
        "import sys; from mesos_cni_port_mapper.cni import codec;"
        f"{statement}; sys.exit('json' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-Sc", program], check=False).returncode == 0
