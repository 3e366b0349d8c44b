"""The sensor that evaluates the freshness check between runs, and alerts when the table is late.

Belongs here: the sensor. Does not belong here: the check (`checks.freshness`), computing freshness
(`coverage.freshness`).
"""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Incident
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.freshness import Freshness, freshness
from stock_assets.orchestration.checks.freshness import CHECK_NAME, freshness_metadata
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "freshness"


def freshness_sensor(
    names: Names = PLAIN, *, channels: Sequence[Channel] = (), now: Clock = utc_now
) -> dg.SensorDefinition:
    """Return the sensor. It writes a check result only when the result changes."""

    @dg.sensor(
        name=names.name(SENSOR_NAME),
        minimum_interval_seconds=900,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Evaluates the check `{CHECK_NAME}` between runs, also when no run starts at all.",
    )
    @names.uses_pipeline
    def freshness_of_prices(
        context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.SensorResult:
        at = now()
        result = freshness(pipeline.backend, at)
        undelivered = [
            f"not delivered yet: {line}" for line in _notify(Notifier(pipeline.backend, channels), result, at)
        ]
        for line in undelivered:
            context.log.warning(line)
        summary = "; ".join([result.summary, *undelivered])
        # A table that was never published is not late, so it has no check result.
        if context.cursor == result.summary or not (result.is_fresh or result.is_late):
            return dg.SensorResult(skip_reason=summary)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=names.key(DAILY_PRICES),
            check_name=CHECK_NAME,
            passed=result.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=result.summary,
            metadata={name: dg.MetadataValue.text(text) for name, text in freshness_metadata(result).items()},
        )
        return dg.SensorResult(skip_reason=summary, asset_events=[evaluation], cursor=result.summary)

    return freshness_of_prices


def _notify(notifier: Notifier, result: Freshness, at: datetime) -> list[str]:
    """Keep one incident open while the table is late, however many sessions are missing."""
    late = Incident(
        kind="freshness",
        subject=DAILY_PRICES.full_name,
        title=f"stock_assets: {DAILY_PRICES.full_name} is late",
        facts={"result": result.summary, **freshness_metadata(result)},
    )
    if not result.is_late:
        return notifier.resolve(late.reference, at, result.summary)
    return notifier.notify(late, at)
