"""The sensor that evaluates the freshness check while no run does, and alerts when the table is late.

Belongs here: the sensor. Does not belong here: the check (`checks.freshness`), the answer (`coverage.freshness`).
"""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident
from stock_assets.alerts.notifier import Notifier
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.freshness import Freshness, freshness
from stock_assets.orchestration.checks.freshness import CHECK_NAME, freshness_metadata
from stock_assets.orchestration.keys import asset_key
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "freshness"


def freshness_sensor(*, channels: Sequence[Channel] = (), now: Clock = utc_now) -> dg.SensorDefinition:
    """Make the sensor; it speaks up when the answer changes, and is silent else."""

    @dg.sensor(
        name=SENSOR_NAME,
        minimum_interval_seconds=900,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Evaluates the check `{CHECK_NAME}` when no run does: also when nothing runs at all.",
    )
    def freshness_of_prices(
        context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.SensorResult:
        at = now()
        found = freshness(pipeline.backend, at)
        waiting = [f"not delivered yet: {line}" for line in _notify(Notifier(pipeline.backend, channels), found, at)]
        for line in waiting:
            context.log.warning(line)
        summary = "; ".join([found.summary, *waiting])
        if context.cursor == found.summary:
            return dg.SensorResult(skip_reason=summary)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=asset_key(DAILY_PRICES),
            check_name=CHECK_NAME,
            passed=found.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.summary,
            metadata={name: dg.MetadataValue.text(text) for name, text in freshness_metadata(found).items()},
        )
        return dg.SensorResult(skip_reason=summary, asset_events=[evaluation], cursor=found.summary)

    return freshness_of_prices


def _notify(notifier: Notifier, found: Freshness, at: datetime) -> list[str]:
    """Keep one incident as long as the table is late, however many sessions that are."""
    late = Incident(
        kind="freshness",
        subject=DAILY_PRICES.full_name,
        title=f"stock_assets: {DAILY_PRICES.full_name} is late",
        facts={"found": found.summary, **freshness_metadata(found)},
    )
    if found.is_fresh:
        return notifier.resolve(late.reference, at, found.summary)
    return notifier.notify(late, at)
