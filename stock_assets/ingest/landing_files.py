"""Files in the raw area that others brought: found, read, and taken into the ledger as if the vendor had answered.

Belongs here: which files are unknown, what forms they may have, taking them in and setting them aside. Does not belong
here: when runs are started for them (`automation.landing_files`), the numbers in them (the audits).

Two forms are read: the vendor's own CSV of one symbol, named `<SYMBOL>.csv` in any folder, which is kept as it lies;
and a CSV of many symbols with the columns date, symbol, open, high, low, close, volume, which is written out again as
one answer per symbol. A file is known once the ledger names it, so nothing else has to remember where one was.
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
from stock_assets.ingest.ledger_queries import group_by_symbol
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_reader import price_reader

FOLDER = "raw/daily_prices/"
SETTLES_AFTER = timedelta(minutes=1)
"""Age at which a file is looked at; before it, somebody may be writing still."""
PATIENCE = timedelta(minutes=15)
"""Age at which a file that cannot be read is set aside; before it, it may have been cut off by a slow copy."""
MOST_FILES = 2000
"""Files read at once; the others wait for the next look."""
REMEDY = "mend the file and deliver it again under a new name; stored files are never replaced"
_READERS = 8
_DATES = ("timestamp", "date")
_FIELDS = RAW_COLUMNS[1:]


@dataclass(frozen=True)
class LandingFile:
    """One file that could be read.

    Attributes:
        entry: the file.
        answers: the answers in it, each with its body; that of a file of one symbol is the file itself.
        first: its first session that has a partition.
        last: its last one.
        left_out: symbols in it that are not in the universe.
    """

    entry: ObjectEntry
    answers: tuple[tuple[Fetch, bytes], ...]
    first: date
    last: date
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnreadableFile:
    """One file that could not be read, and why."""

    entry: ObjectEntry
    why: str


@dataclass(frozen=True)
class LandingScan:
    """What lies in the raw area and is not known.

    Attributes:
        landing_files: files that can be taken in.
        broken: files that are to be set aside.
        waiting: files too young to tell.
        more: files that were not looked at.
    """

    landing_files: tuple[LandingFile, ...]
    broken: tuple[UnreadableFile, ...]
    waiting: tuple[ObjectEntry, ...]
    more: tuple[ObjectEntry, ...]


@dataclass(frozen=True)
class LandingScope:
    """Which landing files are read.

    Attributes:
        first: first session that has a partition.
        last: last session that has a partition.
    """

    first: date
    last: date


def scan(parts: PipelineParts, scope: LandingScope, *, at: datetime, since: datetime | None = None) -> LandingScan:
    """Find the files that the ledger does not know, and read them; nothing is changed.

    Args:
        parts: the pipeline.
        scope: sessions that may be loaded.
        at: now, aware, UTC.
        since: files that came before are known to be known; None to compare all.
    """
    backend = parts.backend
    fetches = backend.ledger.fetches(FetchKind.PRICES)
    known = {fetch.response_key for fetch in [*fetches, *backend.ledger.fetches(FetchKind.LANDING_FILES)]}
    unknown = [
        entry
        for entry in backend.objects.entries(FOLDER)
        if entry.key not in known and (since is None or entry.modified_at >= since)
    ]
    settled = [entry for entry in unknown if at - entry.modified_at >= SETTLES_AFTER]
    stored = group_by_symbol(fetches)

    def read(entry: ObjectEntry) -> LandingFile | UnreadableFile:
        try:
            return _read(parts, scope, stored, entry)
        except (SourceError, ValueError, csv.Error) as error:
            return UnreadableFile(entry, str(error))

    with ThreadPoolExecutor(_READERS) as readers:
        results = list(readers.map(read, settled[:MOST_FILES]))
    broken = [result for result in results if isinstance(result, UnreadableFile)]
    return LandingScan(
        landing_files=tuple(result for result in results if isinstance(result, LandingFile)),
        broken=tuple(file for file in broken if at - file.entry.modified_at >= PATIENCE),
        waiting=tuple(
            [entry for entry in unknown if entry not in settled]
            + [file.entry for file in broken if at - file.entry.modified_at < PATIENCE]
        ),
        more=tuple(settled[MOST_FILES:]),
    )


def register_files(
    parts: PipelineParts, scope: LandingScope, sessions: Sequence[date], *, at: datetime
) -> list[LandingFile]:
    """Note in the ledger the files whose sessions all lie between the first and the last of these.

    Taking in the same file twice, also after a kill half way, changes nothing.
    """
    backend = parts.backend
    found = scan(parts, scope, at=at).landing_files
    taken = [arrival for arrival in found if sessions[0] <= arrival.first and arrival.last <= sessions[-1]]
    known = {fetch.response_key for fetch in backend.ledger.fetches(FetchKind.PRICES)}
    for arrival in taken:
        for fetch, body in arrival.answers:
            if fetch.response_key != arrival.entry.key:
                store_response(backend, fetch.response_key, body)
            # An earlier attempt may have been killed after writing this out: then it was found as a file of its own.
            if fetch.response_key not in known:
                backend.ledger.record(fetch)
                known.add(fetch.response_key)
        if all(fetch.response_key != arrival.entry.key for fetch, _ in arrival.answers):
            left_out = f"; not in the universe: {', '.join(arrival.left_out)}" if arrival.left_out else ""
            _note(backend, arrival.entry, Outcome.OK, f"{len(arrival.answers)} symbols{left_out}", at)
    return taken


def reject_files(backend: Backend, broken: Iterable[UnreadableFile], *, at: datetime) -> None:
    """Note files that cannot be read, so that they are shown and not looked at again."""
    for file in broken:
        _note(backend, file.entry, Outcome.MALFORMED, file.why, at)


def rejected_files(backend: Backend, *, since: datetime) -> list[Fetch]:
    """List the files that were set aside, newest first: their key is the payload, the reason the detail."""
    notes = backend.ledger.fetches(FetchKind.LANDING_FILES, outcome=Outcome.MALFORMED)
    return [note for note in notes if note.fetched_at >= since]


def _note(backend: Backend, entry: ObjectEntry, outcome: Outcome, detail: str, at: datetime) -> None:
    name = PurePosixPath(entry.key).name
    backend.ledger.record(
        Fetch(name, FetchKind.LANDING_FILES, at, outcome, response_key=entry.key, detail=f"{entry.key}: {detail}")
    )


def store_response(backend: Backend, key: str, body: bytes) -> None:
    """Store an answer that was read from a file of others, or find it stored by an earlier attempt."""
    try:
        backend.objects.put(key, body)
    except ObjectExists:
        # An earlier attempt was killed after writing it.
        if backend.objects.get(key) != body:
            raise


def _read(
    parts: PipelineParts, scope: LandingScope, stored: Mapping[str, Sequence[Fetch]], entry: ObjectEntry
) -> LandingFile:
    name = PurePosixPath(entry.key).name
    body = parts.backend.objects.get(entry.key)
    if not name.endswith(".csv"):
        raise MalformedResponse("not a .csv file", symbol=name)
    if not body.endswith(b"\n"):
        raise MalformedResponse("empty, or the last line is cut off", symbol=name)
    reader = price_reader(parts.source, stored)
    header = [column.strip().lower() for column in body.partition(b"\n")[0].decode().split(",")]
    bodies = _split(body.decode("utf-8-sig"), name) if "symbol" in header else {name.removesuffix(".csv"): body}
    ours = {symbol: text for symbol, text in bodies.items() if symbol in parts.universe.symbols}
    if not ours:
        raise MalformedResponse(f"no symbol of the universe: {', '.join(sorted(bodies))}", symbol=name)
    folder = f"{FOLDER}ingest_date={entry.modified_at:%Y-%m-%d}/{entry.modified_at:%Y%m%dT%H%M%S%fZ}"
    answers = []
    for symbol, text in ours.items():
        key = f"{folder}/{symbol}.csv" if "symbol" in header else entry.key
        fetch = reader(symbol, text, key, entry.modified_at)
        answers.append((replace(fetch, calls=0, detail=f"{fetch.detail}, arrived as {entry.key}"), text))
    first = min(fetch.first_session for fetch, _ in answers if fetch.first_session is not None)
    last = max(fetch.last_session for fetch, _ in answers if fetch.last_session is not None)
    if first > scope.last or last < scope.first:
        raise MalformedResponse(f"no session from {scope.first} to {scope.last}, which have partitions", symbol=name)
    return LandingFile(
        entry,
        tuple(answers),
        first=max(first, scope.first),
        last=min(last, scope.last),
        left_out=tuple(sorted(bodies.keys() - ours.keys())),
    )


def _split(text: str, name: str) -> dict[str, bytes]:
    """Write a file of many symbols out as the vendor's CSV of each; a line that stands twice stands once."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
    day = next((columns[column] for column in _DATES if column in columns), None)
    lacking = [column for column in ("symbol", *_FIELDS) if column not in columns]
    if day is None or lacking:
        raise MalformedResponse(f"columns are missing: {', '.join(lacking or _DATES[1:])}", symbol=name)
    lines: dict[str, dict[str, date]] = {}
    for row in rows:
        if None in row or None in row.values():
            raise MalformedResponse(f"line {rows.line_num} has another number of fields than the header", symbol=name)
        trade_date = _trade_date(row[day].strip(), rows.line_num, name)
        line = ",".join([trade_date.isoformat(), *(row[columns[field]].strip() for field in _FIELDS)])
        lines.setdefault(row[columns["symbol"]].strip(), {})[_whole(line)] = trade_date
    header = ",".join(RAW_COLUMNS)
    return {
        symbol: "".join(
            f"{line}\r\n" for line in (header, *sorted(found, key=found.__getitem__, reverse=True))
        ).encode()
        for symbol, found in sorted(lines.items())
    }


def _trade_date(text: str, number: int, name: str) -> date:
    """Read a date, or a moment at midnight, as tables of data frames write it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedResponse(f"line {number}: {text!r} is not a date", symbol=name) from None
    if moment.time() != time():
        raise MalformedResponse(f"line {number}: {text!r} is a moment, not a date", symbol=name)
    return moment.date()


def _whole(line: str) -> str:
    """Write a volume such as 1200.0 without its fraction."""
    return line.removesuffix(".0")
