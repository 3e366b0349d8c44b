"""Read the rows of JSON text: lines, concatenated objects, arrays, on one line each or pretty-printed.

Belongs here: finding the objects in the text. Does not belong here: the values of their columns (`values`).
"""

import io
import json
import re
from collections.abc import Iterator, Mapping

from stock_assets.core.errors import PriceFileUnreadable
from stock_assets.ingest.price_files.columns import default_values, find_columns, normalized
from stock_assets.ingest.price_files.csv_rows import Line

_CHUNK = 1024 * 1024
_SEPARATORS = re.compile(r"[\s,\ufeff]*")
_NEXT_OBJECT = re.compile(r"[\r\n]\s*(?=\{)")
_SHOWN = 40


def json_lines(text: io.TextIOWrapper, defaults: Mapping[str, str]) -> Iterator[Line]:
    """Read the fields of each object; a column that an object does not have is a default or None.

    Raises:
        PriceFileUnreadable: a column is ambiguous, or missing in every object; an array is damaged.
    """
    positions: dict[tuple[str, ...], list[int | None]] = {}
    names_seen: dict[str, None] = {}
    fallback = default_values(defaults)
    for number, pairs in _objects(text):
        if isinstance(pairs, str):
            yield number, pairs
            continue
        names = tuple(name for name, _ in pairs)
        if names not in positions:
            positions[names] = list(find_columns(names, defaults, complete=False).values())
            names_seen |= dict.fromkeys(map(normalized, names))
        values = [None if value is None else str(value) for _, value in pairs]
        if any(values):
            yield (
                number,
                [
                    default if position is None else values[position]
                    for position, default in zip(positions[names], fallback, strict=True)
                ],
            )
    # Objects may have different columns. The file as a whole must have all of them, and only one date.
    find_columns(list(names_seen), defaults)


def _objects(text: io.TextIOWrapper) -> Iterator[tuple[int, list[tuple[str, object]] | str]]:
    """Read the objects with the numbers of their lines; instead of an object that cannot be read, the reason."""
    source, is_array = _JsonText(text), False
    while mark := source.next_character():
        number = source.line
        if mark in "[]" and is_array == (mark == "]"):
            is_array = mark == "["
            source.skip_character()
            continue
        try:
            record = source.decode()
        except ValueError as error:
            if not source.skip_to_next_object() and is_array:
                raise PriceFileUnreadable(
                    f"line {number}: the JSON array is damaged or truncated ({error}); write the file again"
                ) from error
            yield number, str(error)
        else:
            yield number, record if mark == "{" else f"not a JSON object: {str(record)[:_SHOWN]}"
    if is_array:
        raise PriceFileUnreadable("the JSON array is not closed: the file is truncated; write the file again")


class _JsonText:
    """JSON text that is read in pieces, so that large files need little memory."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._piece = ""
        self._position = 0
        self.line = 1
        # Numbers stay text, as they are written; pairs, because an object may name a column twice.
        self._decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=list)

    def next_character(self) -> str:
        """Skip white space and commas; Firehose writes no separator unless it is configured to."""
        while True:
            found = _SEPARATORS.match(self._piece, self._position)
            self._advance(found.end() if found else self._position)
            if self._position < len(self._piece) or not self._read_more():
                return self._piece[self._position : self._position + 1]

    def skip_character(self) -> None:
        self._position += 1

    def decode(self) -> list[tuple[str, object]]:
        """Read the next value; raise ValueError if it is not JSON."""
        while True:
            try:
                record, end = self._decoder.raw_decode(self._piece, self._position)
            except (ValueError, RecursionError) as error:
                # The value may continue in the next piece, but no row is longer than one.
                if len(self._piece) - self._position > _CHUNK or not self._read_more():
                    raise ValueError(str(error)) from error
            else:
                self._advance(end)
                return record  # type: ignore[no-any-return]  # an object is a list of pairs because of the hook

    def skip_to_next_object(self) -> bool:
        """Skip to the next line that begins with an object, or to the end; return whether there is such a line."""
        while True:
            found = _NEXT_OBJECT.search(self._piece, self._position + 1)
            self._advance(found.end() if found else len(self._piece))
            if found or not self._read_more():
                return found is not None

    def _advance(self, end: int) -> None:
        self.line += self._piece.count("\n", self._position, end)
        self._position = end

    def _read_more(self) -> bool:
        more = self._text.read(_CHUNK)
        self._piece, self._position = self._piece[self._position :] + more, 0
        return bool(more)
