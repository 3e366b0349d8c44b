"""Run requests of sensors: few ranges, keys that are never used twice, and an end to what changes nothing.

Belongs here: what all sensors that start loads have in common. Does not belong here: what is worth loading
(`catch_up`, `landing_files`).

A reused run key is ignored by Dagster without a word. Here a key ends with the number of the attempt, counted from the
runs of the instance that bear the same tag, so that a new one is made exactly when the earlier runs have ended. If
somebody has deleted some of them, the count falls back; a number that a remaining run bears is passed over.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, WILL_RETRY_TAG

from stock_assets.coverage.run_specs import RunSpec
from stock_assets.orchestration.keys import RAW_PRICES
from stock_assets.orchestration.partitions import range_tags
from stock_assets.orchestration.retries import RETRY_DECIDED_WITHIN, awaits_retry

TAG = "stock_assets/"
"""The tag of a sensor's runs is this and the sensor's name; its value says what the run is about."""
RUN_PAUSES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""Time after a run that changed nothing until the same is tried again; after the last, no more."""

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.CANCELING,
]


def run_in_progress(instance: dg.DagsterInstance, at: datetime) -> str | None:
    """Name a run that is queued or in progress, or was killed and is about to be repeated; None if there is none."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED), limit=1) or _to_be_repeated(instance, at)
    return f"run {runs[0].run_id[:8]} of {runs[0].job_name} is under way" if runs else None


def _to_be_repeated(instance: dg.DagsterInstance, at: datetime) -> list[dg.DagsterRun]:
    failed = instance.get_runs(
        filters=dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "true"},
            updated_after=at - RETRY_DECIDED_WITHIN,
        )
    )
    return [run for run in failed if awaits_retry(run)]


def build_run_requests(
    instance: dg.DagsterInstance, sensor: str, specs: Sequence[RunSpec], at: datetime
) -> tuple[list[dg.RunRequest], list[str]]:
    """Write the run requests; one that was made before, in vain, only after its pause, and not for ever.

    Returns:
        the requests, and a line about each wish that has to wait or is given up.
    """
    requests, notes = [], []
    for spec in specs:
        earlier = instance.get_run_records(filters=dg.RunsFilter(tags={TAG + sensor: spec.state}))
        label = f"{spec.first} to {spec.last}"
        if len(earlier) > len(RUN_PAUSES):
            notes.append(f"{label}: {len(earlier)} runs have changed nothing; see the last of them")
            continue
        if earlier:
            ended = max(record.end_time or record.create_timestamp.timestamp() for record in earlier)
            again = datetime.fromtimestamp(ended, UTC) + RUN_PAUSES[len(earlier) - 1]
            if again > at:
                notes.append(f"{label}: a run has changed nothing; again at {again:%Y-%m-%d %H:%M} UTC")
                continue
        requests.append(
            dg.RunRequest(
                run_key=_unused_key(f"{sensor} {spec.first}..{spec.last} {spec.state}", earlier),
                run_config={"ops": {RAW_PRICES.to_python_identifier(): {"config": dict(spec.config)}}},
                tags={
                    **range_tags(spec.first, spec.last),
                    TAG + sensor: spec.state,
                },
            )
        )
    return requests, notes


def _unused_key(about: str, earlier: Sequence[dg.RunRecord]) -> str:
    used = {record.dagster_run.tags.get(RUN_KEY_TAG) for record in earlier}
    keys = (f"{about} {number}" for number in count(len(earlier) + 1))
    return next(key for key in keys if key not in used)
