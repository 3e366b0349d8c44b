"""Read the rows of a CSV file.

Belongs here: delimiter, header line, repeated headers, lines that are not rows. Does not belong here: the values of the
fields (`values`), which column is which (`columns`).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from stock_assets.core.errors import PriceFileUnreadable
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import first_line, plural
from stock_assets.ingest.price_files.columns import DAYS, default_values, find_columns, normalized
from stock_assets.ingest.price_files.values import trade_date

DEFAULT_COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")
_DELIMITERS = (",", ";", "\t", "|")
_BOM = "\ufeff"
_LONGEST_LINE = 1_000_000
_NUMBER_OR_DATE = re.compile(r"[-+.]?[0-9][-+.,:0-9TZ ]*")
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")

Line = tuple[int, Sequence[str | None] | str]
"""A line number, and either its values or the reason why the line is not a row."""


@dataclass(frozen=True)
class FileFormat:
    """The format of CSV files, where they do not define it themselves.

    Attributes:
        columns: names of the fields of a file without a header line.
        delimiter: character between fields; empty to detect it.
        named: whether the user or the catalog named the columns; then a header line with other names is skipped.
    """

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    delimiter: str = ""
    named: bool = False


@dataclass(frozen=True)
class _Layout:
    """How the lines of one file are read; `header` is None if the file has no header line."""

    delimiter: str
    names: Sequence[str]
    header: Sequence[str] | None

    def is_header(self, fields: Sequence[str]) -> bool:
        """Return whether a line is the header; Firehose concatenates deliveries, each with its own header."""
        if self.header is None or normalized(fields[0]) != self.header[0]:
            return False
        return [normalized(field) for field in fields] == self.header


def csv_lines(text: io.TextIOWrapper, file_format: FileFormat, defaults: Mapping[str, str]) -> Iterator[Line]:
    """Read the fields of each line; a field that the file does not have is a default.

    Raises:
        PriceFileUnreadable: the delimiter or a column is ambiguous or missing.
    """
    # Concatenated files have a byte order mark each.
    lines = (line.removeprefix(_BOM) for line in _lines(text))
    blank, start = next(((number, line) for number, line in enumerate(lines) if line.strip()), (0, ""))
    layout = _layout(start, file_format, defaults)
    columns = find_columns(layout.names, defaults)
    wanted = list(zip(columns.values(), default_values(defaults), strict=True))
    is_first = True
    for number, fields in _fields(chain([start], lines), layout.delimiter):
        line = blank + number
        if isinstance(fields, str):
            yield line, fields
        elif not any(map(str.strip, fields)) or layout.is_header(fields):
            continue
        elif len(fields) != len(layout.names):
            yield line, f"{plural(len(fields), 'field')} instead of {len(layout.names)}"
        else:
            values = [default if position is None else fields[position] for position, default in wanted]
            if is_first:
                _reject_decimal_commas(line, values)
                is_first = False
            yield line, values


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Read the lines; without a limit, a file without line ends would fill the memory."""
    number = 0
    while line := text.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE and line[-1] not in "\r\n":
            raise PriceFileUnreadable(
                f"line {number} is longer than {_LONGEST_LINE:,} characters: the file is damaged, or no text"
            )
        yield line


def _fields(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)


def _layout(start: str, file_format: FileFormat, defaults: Mapping[str, str]) -> _Layout:
    """Find the delimiter and the names of the columns from the first line that is not empty."""
    found = []
    for delimiter in file_format.delimiter or _DELIMITERS:
        first = _split(start, delimiter)
        header = [normalized(field) for field in first]
        if {"open", "close"} <= set(header):
            found.append(_Layout(delimiter, first, header))
        elif (names := _names_without_header(first, file_format, defaults)) is not None:
            is_header = file_format.named and not any(_NUMBER_OR_DATE.fullmatch(field.strip()) for field in first)
            found.append(_Layout(delimiter, names, header if is_header else None))
    if len(found) == 1:
        return found[0]
    cause = "more than one delimiter is possible" if found else _unknown_layout(file_format, defaults)
    raise PriceFileUnreadable(f"{cause}: {first_line(start)}")


def _unknown_layout(file_format: FileFormat, defaults: Mapping[str, str]) -> str:
    names = file_format.columns if file_format.named or "symbol" not in defaults else RAW_COLUMNS
    return (
        f"the first line is neither a header with open and close nor a row of {', '.join(names)}; add a header line "
        "(an import can name the columns with --columns)"
    )


def _names_without_header(
    first: Sequence[str], file_format: FileFormat, defaults: Mapping[str, str]
) -> Sequence[str] | None:
    """Return the columns that a first line without names can have; None if it does not look like a row."""
    if file_format.named:
        return file_format.columns if len(first) == len(file_format.columns) else None
    candidates = [file_format.columns, *([RAW_COLUMNS] if "symbol" in defaults else [])]
    for names in candidates:
        # A date in another place shows another order of columns.
        day = next((position for position, name in enumerate(names) if name in DAYS), None)
        if len(first) == len(names) and day is not None and trade_date(first[day].strip()) is not None:
            return names
    return None


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _reject_decimal_commas(number: int, values: Sequence[str | None]) -> None:
    prices = [(value or "").strip() for value in values[2:-1]]
    if all(map(_DECIMAL_COMMA.fullmatch, prices)):
        raise PriceFileUnreadable(
            f"line {number} has decimal commas ({', '.join(prices)}), which may also separate thousands; write a "
            "decimal point"
        )
