"""The sensor that starts runs for files others brought into the raw area.

Belongs here: grouping files into few runs, and the cursor. Does not belong here: reading files or noting them
(`ingest.arrivals`).

The sensor changes nothing but setting unreadable files aside; the run takes the readable ones in. So a file stays
unknown, and is asked for again, until a run has noted it: whatever is killed in between, nothing is lost or repeated.
The cursor only spares comparing old files: it never moves past one that is unknown.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from stock_assets.automation.daily import AssetJob
from stock_assets.automation.requests import Wish, bridged_ranges, requests_for, run_under_way
from stock_assets.clock import Clock, utc_now
from stock_assets.homes.interfaces import Home
from stock_assets.ingest.arrivals import Arrival, Found, Wanted, look, set_aside
from stock_assets.ingest.source import PriceSource
from stock_assets.sessions import closing_time, sessions_between
from stock_assets.universe import Universe

SENSOR_NAME = "arrivals"
_OVERLAP = timedelta(minutes=10)
"""Files may show up a little after the time they bear."""
_SHOWN = 5


def arrivals_sensor(
    job: AssetJob, universe: Universe, first: date, last: date | None, *, now: Clock = utc_now
) -> dg.SensorDefinition:
    """Make the sensor; like the schedule, it is on from the start where the source grows every day.

    Args:
        job: the whole path.
        universe: symbols whose files are wanted.
        first: first session with a partition.
        last: last one the source can ever have, or None.
        now: the clock.
    """

    @dg.sensor(
        name=SENSOR_NAME,
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED if last else dg.DefaultSensorStatus.RUNNING,
        description=(
            "Looks for files under `raw/daily_prices/` that this pipeline did not write: `<SYMBOL>.csv` in the "
            "vendor's form, or a CSV of many symbols. They are loaded in few runs, without asking the vendor. One that "
            "cannot be read waits a quarter of an hour, then it is set aside with its name and the reason."
        ),
    )
    def arrivals(context: dg.SensorEvaluationContext, home: Home, source: PriceSource) -> dg.SensorResult:
        at = now()
        busy = run_under_way(context.instance, at)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        found = look(home, Wanted(source, universe, first, last or at.date()), at=at, since=since)
        set_aside(home, found.broken, at=at)
        for file in found.broken:
            context.log.warning(f"set aside {file.entry.key}: {file.why}")
        requests, notes = requests_for(context.instance, SENSOR_NAME, _wishes(found.arrivals, at), at)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join([*notes, _said(found)]),
            cursor=_known_before(found, at).isoformat(),
        )

    return arrivals


def _wishes(arrivals: Sequence[Arrival], at: datetime) -> list[Wish]:
    """Ask for the sessions of the files, each file's within one range."""
    # One that has not closed has no partition yet; its bar waits for a run of that day.
    sessions = {
        session
        for arrival in arrivals
        for session in sessions_between(arrival.first, arrival.last)
        if closing_time(session) <= at
    }
    return [_wish(first, last, arrivals) for first, last in bridged_ranges(sessions)]


def _wish(first: date, last: date, arrivals: Sequence[Arrival]) -> Wish:
    inside = [arrival.entry for arrival in arrivals if first <= arrival.last and arrival.first <= last]
    state = "\n".join(f"{entry.key} {entry.modified_at.isoformat()}" for entry in inside)
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return Wish(first, last, {"ask": [], "take_in_arrivals": True}, digest)


def _known_before(found: Found, at: datetime) -> datetime:
    """Give the moment before which every file is known."""
    unknown = [*(arrival.entry for arrival in found.arrivals), *found.waiting, *found.more]
    return min([entry.modified_at for entry in unknown] + [at]) - _OVERLAP


def _said(found: Found) -> str:
    parts = [f"waiting for {len(found.waiting)} young or unfinished files"] if found.waiting else []
    names = [file.entry.key for file in found.broken]
    parts += [f"set aside {', '.join(names[:_SHOWN])}{' and more' if len(names) > _SHOWN else ''}"] if names else []
    return "; ".join(parts) or "no new files"
