"""Landing files: files that others put into the raw area, read and registered in the ledger like responses.

Belongs here: finding unknown files, their formats, registering and rejecting them. Does not belong here: starting runs
for them (`orchestration.sensors.landing_files`), the numbers in them (the audits).

Two formats are read: the vendor's CSV of one symbol, named `<SYMBOL>.csv` in any folder, which stays where it is; and a
CSV of many symbols with the columns date, symbol, open, high, low, close, volume, which is written as one response per
symbol. A file is known once the ledger names it, so nothing else has to remember which files were read.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import PurePosixPath

from stock_assets.backends.interface import Backend, Fetch, FetchKind, ObjectEntry
from stock_assets.core.errors import MalformedResponse, ObjectExists, Outcome, SourceError
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import plural
from stock_assets.ingest.ledger_queries import group_by_symbol
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_reader import price_reader

FOLDER = "raw/daily_prices/"
MIN_FILE_AGE = timedelta(minutes=1)
"""Age at which a file is read; a younger file may still be being written."""
REJECT_AFTER = timedelta(minutes=15)
"""Age at which an unreadable file is rejected; a younger file may be incomplete because of a slow copy."""
MAX_FILES = 2000
"""Files read by one scan; the others wait for the next scan."""
REMEDY = "fix the file and copy it to the landing area under a new name; stored files are never replaced"
_THREADS = 8
_DATES = ("timestamp", "date")
_FIELDS = RAW_COLUMNS[1:]


@dataclass(frozen=True)
class LandingFile:
    """A landing file that could be read.

    Attributes:
        entry: the file.
        responses: the response of each symbol, with its body; for a file of one symbol, the file itself.
        first: its first session that has a partition.
        last: its last session that has a partition.
        unknown_symbols: its symbols that are not in the universe.
    """

    entry: ObjectEntry
    responses: tuple[tuple[Fetch, bytes], ...]
    first: date
    last: date
    unknown_symbols: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnreadableFile:
    """A landing file that could not be read, and why."""

    entry: ObjectEntry
    why: str


@dataclass(frozen=True)
class LandingScan:
    """The unknown files of the raw area.

    Attributes:
        landing_files: files that can be registered.
        unreadable: files to reject.
        waiting: files that are too young to be read or rejected.
        remaining: files that this scan did not read.
    """

    landing_files: tuple[LandingFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    waiting: tuple[ObjectEntry, ...]
    remaining: tuple[ObjectEntry, ...]


@dataclass(frozen=True)
class LandingScope:
    """The sessions that landing files may contain.

    Attributes:
        first: first session that has a partition.
        last: last session that has a partition.
    """

    first: date
    last: date


def scan(parts: PipelineParts, scope: LandingScope, *, at: datetime, since: datetime | None = None) -> LandingScan:
    """Find the files that the ledger does not know, and read them; change nothing.

    Args:
        parts: the pipeline.
        scope: sessions that may be loaded.
        at: now, aware, UTC.
        since: files older than this are known already; None to compare all files.
    """
    backend = parts.backend
    fetches = backend.ledger.fetches(FetchKind.PRICES)
    known = {fetch.response_key for fetch in [*fetches, *backend.ledger.fetches(FetchKind.LANDING_FILES)]}
    unknown = [
        entry
        for entry in backend.objects.entries(FOLDER)
        if entry.key not in known and (since is None or entry.modified_at >= since)
    ]
    settled = [entry for entry in unknown if at - entry.modified_at >= MIN_FILE_AGE]
    stored = group_by_symbol(fetches)

    def read(entry: ObjectEntry) -> LandingFile | UnreadableFile:
        try:
            return _read(parts, scope, stored, entry)
        except (SourceError, ValueError, csv.Error) as error:
            return UnreadableFile(entry, str(error).removeprefix(f"{PurePosixPath(entry.key).name}: "))

    with ThreadPoolExecutor(_THREADS) as executor:
        results = list(executor.map(read, settled[:MAX_FILES]))
    unreadable = [result for result in results if isinstance(result, UnreadableFile)]
    return LandingScan(
        landing_files=tuple(result for result in results if isinstance(result, LandingFile)),
        unreadable=tuple(file for file in unreadable if at - file.entry.modified_at >= REJECT_AFTER),
        waiting=tuple(
            [entry for entry in unknown if entry not in settled]
            + [file.entry for file in unreadable if at - file.entry.modified_at < REJECT_AFTER]
        ),
        remaining=tuple(settled[MAX_FILES:]),
    )


def register_files(
    parts: PipelineParts, scope: LandingScope, sessions: Sequence[date], *, at: datetime
) -> list[LandingFile]:
    """Record in the ledger the files whose sessions all lie between the first and the last of `sessions`.

    Registering a file twice changes nothing, also after the process was killed in between.
    """
    backend = parts.backend
    found = scan(parts, scope, at=at).landing_files
    registered = [file for file in found if sessions[0] <= file.first and file.last <= sessions[-1]]
    known = {fetch.response_key for fetch in backend.ledger.fetches(FetchKind.PRICES)}
    for file in registered:
        for fetch, body in file.responses:
            if fetch.response_key != file.entry.key:
                store_response(backend, fetch.response_key, body)
            # An earlier attempt may have been killed after storing this response, which was then found as a file.
            if fetch.response_key not in known:
                backend.ledger.record(fetch)
                known.add(fetch.response_key)
        if all(fetch.response_key != file.entry.key for fetch, _ in file.responses):
            unknown = f"; not in the universe: {', '.join(file.unknown_symbols)}" if file.unknown_symbols else ""
            _record(backend, file.entry, Outcome.OK, f"{plural(len(file.responses), 'symbol')}{unknown}", at)
    return registered


def reject_files(backend: Backend, unreadable: Iterable[UnreadableFile], *, at: datetime) -> None:
    """Record unreadable files, so that they are reported and not read again."""
    for file in unreadable:
        _record(backend, file.entry, Outcome.MALFORMED, file.why, at)


def rejected_files(backend: Backend, *, since: datetime) -> list[Fetch]:
    """Return the ledger entries of rejected files, newest first: key in `response_key`, reason in `detail`."""
    rejected = backend.ledger.fetches(FetchKind.LANDING_FILES, outcome=Outcome.MALFORMED)
    return [fetch for fetch in rejected if fetch.fetched_at >= since]


def _record(backend: Backend, entry: ObjectEntry, outcome: Outcome, detail: str, at: datetime) -> None:
    name = PurePosixPath(entry.key).name
    backend.ledger.record(
        Fetch(name, FetchKind.LANDING_FILES, at, outcome, response_key=entry.key, detail=f"{entry.key}: {detail}")
    )


def store_response(backend: Backend, key: str, body: bytes) -> None:
    """Store a response that was read from a file, unless an earlier attempt has stored it."""
    try:
        backend.objects.put(key, body)
    except ObjectExists:
        # An earlier attempt was killed after storing the object.
        if backend.objects.get(key) != body:
            raise


def _read(
    parts: PipelineParts, scope: LandingScope, stored: Mapping[str, Sequence[Fetch]], entry: ObjectEntry
) -> LandingFile:
    name = PurePosixPath(entry.key).name
    body = parts.backend.objects.get(entry.key)
    if not name.endswith(".csv"):
        raise MalformedResponse("the file name does not end with .csv", symbol=name)
    if not body.endswith(b"\n"):
        raise MalformedResponse("the file is empty, or its last line is incomplete", symbol=name)
    reader = price_reader(parts.source, stored)
    header = [column.strip().lower() for column in body.partition(b"\n")[0].decode().split(",")]
    bodies = _split(body.decode("utf-8-sig"), name) if "symbol" in header else {name.removesuffix(".csv"): body}
    known = {symbol: text for symbol, text in bodies.items() if symbol in parts.universe.symbols}
    if not known:
        raise MalformedResponse(f"no symbol is in the universe: {', '.join(sorted(bodies))}", symbol=name)
    folder = f"{FOLDER}ingest_date={entry.modified_at:%Y-%m-%d}/{entry.modified_at:%Y%m%dT%H%M%S%fZ}"
    responses = []
    for symbol, text in known.items():
        key = f"{folder}/{symbol}.csv" if "symbol" in header else entry.key
        fetch = reader(symbol, text, key, entry.modified_at)
        responses.append((replace(fetch, calls=0, detail=f"{fetch.detail}, from the landing file {entry.key}"), text))
    first = min(fetch.first_session for fetch, _ in responses if fetch.first_session is not None)
    last = max(fetch.last_session for fetch, _ in responses if fetch.last_session is not None)
    if first > scope.last or last < scope.first:
        raise MalformedResponse(
            f"the file has no session that can be loaded ({scope.first} to {scope.last})", symbol=name
        )
    return LandingFile(
        entry,
        tuple(responses),
        first=max(first, scope.first),
        last=min(last, scope.last),
        unknown_symbols=tuple(sorted(bodies.keys() - known.keys())),
    )


def _split(text: str, name: str) -> dict[str, bytes]:
    """Convert a file of many symbols to the vendor's CSV of each symbol, without repeated lines."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
    day = next((columns[column] for column in _DATES if column in columns), None)
    missing = [column for column in ("symbol", *_FIELDS) if column not in columns]
    if day is None or missing:
        raise MalformedResponse(f"columns are missing: {', '.join(missing or _DATES[1:])}", symbol=name)
    lines: dict[str, dict[str, date]] = {}
    for row in rows:
        if None in row or None in row.values():
            raise MalformedResponse(f"line {rows.line_num}: the number of fields differs from the header", symbol=name)
        trade_date = _trade_date(row[day].strip(), rows.line_num, name)
        line = ",".join([trade_date.isoformat(), *(row[columns[field]].strip() for field in _FIELDS)])
        lines.setdefault(row[columns["symbol"]].strip(), {})[_without_fraction(line)] = trade_date
    header = ",".join(RAW_COLUMNS)
    return {
        symbol: "".join(
            f"{line}\r\n" for line in (header, *sorted(found, key=found.__getitem__, reverse=True))
        ).encode()
        for symbol, found in sorted(lines.items())
    }


def _trade_date(text: str, number: int, name: str) -> date:
    """Read a date, or a timestamp at midnight, which data frames write for dates."""
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedResponse(f"line {number}: {text!r} is not a date", symbol=name) from None
    if timestamp.time() != time():
        raise MalformedResponse(f"line {number}: {text!r} is a timestamp, not a date", symbol=name)
    return timestamp.date()


def _without_fraction(line: str) -> str:
    """Return the line with a volume such as 1200.0 written as 1200."""
    return line.removesuffix(".0")
