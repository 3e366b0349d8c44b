"""What a process remembers, with a bound.

Belongs here: storing a value in such a cache. Does not belong here: files that outlive the process (`text_cache`).
"""

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def remember(cache: dict[_Key, _Value], key: _Key, value: _Value, *, most: int) -> _Value:
    """Store a value in a cache of at most `most` values and return it; a full cache is emptied first."""
    if len(cache) >= most:
        cache.clear()
    cache[key] = value
    return value
