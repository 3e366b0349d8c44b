"""The values of settings that choose one of several things.

Belongs here: their names. Does not belong here: what a choice constructs (`pipeline`).
"""

from enum import StrEnum


class SourceName(StrEnum):
    """Names of the sources of prices."""

    RECORDED = "recorded"
    ALPHA_VANTAGE = "alpha_vantage"


class AlphaVantagePlan(StrEnum):
    """Plan of the API key; the number in a paid plan's name is its calls per minute."""

    FREE = "free"
    PREMIUM_75 = "premium_75"
    PREMIUM_150 = "premium_150"
    PREMIUM_300 = "premium_300"
    PREMIUM_600 = "premium_600"
    PREMIUM_1200 = "premium_1200"


class BackendName(StrEnum):
    """Names of the backends."""

    LOCAL = "local"
    AWS = "aws"
    TRINO = "trino"


class EventLog(StrEnum):
    """Event log storages of the local Dagster instance."""

    OPTIMIZED = "optimized"
    BUILTIN = "builtin"
