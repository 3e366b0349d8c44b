"""Check the stored data: files of the backend, raw responses against the ledger, records, published rows.

Belongs here: what is compared, in which order. Does not belong here: the checks of one backend's files (`backends`),
the texts (`findings`), repairing (`repair`). Nothing is changed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.backends.damage_texts import is_on_s3
from stock_assets.backends.interface import Backend, Damage, Fetch, FetchKind, Part
from stock_assets.backends.stored_records import RECORDS, record_problem
from stock_assets.backends.stored_responses import read_response
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import DamagedResponses, Outcome, SourceError
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_keys import request_time
from stock_assets.ingest.response_reader import describe_rows
from stock_assets.maintenance.findings import (
    Finding,
    of_damage,
    of_purged_symbol,
    of_record,
    of_response,
    of_unknown_response,
)
from stock_assets.maintenance.purge import rows_of_purged_symbols
from stock_assets.maintenance.recompute import Sample, differing_rows

Progress = Callable[[str, int, int], None]
"""Receives the step, and how many of how many things it has checked; the last number is 0 if it is not known."""
_KINDS = (FetchKind.PRICES, FetchKind.SPLITS, FetchKind.PURGES)
STORED_IN = timedelta(hours=1)
"""Time for which a response may be stored and not yet recorded."""


@dataclass(frozen=True)
class Depth:
    """How much is compared.

    Attributes:
        deep: contents of data files, and the ledger's entries with their responses.
        recompute: sessions whose rows are computed again from the raw responses; None for none.
    """

    deep: bool = False
    recompute: Sample | None = None


QUICK = Depth()


def verify(
    parts: PipelineParts, depth: Depth = QUICK, *, progress: Progress = lambda *_: None, at: datetime | None = None
) -> Iterator[Finding]:
    """Find what is missing or damaged, most important files first.

    Args:
        parts: the pipeline.
        depth: how much is compared.
        progress: is called while responses are read.
        at: now; by default the clock's time.
    """
    backend = parts.backend
    progress("files", 0, 0)
    found = list(backend.damage(deep=depth.deep))
    damaged = {damage.part for damage in found}
    for damage in found:
        yield of_damage(damage, _newest_intact(backend, damage, found))
    if Part.LEDGER not in damaged:
        yield from _responses(parts, depth, progress)
        # The keys of a damaged pack are not known.
        if Part.PACK not in damaged:
            yield from _unknown(backend, at or utc_now())
    yield from _records(backend, progress)
    if not damaged & {Part.LEDGER, Part.CATALOG, Part.TABLE}:
        yield from _of_purged_symbols(backend)
    if depth.recompute is not None and not damaged & {Part.LEDGER, Part.CATALOG, Part.TABLE}:
        yield from differing_rows(parts, depth.recompute, progress)


def _newest_intact(backend: Backend, damage: Damage, found: Sequence[Damage]) -> int | None:
    """Return the newest snapshot of a damaged table on S3 that can be read; tables on this machine are rebuilt."""
    if damage.table is None or not damage.is_current or not is_on_s3(damage.file):
        return None
    unreadable = {snapshot for one in found if one.table == damage.table for snapshot in one.snapshots}
    history = backend.warehouse.history(damage.table)
    return next((one.snapshot_id for one in history if one.snapshot_id not in unreadable), None)


def _responses(parts: PipelineParts, depth: Depth, progress: Progress) -> Iterator[Finding]:
    """Compare the responses with the ledger."""
    backend = parts.backend
    fetches = stored_fetches(backend)
    for number, fetch in enumerate(fetches, start=1):
        progress("responses", number, len(fetches))
        if why := response_problem(parts, fetch, deep=depth.deep):
            yield of_response(backend.objects.uri(fetch.response_key), fetch, why)


def _unknown(backend: Backend, at: datetime) -> Iterator[Finding]:
    """Find stored responses that the ledger does not contain; landing files apart."""
    for kind in _KINDS:
        for key in unknown_responses(backend, kind, at):
            yield of_unknown_response(backend.objects.uri(key))


def _of_purged_symbols(backend: Backend) -> Iterator[Finding]:
    """Find rows of purged symbols: a purge was interrupted, or a table was rolled back."""
    for symbol, tables in rows_of_purged_symbols(backend).items():
        yield of_purged_symbol(symbol, tables)


def stored_fetches(backend: Backend) -> list[Fetch]:
    """Return the newest ledger entry of each stored response, oldest first."""
    found: dict[str, Fetch] = {}
    for kind in _KINDS:
        for fetch in reversed(backend.ledger.fetches(kind, purged=True)):
            if fetch.response_key and fetch.content_hash:
                found[fetch.response_key] = fetch
    return sorted(found.values(), key=lambda fetch: (fetch.fetched_at, fetch.response_key))


def response_problem(parts: PipelineParts, fetch: Fetch, *, deep: bool = False) -> str:
    """Return what is wrong with a stored response, or with its entry in the ledger; empty if nothing is."""
    try:
        body = read_response(parts.backend.objects, fetch)
    except DamagedResponses as error:
        return error.damage[fetch.response_key]
    if not deep or fetch.kind is not FetchKind.PRICES or fetch.outcome is not Outcome.OK:
        return ""
    try:
        first, last, missing = describe_rows(parts.source, fetch.symbol, body, fetch.response_key, fetch.fetched_at)
    except SourceError as error:
        return f"the ledger calls it good, and it cannot be read: {error}"
    if (first, last, missing) != (fetch.first_session, fetch.last_session, fetch.missing_sessions):
        return f"the ledger says {fetch.first_session} to {fetch.last_session}, the response has {first} to {last}"
    return ""


def unknown_responses(backend: Backend, kind: FetchKind, at: datetime) -> list[str]:
    """Return the keys of stored responses that the ledger does not contain, oldest first; landing files apart."""
    times = {key: request_time(key) for key in backend.objects.keys(f"raw/{kind}/")}
    old = [key for key, time in times.items() if time is not None and time < at - STORED_IN]
    with backend.ledger.read() as ledger:
        recorded = ledger.known_keys(old)
    return sorted((key for key in old if key not in recorded), key=lambda key: (times[key], key))


def _records(backend: Backend, progress: Progress) -> Iterator[Finding]:
    """Read every record."""
    for folder in RECORDS:
        keys: Sequence[str] = backend.objects.keys(folder)
        for number, key in enumerate(keys, start=1):
            progress("records", number, len(keys))
            try:
                why = record_problem(backend.objects.get(key))
            except KeyError:
                # Removed since it was listed.
                continue
            except OSError as error:
                why = f"it cannot be read: {error}"
            if why:
                yield of_record(backend.objects.uri(key), folder, why)
