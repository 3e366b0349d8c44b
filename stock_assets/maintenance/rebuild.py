"""Compute the ledger and the published tables again from the raw responses.

Belongs here: the order in which responses are read and sessions are loaded. Does not belong here: replacing the damaged
files (`backends.local.repair`), when that is done (`repair`).

The time of a response is part of its key. So the result does not depend on the times of the files, or on the order in
which they were restored.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import PurePosixPath

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import LoadRejected, NothingStaged, Outcome, SourceError
from stock_assets.core.text import plural
from stock_assets.ingest.file_responses import file_response
from stock_assets.ingest.ledger_queries import fetches_for_responses
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.purges import marker_entry
from stock_assets.ingest.response_keys import file_digest, request_time
from stock_assets.ingest.response_reader import PriceReader, ResponseReader
from stock_assets.loads.load import Load
from stock_assets.maintenance.recompute import runs
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage


@dataclass
class Rebuilt:
    """What could not be computed again.

    Attributes:
        not_used: responses whose bars are not used, with the reason.
        not_loaded: sessions that an audit rejects now, with the reason.
    """

    not_used: list[str] = field(default_factory=list)
    not_loaded: list[str] = field(default_factory=list)


def response_keys(backend: Backend) -> list[str]:
    """Return the keys of the markers of purges, and then of all stored responses, each oldest first."""

    def of(*kinds: FetchKind) -> list[str]:
        keys = [key for kind in kinds for key in backend.objects.keys(f"raw/{kind}/")]
        times = {key: time for key in keys if (time := request_time(key)) is not None}
        return sorted(times, key=lambda key: (times[key], key))

    # No response is compared with one that a purge has ended.
    return [*of(FetchKind.PURGES), *of(FetchKind.PRICES, FetchKind.SPLITS)]


def record_responses(parts: PipelineParts, keys: Iterable[str], at: datetime) -> Rebuilt:
    """Record stored responses in the ledger as if they arrived now, in the order of their times.

    Args:
        parts: the pipeline, whose ledger has no entry of these responses.
        keys: keys in the order of `response_keys`.
        at: now; landing files are noted at this time.
    """
    done = Rebuilt()
    # Creates the table, so that the connection below sees what is recorded.
    parts.backend.ledger.record()
    with parts.backend.ledger.read() as ledger:
        requests, files = ResponseReader(parts, ledger), PriceReader(parts, ledger)
        for key in keys:
            for fetch in _entries(parts, key, requests, files, at):
                if fetch.outcome is not Outcome.OK:
                    done.not_used.append(f"{key}: {fetch.detail}")
                parts.backend.ledger.record(fetch)
    return done


def _entries(
    parts: PipelineParts, key: str, requests: ResponseReader, files: PriceReader, at: datetime
) -> Iterable[Fetch]:
    """Return the entries of one stored response."""
    arrived, symbol = request_time(key), PurePosixPath(key).stem
    if arrived is None:
        return []
    if key.startswith(f"raw/{FetchKind.PURGES}/"):
        return [marker_entry(symbol, arrived)]
    body = parts.backend.objects.get(key)
    kind = FetchKind.SPLITS if key.startswith(f"raw/{FetchKind.SPLITS}/") else FetchKind.PRICES
    digest = file_digest(key)
    try:
        if kind is FetchKind.SPLITS:
            splits = parts.source.read_splits(body, symbol)
            return [_entry(symbol, kind, arrived, key, body, Outcome.OK, plural(len(splits), "split"))]
        if digest:
            # No call was used for it.
            note = Fetch(f"{symbol}.csv", FetchKind.LANDING_FILES, at, Outcome.OK, key, content_hash=digest)
            origin = "recorded again from the stored response"
            response = file_response(files, symbol, body, arrived, digest=digest, origin=origin)
            return [note, response.fetch._replace(response_key=key)]
        fetch = requests.read(symbol, body, key, arrived)
        # A response that waits for others is recorded by `settle`: here all earlier ones are stored already.
        return [] if requests.settle() else [fetch]
    except SourceError as error:
        return [_entry(symbol, kind, arrived, key, body, error.outcome, str(error))]


def _entry(  # noqa: PLR0913, PLR0917 (the fields of an entry)
    symbol: str, kind: FetchKind, at: datetime, key: str, body: bytes, outcome: Outcome, detail: str
) -> Fetch:
    return Fetch(symbol, kind, at, outcome, key, content_hash=content_hash(body), calls=1, detail=detail)


def load_again(parts: PipelineParts, sessions: Iterable[date], announce: Callable[[str], None]) -> Rebuilt:
    """Load sessions from the stored responses, through all audits.

    Raises:
        DamagedResponses: a response that is needed is damaged.
    """
    done = Rebuilt()
    for group in runs(sessions):
        announce(f"loading {group[0]} to {group[-1]}")
        for symbols in (None, frozenset[str]()):
            load = _load(parts, group, symbols, done)
            # Sessions of files with few symbols were loaded by an import, which does not require coverage.
            if load is None or not load.excluded or not _from_files(parts, load):
                break
        if load is not None and load.excluded:
            done.not_loaded.append(f"{', '.join(map(str, load.excluded))}: a session audit excludes them now")
    return done


def _load(parts: PipelineParts, sessions: Sequence[date], symbols: frozenset[str] | None, done: Rebuilt) -> Load | None:
    try:
        load = stage(parts, sessions, coverage_symbols=symbols)
        publish(parts, sessions)
    except NothingStaged:
        done.not_loaded.append(f"{sessions[0]} to {sessions[-1]}: no stored response has a bar")
        return None
    except LoadRejected as error:
        done.not_loaded.append(f"{sessions[0]} to {sessions[-1]}: {error}")
        return None
    return load


def _from_files(parts: PipelineParts, load: Load) -> bool:
    """Return whether every response for the excluded sessions is that of a file."""
    fetches = fetches_for_responses(parts.backend, load.response_keys)
    used = [fetch for fetch in fetches if any(fetch.holds(session) for session in load.excluded)]
    return bool(used) and all(fetch.calls == 0 for fetch in used)
