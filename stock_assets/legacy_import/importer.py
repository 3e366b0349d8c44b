"""Stores what an earlier pipeline left as answers that were brought, one for each symbol.

Belongs here: which bars are wanted, and the order in which they are stored and noted. Does not belong here: reading
old files (`rows`), judging numbers (the audits), publishing (the job of every other load).

Only bars that no stored answer has are taken: so whatever the vendor has answered, or will, wins over old data, and
taking over the same data twice stores nothing. A bar counts as fetched when the earlier pipeline wrote its file. Bars
written before the bell of their session are stored apart, under that time; the audit `session_closed_at_fetch` sets
them aside where everyone can see them, until the vendor has the whole day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.errors import Outcome, SourceError
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.ingest.landing_files import FOLDER, store_response
from stock_assets.ingest.ledger_queries import group_by_symbol, missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import content_hash
from stock_assets.ingest.response_reader import PriceReader, price_reader
from stock_assets.legacy_import.locations import LegacyLocation
from stock_assets.legacy_import.row_selection import (
    Bounds,
    Contradiction,
    Example,
    LegacyBar,
    Problem,
    Sorted,
    Tally,
    sorting,
)


@dataclass(frozen=True)
class SymbolImport:
    """What is stored of one symbol.

    Attributes:
        symbol: ticker.
        bars: how many.
        first: first session.
        last: last one.
        premature: of the bars, those written before the bell of their session.
        known: bars that are stored already, and not stored again.
    """

    symbol: str
    bars: int
    first: date | None
    last: date | None
    premature: int
    known: int


@dataclass(frozen=True)
class ImportResult:
    """What was found, and what became of it.

    Attributes:
        label: where it lay.
        files: files read.
        tally: their rows.
        unreadable: files of which nothing is used, and why.
        problems: rows that are not taken over, and why.
        contradictions: the first rows that contradict each other.
        refused: symbols whose bars make no answer together, and why.
        symbols: what is stored, by symbol.
        sessions: sessions of which something new is stored, in order.
        gaps: sessions between them of which nothing is stored at all.
        span: first and last session of all that can be taken over, new or not; None if there is nothing.
    """

    label: str
    files: int
    tally: Tally
    unreadable: tuple[Example, ...]
    problems: tuple[Problem, ...]
    contradictions: tuple[Contradiction, ...]
    refused: tuple[Example, ...]
    symbols: tuple[SymbolImport, ...]
    sessions: tuple[date, ...]
    gaps: tuple[date, ...]
    span: tuple[date, date] | None


@dataclass(frozen=True)
class _Answer:
    fetch: Fetch
    body: bytes
    sessions: tuple[date, ...]


def import_bars(parts: PipelineParts, place: LegacyLocation, bounds: Bounds, *, store: bool = True) -> ImportResult:
    """Store the bars of an earlier pipeline that are not stored yet; publishing is left to the usual run.

    Killed at any moment, the next time does the rest.

    Args:
        parts: the pipeline.
        place: where the old files lie.
        bounds: what is wanted of them.
        store: False to find out only what would be stored.

    Raises:
        LegacyDataUnusable: there is no such place, or nothing in it.
    """
    backend = parts.backend
    fetches = backend.ledger.fetches(FetchKind.PRICES)
    stored = group_by_symbol(fetches)
    noted = {note.response_key for note in backend.ledger.fetches(FetchKind.LANDING_FILES)} if store else set()
    reader = price_reader(parts.source, stored)
    done: list[SymbolImport] = []
    refused: list[Example] = []
    sessions: set[date] = set()
    span: set[date] = set()
    with sorting(place, bounds) as rows:
        for symbol in rows.symbols():
            bars = rows.bars(symbol)
            span |= {bars[0].session, bars[-1].session}
            try:
                answers = list(_answers(reader, symbol, _not_known(bars, stored.get(symbol, [])), place.label))
            except SourceError as error:
                refused.append(Example(symbol, str(error)))
                continue
            known = {fetch.response_key for fetch in stored.get(symbol, [])}
            new = [answer for answer in answers if answer.fetch.response_key not in known]
            for answer in new if store else ():
                _store(backend, answer, noted, bounds.at)
            sessions.update(session for answer in new for session in answer.sessions)
            done.append(_taken(symbol, bars, new))
        found = _report(rows, place.label, done, refused, sessions, fetches)
    return replace(found, span=(min(span), max(span)) if span else None)


def _not_known(bars: Sequence[LegacyBar], fetches: Sequence[Fetch]) -> list[LegacyBar]:
    wanted = set(missing_sessions([bar.session for bar in bars], fetches))
    return [bar for bar in bars if bar.session in wanted]


def _answers(reader: PriceReader, symbol: str, newest_first: Sequence[LegacyBar], label: str) -> Iterator[_Answer]:
    """Write bars as answers: one of those written after the bell, one for each moment before a bell."""
    whole = [bar for bar in newest_first if bar.written_at >= closing_time(bar.session)]
    if whole:
        yield _answer(reader, symbol, whole, max(bar.written_at for bar in whole), label)
    premature = sorted(set(newest_first) - set(whole), key=lambda bar: (bar.written_at, bar.session), reverse=True)
    for moment, bars in groupby(premature, key=lambda bar: bar.written_at):
        yield _answer(reader, symbol, list(bars), moment, label)


def _answer(reader: PriceReader, symbol: str, bars: Sequence[LegacyBar], moment: datetime, label: str) -> _Answer:
    body = "".join(f"{line}\r\n" for line in (",".join(RAW_COLUMNS), *(bar.line for bar in bars))).encode()
    # The same moment may have other bars another time, when more of the old data can be read.
    folder = f"{FOLDER}ingest_date={moment:%Y-%m-%d}/{moment:%Y%m%dT%H%M%S%fZ}-{content_hash(body)[:8]}"
    fetch = reader(symbol, body, f"{folder}/{symbol}.csv", moment)
    return _Answer(
        replace(fetch, calls=0, detail=f"{fetch.detail}, taken over from {label}"),
        body,
        tuple(bar.session for bar in bars),
    )


def _store(backend: Backend, answer: _Answer, noted: set[str], at: datetime) -> None:
    """Note the file, store it, and note the answer, in this order.

    Whoever looks for files of others must not find one of which only half is known here: it would count as of today.
    """
    fetch = answer.fetch
    if fetch.response_key not in noted:
        name = f"{fetch.symbol}.csv"
        backend.ledger.record(
            Fetch(name, FetchKind.LANDING_FILES, at, Outcome.OK, response_key=fetch.response_key, detail=fetch.detail)
        )
        noted.add(fetch.response_key)
    store_response(backend, fetch.response_key, answer.body)
    backend.ledger.record(fetch)


def _taken(symbol: str, bars: Sequence[LegacyBar], new: Sequence[_Answer]) -> SymbolImport:
    sessions = [session for answer in new for session in answer.sessions]
    premature = [
        session for answer in new for session in answer.sessions if answer.fetch.fetched_at < closing_time(session)
    ]
    return SymbolImport(
        symbol,
        len(sessions),
        min(sessions, default=None),
        max(sessions, default=None),
        premature=len(premature),
        known=len(bars) - len(sessions),
    )


def _report(
    rows: Sorted,
    label: str,
    done: Sequence[SymbolImport],
    refused: Sequence[Example],
    sessions: set[date],
    fetches: Sequence[Fetch],
) -> ImportResult:
    between = sessions_between(min(sessions), max(sessions)) if sessions else []
    good = [fetch for fetch in fetches if fetch.outcome is Outcome.OK]
    empty = [day for day in between if day not in sessions and not any(fetch.holds(day) for fetch in good)]
    return ImportResult(
        label=label,
        files=rows.files,
        tally=rows.tally(),
        unreadable=tuple(rows.unreadable),
        problems=tuple(rows.problems()),
        contradictions=tuple(rows.contradictions()),
        refused=tuple(refused),
        symbols=tuple(done),
        sessions=tuple(sorted(sessions)),
        gaps=tuple(empty),
        span=None,
    )
