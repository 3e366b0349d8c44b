"""Convert one landing file to responses, one for each symbol.

Belongs here: which rows of a file become bars, and the keys of the responses. Does not belong here: formats
(`price_files`), which files are converted and when they are stored (`landing_files`).

The key of a response contains when the file was written, and a digest of its name and content. So a second attempt
after the process was killed stores the same objects. If the file's time is in the future, the time of the first attempt
counts; the ledger has kept it.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from stock_assets.backends.interface import ObjectEntry
from stock_assets.core.calendar import NEW_YORK, closing_time, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import PriceFileUnreadable, SourceError
from stock_assets.core.text import plural, shorten_lines, shorten_list
from stock_assets.ingest.file_responses import FileResponse, file_response, response_body
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_files.columns import FIELDS
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.price_files.paths import path_values
from stock_assets.ingest.price_files.reader import read_rows
from stock_assets.ingest.response_keys import FOLDER, clock_time, request_time
from stock_assets.ingest.response_reader import PriceReader

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Size of a landing file, also without its compression: it is read into memory. Five years of 3,000 symbols."""
_DIGEST = 16
_SHOWN = 10


@dataclass(frozen=True)
class LandingScope:
    """The sessions that landing files may contain.

    Attributes:
        first: first session that has a partition.
        last: last session that has a partition.
    """

    first: date
    last: date


@dataclass(frozen=True)
class LandingFile:
    """A landing file that could be read.

    Attributes:
        entry: the file.
        responses: the response of each symbol.
        sessions: its sessions that can be loaded, in order; empty if it only has sessions that have not closed.
        problems: rows and symbols that are not loaded, and why.
        unknown_symbols: its symbols that are not in the universe.
    """

    entry: ObjectEntry
    responses: tuple[FileResponse, ...]
    sessions: tuple[date, ...]
    problems: tuple[str, ...] = ()
    unknown_symbols: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Return what is loaded from the file and what is not, in one line."""
        return "; ".join([f"{plural(len(self.responses), 'symbol')} loaded", *self.warnings])

    @property
    def warnings(self) -> list[str]:
        """Return what is not loaded from the file, in lines for people."""
        names = shorten_list(self.unknown_symbols, _SHOWN)
        unknown = [f"not in the universe and not loaded: {names}"] if self.unknown_symbols else []
        return [*shorten_lines(self.problems, _SHOWN), *unknown]


@dataclass(frozen=True)
class _Rows:
    """The distinct rows of a file, as lines in the vendor's format with their dates, by symbol."""

    lines: Mapping[str, Mapping[str, date]]
    problems: tuple[str, ...]


def convert(
    parts: PipelineParts,
    scope: LandingScope,
    entry: ObjectEntry,
    *,
    reader: PriceReader,
    noted_at: Callable[[str], datetime | None],
    at: datetime,
) -> LandingFile:
    """Read a landing file.

    Args:
        parts: the pipeline.
        scope: sessions that may be loaded.
        entry: the file.
        reader: reads price responses.
        noted_at: returns when a file with noted responses counts as written, from the digest in their keys.
        at: now, aware, UTC.

    Raises:
        PriceFileUnreadable: no row of the file can be loaded; the message says why.
    """
    body = parts.backend.objects.get(entry.key)
    rows = _read(body, entry.key)
    known = [symbol for symbol in parts.universe.symbols if symbol in rows.lines]
    if not known:
        names = shorten_list(sorted(symbol or "(empty)" for symbol in rows.lines), _SHOWN)
        raise PriceFileUnreadable(
            f"no symbol is in the universe: {names}; add it to the universe file, or remove the file"
        )
    digest = content_hash(f"{entry.key}\n".encode() + body)[:_DIGEST]
    # Of a raw response that was copied from another data folder, the time of its request is known.
    written_at = noted_at(digest) or min(entry.modified_at, clock_time(entry.key) or request_time(entry.key) or at, at)
    responses, problems = [], list(rows.problems)
    for symbol in known:
        newest_first = sorted(rows.lines[symbol], key=rows.lines[symbol].__getitem__, reverse=True)
        text = response_body(newest_first)
        try:
            responses.append(
                file_response(
                    reader, symbol, text, written_at, digest=digest, origin=f"from the landing file {entry.key}"
                )
            )
        except SourceError as error:
            problems.append(f"{error}. The file counts as written at {written_at:%Y-%m-%d %H:%M} UTC")
    if not responses:
        raise PriceFileUnreadable("; ".join(shorten_lines(problems, _SHOWN)))
    days = {day for response in responses for day in rows.lines[response.fetch.symbol].values()}
    earlier = sum(day < scope.first for day in days)
    if earlier:
        problems.append(
            f"{plural(earlier, 'day')} before {scope.first}, the first session (STOCK_ASSETS_FIRST_SESSION)"
        )
    return LandingFile(
        entry,
        tuple(responses),
        _loadable(days, scope, written_at, at),
        tuple(problems),
        tuple(sorted(symbol or "(empty)" for symbol in rows.lines.keys() - set(known))),
    )


def _read(body: bytes, key: str) -> _Rows:
    found: dict[str, dict[str, date]] = {}
    problems: list[str] = []
    count = 0
    for batch in read_rows(
        io.BytesIO(body), FileFormat(), path_values(key.removeprefix(FOLDER)), largest=MAX_FILE_BYTES
    ):
        unusable = [f"line {line}: {why}" for line, why in batch.malformed]
        names = ("line", "trade_date", *FIELDS)
        for line, day, symbol, text, *values in zip(*(batch.rows[name].to_pylist() for name in names), strict=True):
            if day is None:
                unusable.append(f"line {line}: {text!r} is no date; write YYYY-MM-DD, or a timestamp at midnight")
            else:
                found.setdefault(symbol, {})[",".join([day.isoformat(), *values])] = day
        count += len(unusable)
        problems = problems or unusable[:1]
    if not found:
        raise PriceFileUnreadable(f"no row can be used; {problems[0]}" if problems else "the file has no rows")
    return _Rows(found, (f"{plural(count, 'row')} not loaded, the first: {problems[0]}",) if problems else ())


def _loadable(days: set[date], scope: LandingScope, written_at: datetime, at: datetime) -> tuple[date, ...]:
    """Return the sessions that can be loaded now; empty if some can be loaded after their market close.

    Raises:
        PriceFileUnreadable: no session can ever be loaded.
    """
    last = min(max(days), written_at.astimezone(NEW_YORK).date())
    sessions = [day for day in sessions_between(scope.first, last) if day in days]
    loadable = tuple(day for day in sessions if day <= scope.last and closing_time(day) <= at)
    if not loadable and all(closing_time(day) <= at for day in sessions):
        raise PriceFileUnreadable(
            f"it has no session that can be loaded: it contains {min(days)} to {max(days)}, and the sessions of the "
            f"pipeline are {scope.first} (STOCK_ASSETS_FIRST_SESSION) to {scope.last}"
        )
    return loadable
