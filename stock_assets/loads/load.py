"""A load: the sessions that one run stages, audits and publishes together, and the record that it is staged.

Belongs here: what identifies a load, and finding the newest one for some sessions. Does not belong here: its rows
(`stage.staging`).
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from secrets import token_hex

from stock_assets.backends.interface import Backend, Objects
from stock_assets.backends.stored_records import fields_of, read_record, record_body
from stock_assets.core.calendar import next_session, previous_session, sessions_between
from stock_assets.core.errors import NothingStaged, ObjectExists

_FOLDER = "staged/loads"
_ONE_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_STAGED_AT = "%Y%m%dt%H%M%S%f"
SPLITS_PROPERTY = "splits"
"""Property of a snapshot of published.daily_prices: digest of the splits that all its rows follow."""


@dataclass(frozen=True)
class Load:
    """One staged load.

    Attributes:
        load_id: unique for every attempt; names the staging tables.
        start_date: first requested session.
        end_date: last requested session.
        first_date: first day whose published rows are replaced (earlier than start_date after a late split).
        last_date: last day whose published rows are replaced: their look-back reaches into the requested sessions.
        available_from: first day of the source's available history when the load was staged.
        base_snapshot: snapshot of published.daily_prices that the look-back read; None before the first snapshot.
        rows: number of staged rows.
        quarantined: number of rows in the quarantine of the load.
        response_keys: keys of the raw responses that the bars come from.
        staged_at: aware, UTC.
        splits: digest of the splits known when the load was staged; every row that it replaces follows them.
        excluded: sessions that a session audit excluded, in order: their stored bars are not published, and what is
            published of them stays. `loads.load_report.LoadReport` has the reasons.
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
    """

    load_id: str
    start_date: date
    end_date: date
    first_date: date
    last_date: date
    available_from: date
    base_snapshot: int | None
    rows: int
    quarantined: int
    response_keys: tuple[str, ...]
    staged_at: datetime
    splits: str = ""
    excluded: tuple[date, ...] = ()
    coverage_symbols: tuple[str, ...] | None = None

    @property
    def first_day(self) -> date:
        """First day whose bars the load reads: closed days since the session before `start_date` belong to it."""
        return min(previous_session(self.start_date) + _ONE_DAY, self.start_date)

    @property
    def last_day(self) -> date:
        """Last day whose bars the load reads: closed days until the session after `end_date` belong to it."""
        return next_session(self.end_date) - _ONE_DAY

    @property
    def sessions(self) -> list[date]:
        """The requested sessions, in order."""
        return sessions_between(self.start_date, self.end_date)


def new_load_id(staged_at: datetime) -> str:
    """Return an id that sorts by time and never repeats, also if two processes stage in the same microsecond."""
    return f"load_{staged_at:{_STAGED_AT}}_{token_hex(4)}"


def next_load_id(backend: Backend, first: date, last: date, staged_at: datetime) -> str:
    """Return an id that sorts after the loads of the same sessions, also if the clock was set back since."""
    keys = backend.objects.keys(f"{_FOLDER}/{first}_{last}/")
    own, newest = new_load_id(staged_at), _load_id(keys[-1]) if keys else ""
    if own > newest:
        return own
    return new_load_id(datetime.strptime(newest.split("_")[1], _STAGED_AT).replace(tzinfo=UTC) + _MICROSECOND)


def record_load(backend: Backend, load: Load) -> None:
    """Record that the staging tables of a load are complete; written last, so that a killed load is never found."""
    backend.objects.put(_key(load), record_body(fields_of(load)))


def record_staging(backend: Backend, load: Load, staging: str) -> None:
    """Record the digest of a load and of its staging tables, outside staging; written before the load is found.

    Args:
        backend: the backend.
        load: the load.
        staging: digest of the staging tables.
    """
    # A load that is recorded twice is unchanged.
    with suppress(ObjectExists):
        backend.objects.put(staging_key(load, staging), record_body({"load_id": load.load_id}))


def staging_key(load: Load, staging: str) -> str:
    """Return the key of the record that the staging tables of a load have a digest."""
    record = json.dumps(fields_of(load), default=str) + staging
    return f"{audits_folder(load.load_id)}staged-{hashlib.sha256(record.encode()).hexdigest()}"


def newest_load(backend: Backend, sessions: Sequence[date]) -> Load:
    """Return the newest load of exactly these sessions.

    Raises:
        NothingStaged: no load of these sessions is staged.
    """
    start, end = min(sessions), max(sessions)
    keys = backend.objects.keys(f"{_FOLDER}/{start}_{end}/")
    if not keys:
        raise NothingStaged(
            f"No load of the sessions {start} to {end} is staged. "
            "Materialize staged/daily_prices for exactly these sessions first."
        )
    return _read(backend.objects, keys[-1])


def newest_load_of_any_sessions(backend: Backend) -> Load:
    """Return the newest load, whatever its sessions.

    Raises:
        NothingStaged: no load is staged.
    """
    keys = sorted(backend.objects.keys(f"{_FOLDER}/"), key=lambda key: key.rpartition("/")[2])
    if not keys:
        raise NothingStaged("No load is staged. Materialize staged/daily_prices first.")
    return _read(backend.objects, keys[-1])


def staged_sessions(backend: Backend) -> set[date]:
    """Return the sessions of all loads that are recorded."""
    ranges = {key.removeprefix(f"{_FOLDER}/").partition("/")[0] for key in backend.objects.keys(f"{_FOLDER}/")}
    days = [tuple(map(date.fromisoformat, one.split("_"))) for one in ranges]
    return {session for first, last in days for session in sessions_between(first, last)}


def drop_old_loads(backend: Backend, *, older_than: timedelta, now: datetime) -> int:
    """Drop the staging tables, records, audits and reports of old loads; return the number of loads."""
    limit = new_load_id(now.astimezone(UTC) - older_than)
    old = [key for key in backend.objects.keys(f"{_FOLDER}/") if _load_id(key) < limit]
    for key in old:
        _drop(backend, key)
    return len(old)


def drop_load(backend: Backend, load: Load) -> None:
    """Drop the staging tables, the record, audits and report of a load."""
    _drop(backend, _key(load))


def _drop(backend: Backend, key: str) -> None:
    backend.objects.delete(key)
    backend.objects.delete(report_key(_load_id(key)))
    for audit in backend.objects.keys(audits_folder(_load_id(key))):
        backend.objects.delete(audit)
    backend.warehouse.drop_staging(_load_id(key))


def report_key(load_id: str) -> str:
    """Return the key of the stored report of a load (`loads.load_report`)."""
    return f"staged/reports/{load_id}.json"


def audits_folder(load_id: str) -> str:
    """Return the folder of the digest of a load and of its recorded audits (`audit.record`); it is outside staging."""
    return f"audits/{load_id}/"


def drop_incomplete_loads(backend: Backend, *, older_than: timedelta, now: datetime) -> int:
    """Drop old staging tables without a record, and partly written objects; return how many were dropped.

    Runs that were killed leave them.
    """
    before = now.astimezone(UTC) - older_than
    recorded = {_load_id(key) for key in backend.objects.keys(f"{_FOLDER}/")}
    incomplete = [
        load for load in backend.warehouse.staged_loads() if load < new_load_id(before) and load not in recorded
    ]
    for load in incomplete:
        for digest in backend.objects.keys(audits_folder(load)):
            backend.objects.delete(digest)
        backend.warehouse.drop_staging(load)
    return len(incomplete) + backend.objects.remove_partial_files(before=before)


def _key(load: Load) -> str:
    return f"{_FOLDER}/{load.start_date}_{load.end_date}/{load.load_id}.json"


def _load_id(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _read(objects: Objects, key: str) -> Load:
    stored = read_record(objects, key)
    dates = {
        name: date.fromisoformat(stored[name])
        for name in ("start_date", "end_date", "first_date", "last_date", "available_from")
    }
    symbols = stored.get("coverage_symbols")
    return Load(
        **{
            **stored,
            **dates,
            "response_keys": tuple(stored["response_keys"]),
            "staged_at": datetime.fromisoformat(stored["staged_at"]),
            "excluded": tuple(date.fromisoformat(day) for day in stored.get("excluded", ())),
            "coverage_symbols": None if symbols is None else tuple(symbols),
        }
    )
