"""Values: immutable, made by keyword, equal when their fields are."""

from collections.abc import Callable

import pytest

from mesos_cni_port_mapper.value import Value


class Point(Value):
    x: int
    y: int = 7


class Named(Point):
    name: str


class Higher(Point):
    y: int = 9


class Elsewhere(Value):
    x: int
    y: int = 7


def test_a_value_has_the_fields_it_was_made_with() -> None:
    point = Point(x=1, y=2)

    assert (point.x, point.y) == (1, 2)


def test_a_field_that_is_not_given_has_its_default() -> None:
    assert Point(x=1) == Point(x=1, y=7)


def test_a_default_can_be_given_a_falsy_value() -> None:
    assert Point(x=0, y=0).y == 0


def test_a_subclass_has_the_inherited_fields_first() -> None:
    assert repr(Named(name="a", x=1)) == "Named(x=1, y=7, name='a')"


def test_a_subclass_may_give_a_field_another_default() -> None:
    assert Higher(x=1).y == 9


def test_a_default_of_a_subclass_does_not_replace_what_is_given() -> None:
    assert Higher(x=1, y=2).y == 2


def test_a_default_of_a_subclass_is_not_one_of_its_base() -> None:
    assert Point(x=1).y == 7


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda point: setattr(point, "x", 2), id="a field"),
        pytest.param(lambda point: setattr(point, "z", 2), id="an unknown attribute"),
        pytest.param(lambda point: delattr(point, "x"), id="a deletion"),
    ],
)
def test_a_value_refuses_to_change(change: Callable[[Point], None]) -> None:
    point = Point(x=1)

    with pytest.raises(AttributeError, match="Point is immutable"):
        change(point)

    assert point == Point(x=1, y=7)


def test_a_value_has_no_dictionary_to_hide_things_in() -> None:
    assert not hasattr(Named(x=1, name="a"), "__dict__")


def test_values_of_equal_fields_are_equal_and_hash_alike() -> None:
    assert Point(x=1) == Point(x=1)
    assert len({Point(x=1), Point(x=1, y=7), Point(x=2)}) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Point(x=2), id="another field"),
        pytest.param(Elsewhere(x=1), id="another class of the same fields"),
        pytest.param(Higher(x=1, y=7), id="a subclass"),
        pytest.param((1, 7), id="a tuple"),
    ],
)
def test_a_value_is_not_equal_to(other: object) -> None:
    assert Point(x=1) != other


def test_a_change_makes_another_value() -> None:
    point = Point(x=1)

    assert point.but(y=3) == Point(x=1, y=3)
    assert point == Point(x=1, y=7)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"^Point needs x$"):
        Point(y=1)  # type: ignore[call-arg]


def test_unknown_fields_are_named() -> None:
    with pytest.raises(TypeError, match=r"^Point has no z, w$"):
        Point(x=1, z=2, w=3)  # type: ignore[call-arg]


def test_an_unknown_field_cannot_slip_in_with_a_change() -> None:
    with pytest.raises(TypeError, match=r"^Point has no z$"):
        Point(x=1).but(z=2)


def test_a_field_cannot_be_given_by_position() -> None:
    with pytest.raises(TypeError, match="positional"):
        Point(1)  # type: ignore[call-arg]
