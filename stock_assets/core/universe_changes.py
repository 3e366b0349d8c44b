"""Change a universe file: add, remove and rename symbols.

Belongs here: writing the file, completely or not at all. Does not belong here: reading and validating it (`universe`),
the words of the commands (`cli.symbols`).
"""

import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

from stock_assets.core.calendar import previous_session
from stock_assets.core.errors import SettingsError
from stock_assets.core.text import did_you_mean, shorten_list
from stock_assets.core.universe import Universe, read_universe

Rows = list[list[str]]
_LAST_SESSION = 3
_SHOWN = 10


def add_symbol(symbol: str, name: str, first_session: date | None) -> Callable[[Rows], Rows]:
    """Return the change that adds a symbol at the end."""
    return lambda rows: [*rows, [symbol, name, str(first_session or ""), ""]]


def remove_symbol(symbol: str) -> Callable[[Rows], Rows]:
    """Return the change that removes every line of a symbol."""

    def change(rows: Rows) -> Rows:
        kept = [row for row in rows if row[0] != symbol]
        if kept == rows:
            raise _unknown(symbol, rows)
        return kept

    return change


def rename_symbol(old: str, new: str, first_session: date) -> Callable[[Rows], Rows]:
    """Return the change that ends the listing of a ticker, and adds the new ticker from a session on."""

    def change(rows: Rows) -> Rows:
        open_lines = [row for row in rows if row[0] == old and not row[_LAST_SESSION]]
        if not open_lines:
            raise _unknown(old, rows)
        ended = [*open_lines[-1][:_LAST_SESSION], str(previous_session(first_session))]
        kept = [ended if row is open_lines[-1] else row for row in rows]
        return add_symbol(new, open_lines[-1][1], first_session)(kept)

    return change


def change_universe(file: Path, change: Callable[[Rows], Rows], check: Callable[[Universe], None]) -> Universe:
    """Change a universe file and return the new universe; the file stays as it is if the result is invalid.

    Args:
        file: the universe file.
        change: returns the new rows, without the header; each row has the four columns.
        check: raises an error if the new universe cannot be used.

    Raises:
        SettingsError: the file, or the result, is invalid.
    """
    read_universe(file)
    header, *rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline=""))
    width = _LAST_SESSION + 1
    stripped = [[*map(str.strip, row), *[""] * width][:width] for row in rows if any(map(str.strip, row))]
    candidate = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with candidate.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header[:width], *change(stripped)])
            stream.flush()
            os.fsync(stream.fileno())
        universe = read_universe(candidate)
        check(universe)
        candidate.chmod(file.stat().st_mode)
        candidate.replace(file)
    except SettingsError as error:
        raise SettingsError(f"The universe was not changed. {str(error).replace(str(candidate), str(file))}") from error
    finally:
        with suppress(FileNotFoundError):
            candidate.unlink()
    return universe


def _unknown(symbol: str, rows: Rows) -> SettingsError:
    known = list(dict.fromkeys(row[0] for row in rows))
    meant = did_you_mean(symbol, known, otherwise=f"Symbols: {shorten_list(known, _SHOWN)}.")
    return SettingsError(f"It has no listed symbol {symbol}. {meant}")
