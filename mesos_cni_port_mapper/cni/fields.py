"""Reading a JSON object field by field, every complaint with the path of the field.

``null`` means absent, as it does to the Go plugins and to Mesos.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import INVALID_CONFIGURATION, CniError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Section:
    """A JSON object and the path that leads to it."""

    __slots__ = ("document", "path")

    def __init__(self, document: dict[str, Any], path: str = "") -> None:
        self.document = document
        self.path = path

    def path_of(self, key: str) -> str:
        """Return the path of a field as an operator would write it: ``delegate.ipam.subnet``."""
        if "." in key:
            return f'{self.path}["{key}"]'
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Tell whether a field is there and not null."""
        return self.document.get(key) is not None

    def string(self, key: str, default: str | None = None) -> str:
        """Return a string; without a ``default`` it must be there."""
        value: str = self._typed(key, str, default)
        return value

    def boolean(self, key: str) -> bool:
        """Return true or false; absent is false."""
        value: bool = self._typed(key, bool, False)
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """Return an array of strings, empty when there is none."""
        values = self.array(key)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                refuse(f"{self.path_of(key)}[{index}]", f"must be a string, not {shown(value)}")
        return tuple(values)

    def array(self, key: str) -> list[Any]:
        """Return an array, empty when there is none."""
        value: list[Any] = self._typed(key, list, [])
        return value

    def section(self, key: str) -> Section:
        """Return an object, which must be there."""
        return Section(self._typed(key, dict, None), self.path_of(key))

    def optional_section(self, key: str) -> Section:
        """Return an object, empty when there is none."""
        return Section(self._typed(key, dict, {}), self.path_of(key))

    def integer(self, key: str, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, which must be there."""
        value = self.document.get(key)
        if value is None:
            self._missing(key, int)
        # In Python true is an int too; in JSON it is not.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            expected = f"must be a whole number from {low} to {high}, not {shown(value)}"
            refuse(self.path_of(key), expected)
        return value

    def seconds(self, key: str, default: float) -> float:
        """Return a duration in seconds, at least a millisecond and at most a day."""
        value = self.document.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse(self.path_of(key), f"must be a number of seconds, not {shown(value)}")
        if not 0.001 <= value <= 86400:
            refuse(self.path_of(key), f"must be from 0.001 to 86400 seconds, not {shown(value)}")
        return float(value)

    def _typed(self, key: str, kind: type, default: Any) -> Any:
        value = self.document.get(key)
        if value is None:
            if default is None:
                self._missing(key, kind)
            return default
        if not isinstance(value, kind):
            refuse(self.path_of(key), f"must be {_KINDS[kind]}, not {shown(value)}")
        return value

    def _missing(self, key: str, kind: type) -> NoReturn:
        refuse(self.path_of(key), f"is missing; it must be {_KINDS[kind]}")


def refuse(path: str, complaint: str, code: int = INVALID_CONFIGURATION) -> NoReturn:
    """Raise the error for a field that cannot be as it is."""
    raise CniError(code, f"{path}: {complaint}")


def shown(value: object) -> str:
    """Return a value as an error message shows it: short, on one line, its kind unmistakable."""
    if isinstance(value, (dict, list)):
        return _KINDS[type(value)]
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
