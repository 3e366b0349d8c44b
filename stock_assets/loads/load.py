"""A load: the sessions one run stages, audits and publishes together, and the note that it is staged.

Belongs here: what identifies a load, and finding the newest one for some sessions. Does not belong here: its rows
(`staging`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from secrets import token_hex

from stock_assets.backends.interface import Backend, Objects
from stock_assets.core.errors import NothingStaged

_FOLDER = "staged/loads"
SPLITS_PROPERTY = "splits"
"""Under which a version of published.daily_prices names the splits that all its rows follow."""


@dataclass(frozen=True)
class Load:
    """One staged load.

    Attributes:
        load_id: unique for every attempt; names the staging tables.
        start_date: first session asked for.
        end_date: last session asked for.
        first_date: first day whose published rows are replaced (earlier than start_date after a late split).
        last_date: last day whose published rows are replaced: their look-back reaches into the sessions asked for.
        available_from: first day the source could still answer for when the load was staged.
        base_snapshot: version of published.daily_prices that the look-back read; None before the first.
        rows: rows staged.
        quarantined: bars quarantined.
        payloads: keys of the stored answers the bars come from.
        staged_at: aware, UTC.
        splits: digest of the splits known when it was staged; every row it replaces follows them.
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
    payloads: tuple[str, ...]
    staged_at: datetime
    splits: str = ""


def new_load_id(staged_at: datetime) -> str:
    """Make an id that sorts by time and never repeats, also where two processes stage in the same microsecond."""
    return f"load_{staged_at:%Y%m%dt%H%M%S%f}_{token_hex(4)}"


def record_load(backend: Backend, load: Load) -> None:
    """Note that the load's staging tables are complete; written last, so that a killed load is never found."""
    backend.objects.put(_key(load), json.dumps(asdict(load), default=str, indent=1).encode())


def newest(backend: Backend, sessions: Sequence[date]) -> Load:
    """Find the newest load of exactly these sessions.

    Raises:
        NothingStaged: there is none.
    """
    start, end = min(sessions), max(sessions)
    keys = backend.objects.list(f"{_FOLDER}/{start}_{end}/")
    if not keys:
        raise NothingStaged(
            f"no staged load of the sessions {start} to {end}; materialize staged/daily_prices for exactly these first"
        )
    return _read(backend.objects, keys[-1])


def newest_load_of_all(backend: Backend) -> Load:
    """Find the newest load of any sessions.

    Raises:
        NothingStaged: there is none.
    """
    keys = sorted(backend.objects.list(f"{_FOLDER}/"), key=lambda key: key.rpartition("/")[2])
    if not keys:
        raise NothingStaged("nothing is staged; materialize staged/daily_prices first")
    return _read(backend.objects, keys[-1])


def drop_old_loads(backend: Backend, *, older_than: timedelta, now: datetime) -> int:
    """Drop the staging tables and notes of old loads; give how many."""
    limit = new_load_id(now.astimezone(UTC) - older_than)
    old = [key for key in backend.objects.list(f"{_FOLDER}/") if _load_id(key) < limit]
    for key in old:
        backend.objects.delete(key)
        backend.objects.delete(report_key(_load_id(key)))
        backend.warehouse.drop_staging(_load_id(key))
    return len(old)


def report_key(load_id: str) -> str:
    """Give the key of what a load holds, as people are shown it (`report`)."""
    return f"staged/reports/{load_id}.json"


def drop_leftovers(backend: Backend, *, older_than: timedelta, now: datetime) -> int:
    """Drop old staging tables without a note, and half-written objects: killed runs left them; give how many."""
    moment = now.astimezone(UTC) - older_than
    noted = {_load_id(key) for key in backend.objects.list(f"{_FOLDER}/")}
    lost = [load for load in backend.warehouse.staged_loads() if load < new_load_id(moment) and load not in noted]
    for load in lost:
        backend.warehouse.drop_staging(load)
    return len(lost) + backend.objects.sweep(before=moment)


def _key(load: Load) -> str:
    return f"{_FOLDER}/{load.start_date}_{load.end_date}/{load.load_id}.json"


def _load_id(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _read(objects: Objects, key: str) -> Load:
    stored = json.loads(objects.get(key))
    dates = {
        name: date.fromisoformat(stored[name])
        for name in ("start_date", "end_date", "first_date", "last_date", "available_from")
    }
    return Load(
        **{
            **stored,
            **dates,
            "payloads": tuple(stored["payloads"]),
            "staged_at": datetime.fromisoformat(stored["staged_at"]),
        }
    )
