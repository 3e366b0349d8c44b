"""The sensor that starts runs for landing files.

Belongs here: grouping files into few runs. Does not belong here: reading and recording files (`ingest.landing_files`),
when files are listed (`landing_hints`).

The sensor only rejects unreadable files; the run loads the readable ones. So a file stays unknown, and a run is
requested for it again, until a run has recorded it: whichever process is killed, no file is lost or loaded twice. The
cursor only avoids comparing old files: it never moves past an unknown file. Once a day (UTC) all files are compared, on
S3 a part of them per tick; the other ticks list no folder of raw responses of earlier days. So a tick costs the same
after years.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Incident
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_lines
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.landing_conversion import LandingFile, LandingScope
from stock_assets.ingest.landing_files import REMEDY, LandingScan, are_deleted, describe, reject_files, scan
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.run_requests import build_run_requests, notify_given_up, run_in_progress
from stock_assets.orchestration.sensors.landing_hints import LandingHints, Listing, next_cursor
from stock_assets.pipeline import Pipeline

if TYPE_CHECKING:
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue

SENSOR_NAME = "landing_files"


def landing_files_sensor(  # noqa: PLR0913 (all but the first three have a default)
    job: AssetJob,
    first: date,
    last: date | None,
    names: Names = PLAIN,
    *,
    channels: Sequence[Channel] = (),
    queue: "LandingQueue | None" = None,
    now: Clock = utc_now,
) -> dg.SensorDefinition:
    """Return the sensor. Like the schedule, it is on by default for a source that grows every day.

    Args:
        job: the job that runs the whole data path.
        first: first session with a partition.
        last: last session of a recorded source, or None.
        names: the names of the universe.
        channels: where alerts are sent.
        queue: notifications about new files; without it, every tick lists the files.
        now: the clock.
    """
    hints = LandingHints(queue)

    @dg.sensor(
        name=names.name(SENSOR_NAME),
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED if last else dg.DefaultSensorStatus.RUNNING,
        description=(
            "Finds files under `raw/daily_prices/` that this pipeline did not write: CSV, JSON or Parquet with daily "
            "prices, with any name. Loads them in few runs, without requests to the vendor. A file that is unreadable "
            "for a quarter of an hour is rejected with the reason, and an alert is sent."
        ),
    )
    @names.uses_pipeline
    def landing_files(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at, names)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        # Only reading `context.log` creates a file that Dagster never deletes.
        listing = hints.listing(context.cursor, at, lambda line: context.log.warning(line))  # noqa: PLW0108 (see above)
        if listing is None:
            return dg.SensorResult(skip_reason="no new files: the queue has no message", cursor=context.cursor)
        scope = LandingScope(first, last or at.date())
        scanned = scan(pipeline, scope, at=at, since=listing.since, after=listing.after)
        found = build_run_requests(context.instance, SENSOR_NAME, _run_specs(scanned.landing_files), at, names)
        notifier, sensor = Notifier(pipeline.backend, channels), names.name(SENSOR_NAME)
        for line in _notify(notifier, sensor, listing, scanned, found.given_up, at):
            context.log.warning(line)
        cursor = str(next_cursor(scanned, at, listing))
        hints.stored_with(cursor)
        return dg.SensorResult(
            run_requests=found.requests,
            skip_reason=None if found.requests else "; ".join([*found.notes, describe(scanned)]),
            cursor=cursor,
        )

    return landing_files


def _notify(
    notifier: Notifier,
    sensor: str,
    listing: Listing,
    scanned: LandingScan,
    given_up: Sequence[tuple[RunSpec, Sequence[str]]],
    at: datetime,
) -> list[str]:
    """Send alerts about files that get no more runs, and reject the unreadable ones; return lines for the log."""
    opened = notifier.open_incidents()
    # A file of another part may still need its run.
    resolvable = opened if listing.has_every_unknown_file(scanned) else []
    undelivered = notify_given_up(notifier, sensor, given_up, at, opened=resolvable)
    return _reject(notifier.backend, notifier, scanned, at, opened=opened) + undelivered


def _reject(
    backend: Backend, notifier: Notifier, scanned: LandingScan, at: datetime, *, opened: Sequence[Incident]
) -> list[str]:
    """Send an alert about the unreadable files and reject them; return lines for the log."""
    # Before the ledger knows the files: a process that is killed in between sends the same alert again.
    undelivered = _notify_rejected(notifier, backend, scanned, at, opened=opened)
    reject_files(backend, scanned.unreadable, at=at)
    rejected = [f"rejected {file.entry.key}: {file.why}" for file in scanned.unreadable]
    return shorten_lines(rejected, SYMBOLS_SHOWN) + undelivered


def _notify_rejected(
    notifier: Notifier, backend: Backend, scanned: LandingScan, at: datetime, *, opened: Sequence[Incident]
) -> list[str]:
    """Open an incident for the rejected files; an incident is resolved when all its files have been deleted."""
    undelivered = []
    for incident in opened:
        if incident.kind == SENSOR_NAME and are_deleted(backend, incident.subject.split("\n"), at=at):
            undelivered += notifier.resolve(incident.reference, at, "the rejected files were deleted")
    keys = [file.entry.key for file in scanned.unreadable]
    if keys:
        incident = Incident(
            kind=SENSOR_NAME,
            subject="\n".join(keys),
            title=f"stock_assets: {plural(len(keys), 'landing file was', 'landing files were')} rejected",
            facts={
                "files": [f"{file.entry.key}: {file.why}" for file in scanned.unreadable],
                "remedy": REMEDY,
            },
        )
        undelivered += notifier.notify(incident, at)
    return [f"not delivered yet: {line}" for line in undelivered]


def _run_specs(landing_files: Sequence[LandingFile]) -> list[RunSpec]:
    """Return the runs for the sessions of the files; the sessions of one file are in one run."""
    sessions = {session for file in landing_files for session in sessions_between(file.sessions[0], file.sessions[-1])}
    return [_run_spec(first, last, landing_files) for first, last in bridged_ranges(sessions)]


def _run_spec(first: date, last: date, landing_files: Sequence[LandingFile]) -> RunSpec:
    inside = [file for file in landing_files if first <= file.sessions[0] <= last]
    state = "\n".join(f"{file.entry.key} {file.entry.modified_at.isoformat()}" for file in inside)
    # As in an import, only the symbols of the files are expected.
    symbols = sorted({response.fetch.symbol for file in inside for response in file.responses})
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return RunSpec(first, last, {"request_symbols": [], "load_landing_files": True}, digest, tuple(symbols))
