"""Construct the source, the universe and the options of AWS from settings, without large libraries.

Belongs here: what the pipeline and the Lambda function both construct. Does not belong here: backends, alert channels
and steps (`pipeline`), reading the environment (`settings`).
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, TypedDict, assert_never

from stock_assets.core.universe import Universe, read_universe
from stock_assets.settings import Settings, SourceName, read_api_key
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.plans import PLANS

if TYPE_CHECKING:
    from stock_assets.backends.lakehouse.aws_session import AwsAccess

_UNIVERSES = {SourceName.RECORDED: "recorded.csv", SourceName.ALPHA_VANTAGE: "semiconductors.csv"}


class AwsOptions(TypedDict):
    """The role and the endpoint of AWS calls."""

    role_arn: str
    endpoint_url: str


def aws_options(settings: Settings) -> AwsOptions:
    """Return the role and the endpoint of AWS calls."""
    return AwsOptions(
        role_arn=settings.aws_role_arn or "", endpoint_url=str(settings.aws_endpoint_url or "").rstrip("/")
    )


def aws_access(settings: Settings) -> "AwsAccess":
    """Return region, role and endpoint of AWS calls; `Settings` checks that a region is set where one is needed."""
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)

    return AwsAccess(region=settings.aws_region or "", **aws_options(settings))


def data_prefix(settings: Settings) -> str:
    """Return the folder in the bucket; each source and universe has its own, so that their data never mix."""
    shared = shared_prefix(settings)
    return f"{shared}/universes/{settings.universe_name}" if settings.universe_name else shared


def shared_prefix(settings: Settings) -> str:
    """Return the folder in the bucket with the calls of the API key, which all universes of a source share."""
    return f"{settings.aws_prefix}/{settings.source}"


def configured_universe(settings: Settings) -> Universe:
    """Read the universe file of the settings, or the default one of the source."""
    return read_universe(settings.universe_file or packaged_universe(settings.source))


def packaged_universe(source: SourceName) -> Traversable:
    """Return the universe file of a source in the package; an upgrade replaces it."""
    return files("stock_assets").joinpath("universes", _UNIVERSES[source])


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
    from stock_assets.sources.api_key import SecretsManagerKey  # noqa: PLC0415 (imports large libraries)

    return cache(SecretsManagerKey(aws_access(settings), settings.aws_api_key_secret).read)
