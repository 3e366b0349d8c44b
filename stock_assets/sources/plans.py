"""The limits of Alpha Vantage's plans, as published by the vendor.

Belongs here: names and limits that are facts about the vendor. Does not belong here: which plan is used and which
settings override it (`settings`).
"""

from dataclasses import dataclass

QUOTA_DAY_ZONE = "America/New_York"
"""Time zone whose midnight begins a quota day: an assumption, because the vendor documents only New York times.

If the assumption is wrong, no data are lost: after a quota message of the vendor, requests stop for an hour, not for
the rest of our day.
"""


@dataclass(frozen=True)
class PlanTerms:
    """The limits of one plan; None means no limit.

    Attributes:
        per_second: calls per second; for paid plans, our own limit that spreads the calls of a minute.
        per_minute: calls per minute.
        per_day: calls per quota day.
        full_history: whether the plan includes `outputsize=full` (20 years); otherwise the latest 100 bars.
    """

    per_second: int | None
    per_minute: int | None
    per_day: int | None
    full_history: bool


PLANS: dict[str, PlanTerms] = {
    # The free plan once had a limit of 5 calls per minute; STOCK_ASSETS_CALLS_PER_MINUTE=5 restores it.
    "free": PlanTerms(per_second=1, per_minute=None, per_day=25, full_history=False),
    "premium_75": PlanTerms(per_second=2, per_minute=75, per_day=None, full_history=True),
    "premium_150": PlanTerms(per_second=3, per_minute=150, per_day=None, full_history=True),
    "premium_300": PlanTerms(per_second=5, per_minute=300, per_day=None, full_history=True),
    "premium_600": PlanTerms(per_second=10, per_minute=600, per_day=None, full_history=True),
    "premium_1200": PlanTerms(per_second=20, per_minute=1200, per_day=None, full_history=True),
}
