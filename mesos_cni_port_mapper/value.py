"""Immutable values for modules that programs import whose start counts: plugins, inits.

``dataclass(frozen=True, slots=True, kw_only=True)`` is what this stands in for: importing
``dataclasses`` costs more than the rest of an ADD (docs/decisions/0002-values.md). A type checker
sees the same thing through ``dataclass_transform``: wrong, missing, positional and unknown
arguments and assignments are all errors.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=True)
class _ValueType(type):
    """Make a class's annotations its slots, and what they are assigned their defaults."""

    fields: tuple[str, ...]
    defaults: dict[str, Any]
    setters: tuple[tuple[str, Callable[[object, object], None]], ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ValueType:
        own = tuple(namespace.get("__annotations__", ()))
        # A slot and a class attribute of one name cannot both exist.
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = own
        cls = super().__new__(mcs, name, bases, namespace)
        inherited = [base for base in bases if isinstance(base, _ValueType)]
        # A field that a subclass gives another default is still one field.
        cls.fields = tuple(dict.fromkeys(sum((base.fields for base in inherited), ()) + own))
        cls.defaults = {}
        for base in inherited:
            cls.defaults.update(base.defaults)
        cls.defaults.update(defaults)
        # A slot's own way in, past the ``__setattr__`` below: half the time of ``object``'s.
        cls.setters = tuple([(field, getattr(cls, field).__set__) for field in cls.fields])
        return cls


class Value(metaclass=_ValueType):
    """A value: made by keyword, never changed, equal when its fields are."""

    def __init__(self, **given: Any) -> None:
        cls = type(self)
        if len(given) < len(cls.setters):
            given = {**cls.defaults, **given}
        try:
            for field, put in cls.setters:
                put(self, given[field])
        except KeyError:
            raise TypeError(_misfit(cls, given)) from None
        if len(given) > len(cls.setters):
            raise TypeError(_misfit(cls, given))

    def but(self, **changes: Any) -> Self:
        """Return this value with some fields changed."""
        cls = type(self)
        return cls(**{**{field: getattr(self, field) for field in cls.fields}, **changes})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def _state(self) -> tuple[object, ...]:
        return tuple([getattr(self, field) for field in type(self).fields])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash((type(self), self._state()))

    def __repr__(self) -> str:
        state = ", ".join([f"{field}={getattr(self, field)!r}" for field in type(self).fields])
        return f"{type(self).__name__}({state})"


def _misfit(cls: _ValueType, given: dict[str, Any]) -> str:
    """Return what is wrong with the arguments that a value was to be made from."""
    for field in cls.fields:
        if field not in given and field not in cls.defaults:
            return f"{cls.__name__} needs {field}"
    return f"{cls.__name__} has no {', '.join([name for name in given if name not in cls.fields])}"
