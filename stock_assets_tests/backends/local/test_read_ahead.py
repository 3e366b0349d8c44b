"""The next item is computed while the caller uses the one before; order and errors stay the same."""

from collections.abc import Iterator
from threading import Event

import pytest

from stock_assets.backends.local.read_ahead import ahead

SECONDS = 30


def test_the_next_item_is_computed_while_the_caller_uses_the_one_before() -> None:
    computed = {number: Event() for number in range(3)}

    def numbers() -> Iterator[int]:
        for number in range(3):
            computed[number].set()
            yield number

    found = []
    for number in ahead(numbers()):
        found.append(number)
        assert number == 2 or computed[number + 1].wait(SECONDS)

    assert found == [0, 1, 2]


def test_an_error_reaches_the_caller_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    remaining = ahead(broken())
    assert next(remaining) == 1
    with pytest.raises(OSError, match="disk"):
        next(remaining)


def test_at_most_one_item_is_ready_that_the_caller_has_not_requested() -> None:
    computed = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            computed.append(number)
            yield number

    for number in ahead(numbers()):
        if number == 2:
            break

    assert computed == [0, 1, 2, 3]


def test_nothing_is_yielded_of_nothing() -> None:
    assert list(ahead([])) == []
