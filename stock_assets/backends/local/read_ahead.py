"""Compute the next item of an iterator in a thread while the caller uses the one before.

Belongs here: overlapping two halves of one loop, whose work runs outside Python's lock (reading files, hashing, DuckDB,
pyarrow). Does not belong here: the work itself.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield the items in order, and compute one item in advance. Errors reach the caller."""
    remaining = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, remaining, end)
        while (item := following.result()) is not end:
            following = reader.submit(next, remaining, end)
            yield item  # type: ignore[misc]  # not the mark of the end
