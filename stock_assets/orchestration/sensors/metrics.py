"""The sensor that sends metrics to CloudWatch, so that alarms notice a daemon that does not run.

Belongs here: which metrics there are, and computing them. Does not belong here: calls of CloudWatch
(`backends.lakehouse.metrics`), the alarms (`infra/aws/monitoring.yaml`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import dagster as dg

from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.coverage.freshness import freshness
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.sensors.alerts import RUN_INCIDENT
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "metrics"
INTERVAL_SECONDS = 300
"""The alarms evaluate periods of this length."""


def metrics_sensor(
    send: Callable[[Mapping[str, int]], None], names: Names = PLAIN, *, grows: bool, now: Clock = utc_now
) -> dg.SensorDefinition:
    """Return the sensor.

    Args:
        send: sends the values of the metrics.
        names: the names of the universe.
        grows: whether new sessions come; a recording is never late.
        now: the clock.
    """

    @dg.sensor(
        name=names.name(SENSOR_NAME),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends a heartbeat, the failed runs and the late sessions to CloudWatch.",
    )
    @names.uses_pipeline
    def metrics(pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
        values = measure(pipeline.backend, now(), grows=grows)
        send(values)
        return dg.SkipReason(", ".join(f"{name} {value}" for name, value in values.items()))

    return metrics


def measure(backend: Backend, at: datetime, *, grows: bool) -> dict[str, int]:
    """Return the values of all metrics.

    `FailedRuns` counts open incidents of runs: a failed run counts until the same steps succeed for its sessions.
    `LateSessions` counts sessions after the latest published one, up to the one that should be published.
    """
    incidents = Notifier(backend, []).open_incidents()
    result = freshness(backend, at) if grows else None
    late = (
        len(sessions_between(result.latest + timedelta(days=1), result.expected))
        if result is not None and result.is_late and result.latest is not None
        else 0
    )
    failed = sum(incident.kind == RUN_INCIDENT for incident in incidents)
    return {"Heartbeat": 1, "FailedRuns": failed, "LateSessions": late}
