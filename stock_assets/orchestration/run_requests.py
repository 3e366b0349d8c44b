"""Build run requests: never reuse a run key, stop retrying runs that change nothing.

Belongs here: what the sensors that start loads share. Does not belong here: which sessions to load
(`sensors.catch_up`, `sensors.landing_files`).

Dagster silently ignores a request whose run key was used before. A key here ends with the number of the attempt,
counted from the runs of the instance with the same tag, so that a new key is built exactly when the earlier runs have
ended. If some of these runs were deleted, the count is lower; a number that a remaining run uses is skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import dagster as dg

from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Incident
from stock_assets.core.text import plural
from stock_assets.coverage.run_specs import RunSpec
from stock_assets.orchestration.instance.dagster_internals import RUN_KEY_TAG, WILL_RETRY_TAG
from stock_assets.orchestration.jobs.daily_prices import step_configuration
from stock_assets.orchestration.jobs.report import JOB_NAME as REPORT_JOB
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.killed_runs import RETRY_DECIDED_WITHIN, awaits_retry
from stock_assets.orchestration.partitions import range_tags
from stock_assets.orchestration.universe_runs import belongs

TAG = "stock_assets/"
"""Prefix of the tag of a sensor's runs; the sensor's name follows. The value identifies what the run loads."""
RUN_DELAYS = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""Delays between runs that change nothing; after the last one we stop."""

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.CANCELING,
]


def run_in_progress(instance: dg.DagsterInstance, at: datetime, names: Names = PLAIN) -> str | None:
    """Describe a run that is queued, in progress, or killed and about to be retried; return None if there is none.

    Runs that draw the report do not count: they change nothing that a load reads. Neither do runs of other universes.
    """
    found = [*instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)), *_awaiting_retry(instance, at)]
    runs = [run for run in found if run.job_name != names.name(REPORT_JOB) and belongs(run, names)]
    return f"run {runs[0].run_id[:8]} of {runs[0].job_name} is in progress" if runs else None


def _awaiting_retry(instance: dg.DagsterInstance, at: datetime) -> list[dg.DagsterRun]:
    failed = instance.get_runs(
        filters=dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "true"},
            updated_after=at - RETRY_DECIDED_WITHIN,
        )
    )
    return [run for run in failed if awaits_retry(run)]


@dataclass(frozen=True)
class RunRequests:
    """What a sensor requests, and what it does not request any more.

    Attributes:
        requests: the requests.
        notes: a line about each spec that waits or is given up.
        given_up: specs whose runs succeeded or failed and changed nothing, up to the last delay, with the ids of the
            runs; no more runs are started for them.
    """

    requests: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    given_up: list[tuple[RunSpec, list[str]]] = field(default_factory=list)


def build_run_requests(
    instance: dg.DagsterInstance, sensor: str, specs: Sequence[RunSpec], at: datetime, names: Names = PLAIN
) -> RunRequests:
    """Build run requests. After runs that changed nothing, wait for the delay; after the last delay, stop."""
    found, sensor = RunRequests(), names.name(sensor)
    for spec in specs:
        earlier = instance.get_run_records(filters=dg.RunsFilter(tags={TAG + sensor: spec.state}))
        label = f"{spec.first} to {spec.last}"
        if len(earlier) > len(RUN_DELAYS):
            found.given_up.append((spec, [record.dagster_run.run_id for record in earlier]))
            found.notes.append(
                f"{label}: {plural(len(earlier), 'run')} changed nothing, no more are started; check the last one"
            )
            continue
        if earlier:
            ended = max(record.end_time or record.create_timestamp.timestamp() for record in earlier)
            retry_at = datetime.fromtimestamp(ended, UTC) + RUN_DELAYS[len(earlier) - 1]
            if retry_at > at:
                found.notes.append(
                    f"{label}: the last run changed nothing; the next one starts at {retry_at:%Y-%m-%d %H:%M} UTC"
                )
                continue
        found.requests.append(
            dg.RunRequest(
                run_key=_unused_key(f"{sensor} {spec.first}..{spec.last} {spec.state}", earlier),
                run_config={"ops": step_configuration(spec.config, spec.coverage_symbols, names)},
                tags={
                    **range_tags(spec.first, spec.last),
                    TAG + sensor: spec.state,
                },
            )
        )
    return found


def notify_given_up(
    notifier: Notifier,
    sensor: str,
    given_up: Sequence[tuple[RunSpec, Sequence[str]]],
    at: datetime,
    *,
    opened: Sequence[Incident],
) -> list[str]:
    """Keep one incident open for each spec that is given up, until it needs no run any more; return failed deliveries.

    Each failed run has sent its own alert; runs that succeed and change nothing have not. `opened` are the incidents
    that are open now: on AWS, each listing of them costs.
    """
    kind, undelivered = f"{sensor}_runs", []
    wanted = {spec.state: spec for spec, _ in given_up}
    for incident in opened:
        if incident.kind == kind and incident.subject not in wanted:
            undelivered += notifier.resolve(incident.reference, at, "no run is needed for these sessions any more")
    for spec, runs in given_up:
        sessions = f"{spec.first} to {spec.last}"
        undelivered += notifier.notify(
            Incident(
                kind=kind,
                subject=spec.state,
                title=f"stock_assets: {sensor} has stopped starting runs for {sessions}",
                facts={
                    "sessions": sessions,
                    "why": f"{plural(len(runs), 'run')} ended and changed nothing",
                    "runs": list(runs),
                    "remedy": "open the last run, fix the cause that it names, and start it again with Re-execute",
                },
            ),
            at,
        )
    return undelivered


def _unused_key(prefix: str, earlier: Sequence[dg.RunRecord]) -> str:
    used = {record.dagster_run.tags.get(RUN_KEY_TAG) for record in earlier}
    keys = (f"{prefix} {number}" for number in count(len(earlier) + 1))
    return next(key for key in keys if key not in used)
