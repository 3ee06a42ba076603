"""The one door for JSON on the hot path.

The C scanner and encoder behind the ``json`` module are used directly, because importing ``json``
brings ``re`` and ``enum`` with it and costs as much as three quarters of the interpreter's own
start (docs/decisions/0001-start-up.md). Whatever they refuse goes to ``json``, which refuses it
again, in words meant for people: a malformed string, for one, makes the bare scanner raise
``SystemError``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import _json
except ImportError:  # Another implementation of Python: slower, never different.
    _json = None  # type: ignore[assignment]

_DEEPEST = 400
"""Levels that are read: far fewer than the interpreter can write again."""

_BLANK = " \t\n\r"
_INFINITY = float("inf")


def decode(data: bytes) -> Any:
    """Return the value that ``data`` holds as UTF-8 JSON, or raise ``ValueError``.

    Like every CNI implementation we take no NaN and no Infinity. Of duplicate keys the last wins.
    """
    text = data.decode()
    try:
        value = _decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # No value is deeper than it has brackets, so that hardly any has to be looked through.
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(value):
        raise ValueError("nested too deeply")
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _decode(text: str) -> Any:
    if _json is not None:
        try:
            value, end = _scan(text, _skip_blank(text, 0))
            if _skip_blank(text, end) == len(text):
                return value
        except Exception:  # noqa: BLE001,S110 - the slow path below finds out what is wrong
            pass
    import json

    return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float)


def encode(value: object) -> bytes:
    """Return ``value`` as compact JSON in ASCII, keys in their own order."""
    if _json is not None:
        try:
            return "".join(_encode_chunks(value, 0)).encode("ascii")
        except Exception:  # noqa: BLE001,S110 - the slow path below finds out what is wrong
            pass
    import json

    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _skip_blank(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANK:
        position += 1
    return position


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_float(text: str) -> float:
    value = float(text)
    if value in (_INFINITY, -_INFINITY):
        raise ValueError(f"{text} is too large a number")
    return value


def _refuse_value(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is not JSON")


class _ScannerSettings:
    """What the C scanner reads its settings from; the names are those of ``json.JSONDecoder``."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = staticmethod(_parse_float)
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


if _json is not None:
    _scan = _json.make_scanner(_ScannerSettings())  # type: ignore[arg-type]
    _encode_chunks = _json.make_encoder(
        {}, _refuse_value, _json.encode_basestring_ascii, None, ":", ",", False, False, False
    )
