"""The live client, connected to the fake vendor server, with short pauses and a test clock."""

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import HttpUrl

from stock_assets.core.clock import Clock
from stock_assets.core.universe import Listing, Universe
from stock_assets.settings import AlphaVantagePlan, Settings, SourceName
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.transport import Timeouts
from stock_assets_tests.fakes.vendor_server import VendorServer

KEY = "QX7+CANARY/91=ZK"
"""A key that looks different in a URL, so that a test notices an encoding that is not redacted."""


def live_source(server: VendorServer, *, now: Clock | None = None, **options: object) -> AlphaVantageSource:
    """Construct a client.

    Args:
        server: the fake vendor server.
        now: the clock.
        options: fields of `AlphaVantageSource`, and `patience`: timeout in seconds; tests that count calls set
            more than the default, because the machine may be busy.
    """
    patience = float(str(options.pop("patience", 1.0)))
    key = str(options.pop("api_key", KEY))
    fields: dict[str, object] = {
        "base_url": server.url,
        "read_key": lambda: key,
        "first_pause_seconds": 0.01,
        "timeouts": Timeouts(connect=patience, read=patience / 2, whole=patience),
        **({"now": now} if now is not None else {}),
        **options,
    }
    return AlphaVantageSource(**fields)  # type: ignore[arg-type]  # fields by name


def symbols(count: int) -> Universe:
    """Return a universe of this many symbols, always listed."""
    return Universe(tuple(Listing(f"S{number:02d}", f"Stock {number}") for number in range(1, count + 1)))


def utc(text: str) -> datetime:
    """Parse a timestamp such as `2024-03-01 22:00`, in UTC."""
    return datetime.fromisoformat(f"{text}+00:00")


def live_settings(server: VendorServer, folder: Path, **options: object) -> Settings:
    """Return settings of the live source: the fake vendor server, and a data folder.

    The sessions are those of three months: Dagster lists all partitions several times per run, which takes a second for
    each time if they begin in 2000.
    """
    values: dict[str, object] = {
        "source": SourceName.ALPHA_VANTAGE,
        "first_session": server.last_session - timedelta(days=90),
        "data_dir": folder / "data",
        "alpha_vantage_base_url": HttpUrl(server.url),
        "alpha_vantage_plan": AlphaVantagePlan.PREMIUM_1200,
        **options,
    }
    return Settings(**values)  # type: ignore[arg-type]  # fields by name
