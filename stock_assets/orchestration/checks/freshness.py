"""The check and the policy that tell whether the latest session is published.

Belongs here: the policy and the check. Does not belong here: the answer (`coverage.freshness`), evaluating the check
while no run does (`sensors.freshness`).

Dagster's own policies know hours and cron, not holidays. The policy of the table is therefore wide enough for the
longest regular closing, and shows a table that nobody has updated for days; the check is exact to the session.
"""

from datetime import timedelta

import dagster as dg

from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.freshness import GRACE, Freshness, freshness
from stock_assets.orchestration.keys import asset_key
from stock_assets.pipeline import Pipeline

CHECK_NAME = "latest_session_is_published"
LONGEST_CLOSING = timedelta(days=4)
"""From a session to the next, at most: a weekend with a holiday before or after it."""


def policy() -> dg.FreshnessPolicy:
    """Make the policy of the published table; no regular closing of the exchange makes it fail."""
    return dg.FreshnessPolicy.time_window(fail_window=LONGEST_CLOSING + 2 * GRACE)


def freshness_check(*, now: Clock = utc_now) -> dg.AssetChecksDefinition:
    """Make the check; runs evaluate it after publishing, the sensor in between."""

    @dg.asset_check(
        asset=asset_key(DAILY_PRICES),
        name=CHECK_NAME,
        description=(
            "Readers have the latest session of the exchange by midnight UTC of its day. Weekends and holidays are no "
            "sessions. Evaluated in every run, and by a sensor when none runs."
        ),
    )
    def latest_session_is_published(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        found = freshness(pipeline.backend, now())
        return dg.AssetCheckResult(
            passed=found.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.summary,
            metadata=freshness_metadata(found),
        )

    return latest_session_is_published


def freshness_metadata(found: Freshness) -> dict[str, str]:
    """Return the metadata of a freshness result."""
    remedy = {} if found.is_fresh else {"remedy": "see the last runs, and what the sensor catch_up says"}
    return {
        "expected session": found.expected.isoformat(),
        "latest session": str(found.latest or "none"),
        "symbols": str(found.symbols),
        **remedy,
    }
