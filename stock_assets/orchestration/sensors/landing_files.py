"""The sensor that starts runs for landing files.

Belongs here: grouping files into few runs, and the cursor. Does not belong here: reading and recording files
(`ingest.landing_files`).

The sensor only rejects unreadable files; the run loads the readable ones. So a file stays unknown, and a run is
requested for it again, until a run has recorded it: whichever process is killed, no file is lost or loaded twice. The
cursor only avoids comparing old files: it never moves past an unknown file.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.text import plural
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.landing_files import LandingFile, LandingScan, LandingScope, reject_files, scan
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.run_requests import build_run_requests, run_in_progress
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "landing_files"
_OVERLAP = timedelta(minutes=10)
"""A file may become visible this long after its timestamp."""
_SHOWN = 5


def landing_files_sensor(job: AssetJob, first: date, last: date | None, *, now: Clock = utc_now) -> dg.SensorDefinition:
    """Return the sensor. Like the schedule, it is on by default for a source that grows every day.

    Args:
        job: the job that runs the whole data path.
        first: first session with a partition.
        last: last session of a recorded source, or None.
        now: the clock.
    """

    @dg.sensor(
        name=SENSOR_NAME,
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED if last else dg.DefaultSensorStatus.RUNNING,
        description=(
            "Finds files under `raw/daily_prices/` that this pipeline did not write: `<SYMBOL>.csv` in the vendor's "
            "format, or a CSV of many symbols. Loads them in few runs, without requests to the vendor. A file that is "
            "unreadable for a quarter of an hour is rejected with the reason."
        ),
    )
    def landing_files(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        scanned = scan(pipeline, LandingScope(first, last or at.date()), at=at, since=since)
        reject_files(pipeline.backend, scanned.unreadable, at=at)
        for file in scanned.unreadable:
            context.log.warning(f"rejected {file.entry.key}: {file.why}")
        requests, notes = build_run_requests(context.instance, SENSOR_NAME, _run_specs(scanned.landing_files, at), at)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join([*notes, _summary(scanned)]),
            cursor=_known_before(scanned, at).isoformat(),
        )

    return landing_files


def _run_specs(landing_files: Sequence[LandingFile], at: datetime) -> list[RunSpec]:
    """Return the runs for the sessions of the files; the sessions of one file are in one run."""
    # A session that has not closed has no partition yet; its bar waits for the run of that day.
    sessions = {
        session
        for file in landing_files
        for session in sessions_between(file.first, file.last)
        if closing_time(session) <= at
    }
    return [_run_spec(first, last, landing_files) for first, last in bridged_ranges(sessions)]


def _run_spec(first: date, last: date, landing_files: Sequence[LandingFile]) -> RunSpec:
    inside = [file.entry for file in landing_files if first <= file.last and file.first <= last]
    state = "\n".join(f"{entry.key} {entry.modified_at.isoformat()}" for entry in inside)
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return RunSpec(first, last, {"request_symbols": [], "load_landing_files": True}, digest)


def _known_before(scanned: LandingScan, at: datetime) -> datetime:
    """Return the timestamp before which every file is known."""
    unknown = [*(file.entry for file in scanned.landing_files), *scanned.waiting, *scanned.remaining]
    return min([entry.modified_at for entry in unknown] + [at]) - _OVERLAP


def _summary(scanned: LandingScan) -> str:
    parts = [f"waiting for {plural(len(scanned.waiting), 'new or incomplete file')}"] if scanned.waiting else []
    names = [file.entry.key for file in scanned.unreadable]
    parts += [f"rejected {', '.join(names[:_SHOWN])}{' and more' if len(names) > _SHOWN else ''}"] if names else []
    return "; ".join(parts) or "no new files"
