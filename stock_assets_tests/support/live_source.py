"""The live client, connected to the fake vendor server, with short pauses and a test clock."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from pydantic import HttpUrl

from stock_assets.core.clock import Clock
from stock_assets.core.universe import Listing, Universe
from stock_assets.settings import AlphaVantagePlan, Settings, SourceName
from stock_assets.sources import transport
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.transport import Timeouts
from stock_assets_tests.fakes.vendor_server import VendorServer

KEY = "QX7+CANARY/91=ZK"
"""A key that looks different in a URL, so that a test notices an encoding that is not redacted."""

PATIENT = Timeouts(connect=60, read=60, whole=60)


class ManualDeadline:
    """The deadline of a request, in place of a timer; it passes when the test says so."""

    def __init__(self, expire: Callable[[], None]) -> None:
        self._thread, self._expired = Thread(target=expire, daemon=True), False

    def start(self) -> None:
        """Do nothing: no timer runs."""

    def cancel(self) -> None:
        """Do nothing: no timer runs."""

    def join(self) -> None:
        """Wait for the thread of a deadline that has passed."""
        if self._expired:
            self._thread.join()

    def expire(self) -> None:
        """Let the deadline pass."""
        self._expired = True
        self._thread.start()


class ManualDeadlines:
    """The deadlines of all requests from now on, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._begun: list[ManualDeadline] = []
        monkeypatch.setattr(transport, "Timer", self._begin)

    def expire(self, number: int = -1) -> None:
        """Let the deadline of one request pass, by default of the newest one."""
        self._begun[number].expire()

    def _begin(self, seconds: float, expire: Callable[[], None]) -> ManualDeadline:
        self._begun.append(ManualDeadline(expire))
        return self._begun[-1]


def live_source(server: VendorServer, *, now: Clock | None = None, **options: object) -> AlphaVantageSource:
    """Construct a client.

    Args:
        server: the fake vendor server.
        now: the clock.
        options: fields of `AlphaVantageSource`. The timeouts only end a test that is stuck, because the machine may be
            busy; a test of a timeout sets a shorter one, and the vendor waits until the client disconnects.
    """
    key = str(options.pop("api_key", KEY))
    fields: dict[str, object] = {
        "base_url": server.url,
        "read_key": lambda: key,
        "first_pause_seconds": 0.01,
        "timeouts": PATIENT,
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
