"""What the plans of Alpha Vantage allow, as published by the vendor, and where its key is looked for.

Belongs here: names and presets that settings and client share. Does not belong here: which plan is used and what
overrides it (`settings`).
"""

from dataclasses import dataclass

API_KEY_VARIABLE = "ALPHAVANTAGE_API_KEY"
"""Environment variable of the key; its name, never its value, is part of definitions."""

QUOTA_DAY_ZONE = "America/New_York"
"""The zone whose midnight is taken to begin a quota day. The vendor does not say; its own times are New York's.

If it is wrong, nothing is lost: a quota text of the vendor closes the budget for an hour, not for our day.
"""


@dataclass(frozen=True)
class PlanTerms:
    """What one plan allows; None means any number.

    Attributes:
        per_second: calls in a second; of the paid plans, the burst that evens out their minute.
        per_minute: calls in a minute.
        per_day: calls in a quota day.
        full_history: whether `outputsize=full` (20 years) is part of it; else the latest 100 bars.
    """

    per_second: int | None
    per_minute: int | None
    per_day: int | None
    full_history: bool


PLANS: dict[str, PlanTerms] = {
    # The free plan once had 5 calls a minute; STOCK_ASSETS_CALLS_PER_MINUTE=5 brings that back.
    "free": PlanTerms(per_second=1, per_minute=None, per_day=25, full_history=False),
    "premium_75": PlanTerms(per_second=2, per_minute=75, per_day=None, full_history=True),
    "premium_150": PlanTerms(per_second=3, per_minute=150, per_day=None, full_history=True),
    "premium_300": PlanTerms(per_second=5, per_minute=300, per_day=None, full_history=True),
    "premium_600": PlanTerms(per_second=10, per_minute=600, per_day=None, full_history=True),
    "premium_1200": PlanTerms(per_second=20, per_minute=1200, per_day=None, full_history=True),
}
