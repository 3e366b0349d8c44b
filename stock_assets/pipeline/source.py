"""Construct the source of prices from settings, without large libraries: the Lambda function does so too.

Belongs here: which source the settings describe, and how its API key is read. Does not belong here: the sources
(`sources`), the secret (`backends.lakehouse.secret`).
"""

from collections.abc import Callable
from functools import cache
from typing import assert_never

from stock_assets.settings import API_KEY_VARIABLE, Settings, SourceName, read_api_key
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.plans import PLANS


def price_source(settings: Settings) -> PriceSource:
    """Construct the source of prices."""
    match settings.source:
        case SourceName.RECORDED:
            from stock_assets.sources.recorded import RecordedSource  # noqa: PLC0415 (needs an optional dependency)

            return RecordedSource()
        case SourceName.ALPHA_VANTAGE:
            return _alpha_vantage_source(settings)
    assert_never(settings.source)


def _alpha_vantage_source(settings: Settings) -> PriceSource:
    from stock_assets.sources.alpha_vantage import AlphaVantageSource  # noqa: PLC0415 (imports large libraries)

    plan = PLANS[settings.alpha_vantage_plan]
    return AlphaVantageSource(
        base_url=str(settings.alpha_vantage_base_url),
        read_key=_key_reader(settings),
        calls_per_second=settings.calls_per_second or plan.per_second,
        calls_per_minute=settings.calls_per_minute or plan.per_minute,
        calls_per_day=settings.calls_per_day or plan.per_day,
        full_history=plan.full_history,
        splits_refresh_days=settings.splits_refresh_days,
    )


def _key_reader(settings: Settings) -> Callable[[], str]:
    """Return a function that reads the API key for a request: from the environment, or once from Secrets Manager."""
    if settings.aws_api_key_secret is None:
        return read_api_key
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.backends.lakehouse.secret import SecretsManagerKey  # noqa: PLC0415 (as above)

    access = AwsAccess(**settings.aws_options)
    return cache(SecretsManagerKey(access, settings.aws_api_key_secret, API_KEY_VARIABLE).read)
