"""Landing files: files that others put into the raw area, converted to responses and registered in the ledger.

Belongs here: finding unknown files, registering and rejecting them. Does not belong here: formats (`price_files`),
converting one file (`landing_conversion`), starting runs (`orchestration.sensors.landing_files`), the numbers in the
files (the audits).

A file is known once the ledger names it, so nothing else has to remember which files were read. Each file is handled
alone: an unreadable one does not block the others.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath

from stock_assets.backends.interface import Backend, Fetch, FetchKind, ListedPart, ObjectEntry, Objects
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.errors import Outcome, PriceFileUnreadable
from stock_assets.core.text import escape_name, plural, shorten_list
from stock_assets.ingest.file_responses import store_responses
from stock_assets.ingest.landing_conversion import MAX_FILE_BYTES, LandingFile, LandingScope, convert
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_files.paths import name_problem
from stock_assets.ingest.price_files.reader import read_problem
from stock_assets.ingest.response_keys import FOLDER, file_digest, request_time
from stock_assets.ingest.response_reader import PriceReader

MIN_FILE_AGE = timedelta(minutes=1)
"""Age at which a file is read; a younger file may still be being written."""
REJECT_AFTER = timedelta(minutes=15)
"""Age at which an unreadable file is rejected; a younger file may be incomplete because of a slow copy."""
MAX_FILES = 2000
"""Files read by one scan; the others wait for the next scan."""
REMEDY = (
    "fix the file, copy it to the landing area under a new name, and delete the rejected one; a file is read only once"
)
_THREADS = 8
_SHOWN = 10
_NAMED = 5


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
        waiting: files that are too young to be read or rejected, or whose sessions have not closed.
        remaining: files that this scan did not read.
        next_after: key after which the next scan goes on if this one had a part of all files; empty after the last one.
    """

    landing_files: tuple[LandingFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    waiting: tuple[ObjectEntry, ...]
    remaining: tuple[ObjectEntry, ...] = ()
    next_after: str = ""


def scan(
    parts: PipelineParts,
    scope: LandingScope,
    *,
    at: datetime,
    since: datetime | None = None,
    after: str | None = None,
) -> LandingScan:
    """Find the files that the ledger does not know, and read them; change nothing.

    Args:
        parts: the pipeline.
        scope: sessions that may be loaded.
        at: now, aware, UTC.
        since: files older than this are known already; None to compare all files.
        after: with it, a part of all files is compared too, which begins after this key; empty for the first part.
    """
    entries, next_after = _listed(parts.backend.objects, since, after)
    named = _named(entries)
    known = parts.backend.ledger.known_keys(entry.key for entry in named)
    unknown = [entry for entry in named if entry.key not in known]
    if not unknown:
        return LandingScan((), (), (), next_after=next_after)
    with parts.backend.ledger.read() as ledger:
        return replace(_read_files(parts, scope, ledger, unknown, at=at), next_after=next_after)


def _listed(objects: Objects, since: datetime | None, after: str | None) -> ListedPart:
    """List the files since a timestamp, and a part of all files if `after` is given."""
    part = ListedPart((), "") if after is None else objects.list_part(FOLDER, after=after)
    if after == "" and not part.next_after:
        # These are all files.
        return part
    found = {entry.key: entry for entry in part.entries}
    if after is None or since is not None:
        recent = objects.entries(FOLDER, since=since)
        found |= {entry.key: entry for entry in recent if since is None or entry.modified_at >= since}
    return ListedPart(list(found.values()), part.next_after)


def _read_files(
    parts: PipelineParts,
    scope: LandingScope,
    ledger: LedgerTable,
    unknown: Sequence[ObjectEntry],
    *,
    at: datetime,
) -> LandingScan:
    new = [entry for entry in unknown if _is_young(entry, at, MIN_FILE_AGE)]
    settled = [entry for entry in unknown if not _is_young(entry, at, MIN_FILE_AGE)]
    reader = PriceReader(parts, ledger)

    stated = {file_digest(entry.key): request_time(entry.key) for entry in unknown}

    def noted_at(digest: str) -> datetime | None:
        notes = ledger.with_content(FetchKind.LANDING_FILES, digest)
        noted = next((request_time(note.response_key) for note in notes), None)
        # Without its ledger, a restored folder still has the time in the key of the stored response.
        return noted or stated.get(digest)

    def read(entry: ObjectEntry) -> LandingFile | UnreadableFile:
        if entry.problem:
            return UnreadableFile(entry, entry.problem)
        try:
            return convert(parts, scope, entry, reader=reader, noted_at=noted_at, at=at)
        except (PriceFileUnreadable, KeyError, OSError) as error:
            # A file that was deleted since it was listed raises KeyError; the next scan does not list it.
            return UnreadableFile(entry, read_problem(error))

    with ThreadPoolExecutor(_THREADS) as executor:
        results = list(executor.map(read, settled[:MAX_FILES]))
    # Files with the same bars for different new symbols are all rejected, whichever was read first.
    results = [read(result.entry) if _is_ambiguous(result, reader) else result for result in results]
    files = _with_clock_problem(ledger, [result for result in results if isinstance(result, LandingFile)], at)
    unreadable = [result for result in results if isinstance(result, UnreadableFile)]
    incomplete = [file.entry for file in unreadable if _is_young(file.entry, at, REJECT_AFTER)]
    return LandingScan(
        landing_files=tuple(file for file in files if file.sessions),
        unreadable=tuple(file for file in unreadable if not _is_young(file.entry, at, REJECT_AFTER)),
        waiting=(*new, *incomplete, *(file.entry for file in files if not file.sessions)),
        remaining=tuple(settled[MAX_FILES:]),
    )


def _with_clock_problem(ledger: LedgerTable, files: Sequence[LandingFile], at: datetime) -> list[LandingFile]:
    """Add a problem to the files whose bars replace nothing, because the clock was ahead when others were stored."""
    symbols = dict.fromkeys(response.fetch.symbol for file in files for response in file.responses)
    latest = ledger.latest(FetchKind.PRICES, symbols)
    future = {symbol: fetches[0].fetched_at for symbol, fetches in latest.items() if fetches[0].fetched_at > at}
    checked = []
    for file in files:
        names = [response.fetch.symbol for response in file.responses if response.fetch.symbol in future]
        if names:
            until = max(future[name] for name in names)
            why = (
                f"stored responses of {shorten_list(names, _SHOWN)} are dated {until:%Y-%m-%d %H:%M} UTC, in the "
                "future, so this file replaces none of their bars; set the clock if it is wrong, and copy the file "
                "to the landing area under a new name after that time"
            )
            checked.append(replace(file, problems=(*file.problems, why)))
        else:
            checked.append(file)
    return checked


def _is_ambiguous(result: LandingFile | UnreadableFile, reader: PriceReader) -> bool:
    return isinstance(result, LandingFile) and any(
        reader.is_ambiguous(response.fetch.symbol) for response in result.responses
    )


def register_files(
    parts: PipelineParts, scope: LandingScope, sessions: Sequence[date], *, at: datetime
) -> list[LandingFile]:
    """Store the responses of the files whose sessions all lie between the first and the last of `sessions`.

    Registering a file twice changes nothing, also after the process was killed in between.
    """
    registered: list[LandingFile] = []
    after: str | None = ""
    while after is not None:
        found = scan(parts, scope, at=at, after=after)
        for file in found.landing_files:
            if sessions[0] <= file.sessions[0] and file.sessions[-1] <= sessions[-1]:
                store_responses(parts.backend, file.responses, at=at)
                _record(parts.backend, file.entry, Outcome.MALFORMED if file.problems else Outcome.OK, file.summary, at)
                registered.append(file)
        after = found.next_after or None
    return registered


def reject_files(backend: Backend, unreadable: Iterable[UnreadableFile], *, at: datetime) -> None:
    """Record unreadable files, so that they are reported and not read again."""
    for file in unreadable:
        _record(backend, file.entry, Outcome.MALFORMED, f"rejected: {file.why}", at)


def are_deleted(backend: Backend, keys: Iterable[str], *, at: datetime) -> bool:
    """Return whether none of these landing files exists; no file is opened."""
    folders: dict[str, set[str]] = {}
    for key in keys:
        folders.setdefault(f"{key.rpartition('/')[0]}/", set()).add(key)
    # With `since`, the folders of earlier days below a folder are not listed.
    return not any(
        entry.key in inside
        for folder, inside in folders.items()
        for entry in _named(backend.objects.entries(folder, since=at))
    )


def _named(entries: Iterable[ObjectEntry]) -> list[ObjectEntry]:
    """Return the entries with names that can be stored and displayed, and with what is wrong with them."""
    return [
        replace(
            entry, key=escape_name(entry.key), problem=entry.problem or name_problem(entry.key) or _too_large(entry)
        )
        for entry in entries
    ]


def _too_large(entry: ObjectEntry) -> str:
    if entry.size <= MAX_FILE_BYTES:
        return ""
    return (
        f"it has {entry.size // 1_000_000:,} MB, and a landing file may have {MAX_FILE_BYTES // 1_000_000:,} MB; "
        "split it, or load it with stock-assets import"
    )


def files_with_problems(backend: Backend, *, since: datetime) -> list[Fetch]:
    """Return the ledger entries of files that were not loaded completely, newest first: key, and reason in `detail`."""
    return backend.ledger.fetches(FetchKind.LANDING_FILES, outcome=Outcome.MALFORMED, since=since)


def describe(scanned: LandingScan) -> str:
    """Return what a scan found, in one line."""
    parts = [f"waiting for {plural(len(scanned.waiting), 'new or incomplete file')}"] if scanned.waiting else []
    names = [file.entry.key for file in scanned.unreadable]
    parts += [f"rejected {', '.join(names[:_NAMED])}{' and more' if len(names) > _NAMED else ''}"] if names else []
    return "; ".join(parts) or "no new files"


def _is_young(entry: ObjectEntry, at: datetime, limit: timedelta) -> bool:
    """Return whether a file was written within the limit; a time far in the future does not show when it was."""
    return -REJECT_AFTER <= at - entry.modified_at < limit


def _record(backend: Backend, entry: ObjectEntry, outcome: Outcome, detail: str, at: datetime) -> None:
    name = PurePosixPath(entry.key).name
    backend.ledger.record(
        Fetch(name, FetchKind.LANDING_FILES, at, outcome, response_key=entry.key, detail=f"{entry.key}: {detail}")
    )
