"""Import the bars of an earlier pipeline: store them as responses, one for each symbol.

Belongs here: which bars are imported, and the order in which they are stored and recorded. Does not belong here:
reading legacy files (`ingest.price_files`), checking numbers (the audits), publishing (the job of every other load).

Only bars that no stored response contains are imported: so the vendor's responses, earlier or later, take precedence
over legacy data, and importing the same data twice stores nothing. A bar counts as fetched when the earlier pipeline
wrote its file. Bars written before the market close of their session are stored separately, under that time; the audit
`session_closed_at_fetch` quarantines them visibly, until the vendor's response has the complete day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import SourceError
from stock_assets.ingest.file_responses import FileResponse, file_response, response_body, store_responses
from stock_assets.ingest.ledger_queries import missing_sessions, take_held
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_reader import PriceReader
from stock_assets.legacy_import.locations import LegacyLocation
from stock_assets.legacy_import.row_selection import (
    Contradiction,
    Example,
    ImportScope,
    LegacyBar,
    Problem,
    Tally,
    select_rows,
)


@dataclass(frozen=True)
class SymbolImport:
    """The imported bars of one symbol.

    Attributes:
        symbol: ticker.
        bars: number of new bars.
        first: first session of the new bars.
        last: last session of the new bars.
        before_close: new bars that were written before the market close of their session.
        already_stored: bars that are stored already, and not stored again.
    """

    symbol: str
    bars: int
    first: date | None
    last: date | None
    before_close: int
    already_stored: int


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
        label: the location.
        files: number of files read.
        tally: counts of their rows.
        unreadable: files that are not imported, and why.
        problems: rows that are not imported, and why.
        contradictions: the first rows that contradict each other.
        rejected: symbols whose bars are not a valid response, and why.
        symbols: the imported bars by symbol.
        sessions: sessions with new bars, in order.
        importable: sessions with bars, new or stored already, in order.
        gaps: sessions between them without any stored bar.
    """

    label: str
    files: int
    tally: Tally
    unreadable: tuple[Example, ...]
    problems: tuple[Problem, ...]
    contradictions: tuple[Contradiction, ...]
    rejected: tuple[Example, ...]
    symbols: tuple[SymbolImport, ...]
    sessions: tuple[date, ...]
    importable: tuple[date, ...]
    gaps: tuple[date, ...]


@dataclass(frozen=True)
class _Response:
    stored: FileResponse
    sessions: tuple[date, ...]


def import_bars(
    parts: PipelineParts, location: LegacyLocation, scope: ImportScope, *, store: bool = True
) -> ImportResult:
    """Store the bars of an earlier pipeline that are not stored yet; an ordinary run publishes them.

    If the process is killed, the next import stores the remaining bars.

    Args:
        parts: the pipeline.
        location: where the legacy files are.
        scope: symbols and sessions to import.
        store: False to only return what would be stored.

    Raises:
        LegacyDataUnusable: the location does not exist or is empty.
    """
    backend = parts.backend
    imported: list[SymbolImport] = []
    rejected: list[Example] = []
    sessions: set[date] = set()
    importable: set[date] = set()
    with (
        select_rows(location, scope, memory_limit_mb=parts.memory_limit_mb) as rows,
        backend.ledger.read() as ledger,
    ):
        reader = PriceReader(parts, ledger)
        for symbol in rows.symbols():
            bars = rows.bars(symbol)
            importable.update(bar.session for bar in bars)
            try:
                responses = list(_responses(reader, symbol, _not_stored(ledger, symbol, bars), location.label))
            except SourceError as error:
                rejected.append(Example(symbol, str(error)))
                continue
            keys = [response.stored.fetch.response_key for response in responses]
            known = {fetch.response_key for fetch in ledger.with_keys(keys, FetchKind.PRICES)}
            new = [response for response in responses if response.stored.fetch.response_key not in known]
            if store:
                store_responses(backend, [response.stored for response in new], at=scope.at)
            sessions.update(session for response in new for session in response.sessions)
            imported.append(_symbol_import(symbol, bars, new))
        return ImportResult(
            label=location.label,
            files=rows.files,
            tally=rows.tally(),
            unreadable=tuple(rows.unreadable),
            problems=tuple(rows.problems()),
            contradictions=tuple(rows.contradictions()),
            rejected=tuple(rejected),
            symbols=tuple(imported),
            sessions=tuple(sorted(sessions)),
            importable=tuple(sorted(importable)),
            gaps=_gaps(ledger, importable),
        )


def _not_stored(ledger: LedgerTable, symbol: str, bars: Sequence[LegacyBar]) -> list[LegacyBar]:
    wanted = set(missing_sessions(ledger, {symbol: [bar.session for bar in bars]})[symbol])
    return [bar for bar in bars if bar.session in wanted]


def _responses(reader: PriceReader, symbol: str, newest_first: Sequence[LegacyBar], label: str) -> Iterator[_Response]:
    """Convert bars to responses: one of the bars written after the close, one for each time before a close."""
    complete = [bar for bar in newest_first if bar.written_at >= closing_time(bar.session)]
    if complete:
        yield _response(reader, symbol, complete, max(bar.written_at for bar in complete), label)
    before_close = sorted(
        set(newest_first) - set(complete), key=lambda bar: (bar.written_at, bar.session), reverse=True
    )
    for written_at, bars in groupby(before_close, key=lambda bar: bar.written_at):
        yield _response(reader, symbol, list(bars), written_at, label)


def _response(
    reader: PriceReader, symbol: str, bars: Sequence[LegacyBar], written_at: datetime, label: str
) -> _Response:
    body = response_body(bar.line for bar in bars)
    # A later import may find other bars with the same time, if more of the legacy data can be read.
    digest, origin = content_hash(body)[:8], f"imported from {label}"
    return _Response(
        file_response(reader, symbol, body, written_at, digest=digest, origin=origin),
        tuple(dict.fromkeys(bar.session for bar in bars)),
    )


def _symbol_import(symbol: str, bars: Sequence[LegacyBar], new: Sequence[_Response]) -> SymbolImport:
    sessions = [session for response in new for session in response.sessions]
    before_close = [
        session
        for response in new
        for session in response.sessions
        if response.stored.fetch.fetched_at < closing_time(session)
    ]
    return SymbolImport(
        symbol,
        len(sessions),
        min(sessions, default=None),
        max(sessions, default=None),
        before_close=len(before_close),
        already_stored=len({bar.session for bar in bars}) - len(sessions),
    )


def _gaps(ledger: LedgerTable, importable: set[date]) -> tuple[date, ...]:
    """Return the sessions between the imported ones without any stored bar."""
    between = sessions_between(min(importable), max(importable)) if importable else []
    days = [day for day in between if day not in importable]
    for symbol in ledger.symbols(FetchKind.PRICES) if days else []:
        for fetch in ledger.responses(symbol, days):
            take_held(fetch, days, after_close=False)
    return tuple(days)
