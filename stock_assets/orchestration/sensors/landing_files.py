"""The sensor that starts runs for files others brought into the raw area.

Belongs here: grouping files into few runs, and the cursor. Does not belong here: reading files or noting them
(`ingest.landing_files`).

The sensor changes nothing but setting unreadable files aside; the run takes the readable ones in. So a file stays
unknown, and is asked for again, until a run has noted it: whatever is killed in between, nothing is lost or repeated.
The cursor only spares comparing old files: it never moves past one that is unknown.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.landing_files import LandingFile, LandingScan, LandingScope, reject_files, scan
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.run_requests import build_run_requests, run_in_progress
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "landing_files"
_OVERLAP = timedelta(minutes=10)
"""Files may show up a little after the time they bear."""
_SHOWN = 5


def landing_files_sensor(job: AssetJob, first: date, last: date | None, *, now: Clock = utc_now) -> dg.SensorDefinition:
    """Make the sensor; like the schedule, it is on from the start where the source grows every day.

    Args:
        job: the whole path.
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
    def landing_files(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        found = scan(pipeline, LandingScope(first, last or at.date()), at=at, since=since)
        reject_files(pipeline.backend, found.unreadable, at=at)
        for file in found.unreadable:
            context.log.warning(f"set aside {file.entry.key}: {file.why}")
        requests, notes = build_run_requests(context.instance, SENSOR_NAME, _run_specs(found.landing_files, at), at)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join([*notes, _said(found)]),
            cursor=_known_before(found, at).isoformat(),
        )

    return landing_files


def _run_specs(landing_files: Sequence[LandingFile], at: datetime) -> list[RunSpec]:
    """Ask for the sessions of the files, each file's within one range."""
    # One that has not closed has no partition yet; its bar waits for a run of that day.
    sessions = {
        session
        for arrival in landing_files
        for session in sessions_between(arrival.first, arrival.last)
        if closing_time(session) <= at
    }
    return [_run_spec(first, last, landing_files) for first, last in bridged_ranges(sessions)]


def _run_spec(first: date, last: date, landing_files: Sequence[LandingFile]) -> RunSpec:
    inside = [arrival.entry for arrival in landing_files if first <= arrival.last and arrival.first <= last]
    state = "\n".join(f"{entry.key} {entry.modified_at.isoformat()}" for entry in inside)
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return RunSpec(first, last, {"request_symbols": [], "load_landing_files": True}, digest)


def _known_before(found: LandingScan, at: datetime) -> datetime:
    """Give the moment before which every file is known."""
    unknown = [*(arrival.entry for arrival in found.landing_files), *found.waiting, *found.remaining]
    return min([entry.modified_at for entry in unknown] + [at]) - _OVERLAP


def _said(found: LandingScan) -> str:
    parts = [f"waiting for {len(found.waiting)} young or unfinished files"] if found.waiting else []
    names = [file.entry.key for file in found.unreadable]
    parts += [f"set aside {', '.join(names[:_SHOWN])}{' and more' if len(names) > _SHOWN else ''}"] if names else []
    return "; ".join(parts) or "no new files"
