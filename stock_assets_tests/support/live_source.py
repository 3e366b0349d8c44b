"""The live client, pointed at the look-alike server, with short pauses and a clock of the test."""

from datetime import datetime

from stock_assets.core.clock import Clock
from stock_assets.core.universe import Listing, Universe
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.transport import Timeouts
from stock_assets_tests.fakes.vendor_server import VendorServer

KEY = "QX7+CANARY/91=ZK"
"""A key that a URL must encode, so that a forgotten form of it shows."""


def live_source(server: VendorServer, *, now: Clock | None = None, **options: object) -> AlphaVantageSource:
    """Make a client.

    Args:
        server: whom it asks.
        now: the clock.
        options: fields of `AlphaVantageSource`, and `patience`: seconds until an answer has to be there, more than the
            default where each call counts and the machine may be busy.
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
    """A universe of some symbols, always listed."""
    return Universe(tuple(Listing(f"S{number:02d}", f"Stock {number}") for number in range(1, count + 1)))


def utc(text: str) -> datetime:
    """Read a moment such as `2024-03-01 22:00`, in UTC."""
    return datetime.fromisoformat(f"{text}+00:00")
