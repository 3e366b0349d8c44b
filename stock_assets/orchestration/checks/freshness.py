"""The check and the policy for the freshness of the published table.

Belongs here: the policy and the check. Does not belong here: computing freshness (`coverage.freshness`), evaluating the
check between runs (`sensors.freshness`).

Dagster's own policies support hours and cron, not holidays. The policy of the table therefore allows the longest
regular closing, and reports a table that was not updated for days; the check is exact to the session.
"""

from datetime import timedelta

import dagster as dg

from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.freshness import GRACE, Freshness, freshness
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.pipeline import Pipeline

CHECK_NAME = "latest_session_is_published"
LONGEST_CLOSING = timedelta(days=4)
"""Longest time from one session to the next: a weekend with a holiday before or after it."""


def policy() -> dg.FreshnessPolicy:
    """Return the policy of the published table; it does not fail on any regular closing of the exchange."""
    return dg.FreshnessPolicy.time_window(fail_window=LONGEST_CLOSING + 2 * GRACE)


def freshness_check(names: Names = PLAIN, *, now: Clock = utc_now) -> dg.AssetChecksDefinition:
    """Return the check. Runs evaluate it after publishing, and a sensor between runs."""

    @dg.asset_check(
        asset=names.key(DAILY_PRICES),
        name=CHECK_NAME,
        description=(
            "The latest session of the exchange is published by midnight UTC of its day. Weekends and holidays are not "
            "sessions. Evaluated in every run, and by a sensor between runs."
        ),
    )
    @names.uses_pipeline
    def latest_session_is_published(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        result = freshness(pipeline.backend, now())
        return dg.AssetCheckResult(
            passed=result.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=result.summary,
            metadata=freshness_metadata(result),
        )

    return latest_session_is_published


def freshness_metadata(result: Freshness) -> dict[str, str]:
    """Return the metadata of a freshness result."""
    remedy = {} if result.is_fresh else {"remedy": "check the last runs, and the last ticks of the sensor catch_up"}
    return {
        "expected session": result.expected.isoformat(),
        "latest session": str(result.latest or "none"),
        "symbols": str(result.symbols),
        **remedy,
    }
