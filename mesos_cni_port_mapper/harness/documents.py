"""JSON that somebody hands in, refused where it could not be written down or passed on again."""

from __future__ import annotations

from collections.abc import Iterator

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.fields import Section, shown
from mesos_cni_port_mapper.harness.errors import UsageError


def decode_document(data: bytes) -> object:
    """Return what JSON in UTF-8 says, or raise ``ValueError``.

    NaN is not JSON, and hundreds of levels are not read again once they are written. Of half a
    surrogate pair no argument, variable or file can be made: ``UsageError`` names where it is.
    """
    document = codec.decode(data)
    for path, text in _texts(document, ""):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{path}: {shown(text)} has half of a surrogate pair in it") from None
    return document


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Return every string and key with where it is."""
    if isinstance(value, str):
        yield path or "the text", value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"a key of {path}" if path else "a key", key
            yield from _texts(item, Section({}, path).path_of(key))
