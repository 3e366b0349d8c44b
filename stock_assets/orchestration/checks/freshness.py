"""Whether readers have the latest session: by the exchange's calendar, so that no weekend or holiday counts as late.

Belongs here: the policy, the check and the sensor that evaluates it while no run does. Does not belong here: getting
what is late (`catch_up`), telling somebody (`alerts`).

Dagster's own policies know hours and cron, not holidays. The one on the table is therefore wide enough for the longest
regular closing, and shows a table that nobody has touched for days; the check is exact to the session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.gaps import catch_up_starts

CHECK_NAME = "latest_session_is_published"
SENSOR_NAME = "freshness"
GRACE = timedelta(hours=1)
"""Time after the catch-up sensor's first look at a session until readers may expect it."""
LONGEST_CLOSING = timedelta(days=4)
"""From a session to the next, at most: a weekend with a holiday before or after it."""
_TWO_WEEKS = timedelta(days=14)


@dataclass(frozen=True)
class Freshness:
    """How the table stands at a moment.

    Attributes:
        expected: the session that should be published by then.
        latest: the latest that is, or None.
        symbols: number of symbols published for the expected one.
    """

    expected: date
    latest: date | None
    symbols: int

    @property
    def is_fresh(self) -> bool:
        """Whether the expected session is there."""
        return self.symbols > 0

    @property
    def said(self) -> str:
        """One line for people."""
        if self.is_fresh:
            return f"session {self.expected} is published, {self.symbols} symbols"
        return f"session {self.expected} should be published and is not; the latest is {self.latest or 'none'}"


def policy() -> dg.FreshnessPolicy:
    """Make the policy of the published table; no regular closing of the exchange makes it fail."""
    return dg.FreshnessPolicy.time_window(fail_window=LONGEST_CLOSING + 2 * GRACE)


def expected_session(at: datetime) -> date:
    """Give the latest session that readers may expect at a moment."""
    days = sessions_between((at - _TWO_WEEKS).date(), at.date())
    return [session for session in days if catch_up_starts(session) + GRACE <= at][-1]


def freshness(backend: Backend, at: datetime) -> Freshness:
    """Look at the published table."""
    expected = expected_session(at)
    with backend.warehouse.open() as sql:
        # Of a table that is up to date, a few weeks are read; only one that is not is read as a whole.
        for since in (expected - _TWO_WEEKS, date.min):
            select = statement("coverage/latest_session.sql").bind(
                {"published_prices": sql.name(DAILY_PRICES), "expected": expected, "since": since}
            )
            [row] = sql.query(select).to_pylist()
            if row["latest_session"] is not None:
                break
    return Freshness(expected, row["latest_session"], row["symbols"])


def freshness_check(*, now: Clock = utc_now) -> dg.AssetChecksDefinition:
    """Make the check; runs evaluate it after publishing, the sensor in between."""

    @dg.asset_check(
        asset=DAILY_PRICES.asset_key,
        name=CHECK_NAME,
        description=(
            "Readers have the latest session of the exchange by midnight UTC of its day. Weekends and holidays are no "
            "sessions. Evaluated in every run, and by a sensor when none runs."
        ),
    )
    def latest_session_is_published(backend: Backend) -> dg.AssetCheckResult:
        found = freshness(backend, now())
        return dg.AssetCheckResult(
            passed=found.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.said,
            metadata=_shown(found),
        )

    return latest_session_is_published


def freshness_sensor(*, channels: Sequence[Channel] = (), now: Clock = utc_now) -> dg.SensorDefinition:
    """Make the sensor; it speaks up when the answer changes, and is silent else."""

    @dg.sensor(
        name=SENSOR_NAME,
        minimum_interval_seconds=900,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Evaluates the check `{CHECK_NAME}` when no run does: also when nothing runs at all.",
    )
    def freshness_of_prices(context: dg.SensorEvaluationContext, backend: Backend) -> dg.SensorResult:
        at = now()
        found = freshness(backend, at)
        waiting = [f"not delivered yet: {line}" for line in _tell(Notifier(backend, channels), found, at)]
        for line in waiting:
            context.log.warning(line)
        said = "; ".join([found.said, *waiting])
        if context.cursor == found.said:
            return dg.SensorResult(skip_reason=said)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=DAILY_PRICES.asset_key,
            check_name=CHECK_NAME,
            passed=found.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.said,
            metadata={name: dg.MetadataValue.text(text) for name, text in _shown(found).items()},
        )
        return dg.SensorResult(skip_reason=said, asset_events=[evaluation], cursor=found.said)

    return freshness_of_prices


def _tell(notifier: Notifier, found: Freshness, at: datetime) -> list[str]:
    """Keep one incident as long as the table is late, however many sessions that are."""
    late = Incident(
        kind="freshness",
        subject=DAILY_PRICES.full_name,
        title=f"stock_assets: {DAILY_PRICES.full_name} is late",
        facts={"found": found.said, **_shown(found)},
    )
    if found.is_fresh:
        return notifier.resolve(late.reference, at, found.said)
    return notifier.report(late, at)


def _shown(found: Freshness) -> dict[str, str]:
    remedy = {} if found.is_fresh else {"remedy": "see the last runs, and what the sensor catch_up says"}
    return {
        "expected session": found.expected.isoformat(),
        "latest session": str(found.latest or "none"),
        "symbols": str(found.symbols),
        **remedy,
    }
