"""The clock of the machine is set forward and back: the newest responses and loads count, whatever their times say."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from unittest import mock

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core import clock
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import Outcome
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.ledger_queries import missing_sessions
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.loads.load import newest_load
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.repair import Repair
from stock_assets.maintenance.verify import Depth, verify
from stock_assets.stage import staging
from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.support.publishers import VERSIONS, version
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, content, rebuilt
from stock_assets_tests.support.steps import FIVE, local_backend

pytestmark = pytest.mark.faults
NIGHT = datetime(2026, 11, 26, 3, tzinfo=UTC)
"""No session closes in the hours around it."""
HOURS = (0.0, 5.0, -3.0)
ORDERS = list(itertools.permutations(HOURS)) if FULL else [(0.0, 5.0, -3.0), (0.0, -3.0, 5.0)]


@contextmanager
def clock_at(at: datetime) -> Iterator[None]:
    """Let the clock that requests, staging and commits read show another time, and run on from there."""
    began, real = time.time(), time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain timestamp is enough
            return (at + timedelta(seconds=real() - began)).astimezone(tz)

    with (
        mock.patch.object(clock, "datetime", Shifted),
        mock.patch.object(staging, "datetime", Shifted),
        mock.patch.object(time, "time", lambda: at.timestamp() + real() - began),  # noqa: PT008 (it runs on)
    ):
        yield


def request_again(root: Path, name: str, last_bar: str | None = None) -> Scene:
    scene = Scene(local_backend(root), version(name))
    if last_bar:
        for symbol in FIVE.symbols:
            scene.source.set_bar(symbol, TWO_WEEKS[-1], last_bar)
    fetch_prices(scene, TWO_WEEKS, rules=RequestRules(again=frozenset(FIVE.symbols)))
    return scene


@pytest.mark.parametrize("hours", ORDERS)
def test_the_newest_response_and_load_count_whatever_the_clock_shows(
    hours: tuple[float, ...], tmp_path: Path, tally: Tally
) -> None:
    root = tmp_path / "backend"
    expected = {
        name: rebuilt(local_backend(tmp_path / name), Scene(local_backend(Path()), version(name)), TWO_WEEKS)
        for name in VERSIONS
    }
    for name, shift in zip(itertools.cycle(VERSIONS), hours, strict=False):
        with clock_at(NIGHT + timedelta(hours=shift)):
            # Staged and not published: a run that was interrupted.
            scene = request_again(root, VERSIONS[name == VERSIONS[0]])
            stale = scene.stage(TWO_WEEKS)
        with clock_at(NIGHT + timedelta(hours=shift - 1)):
            scene = request_again(root, name)
            load = scene.stage(TWO_WEEKS)
            assert newest_load(scene.backend, TWO_WEEKS).load_id == load.load_id != stale.load_id
            scene.publish(TWO_WEEKS)
        right = content(local_backend(root)) == expected[name]
        tally.count("clock set forward or back", "survived" if right else "wrong")
        assert right

    # The catalog is found again by the order of the commits.
    (root / "catalog.db").unlink()
    assert Repair(scene, LocalBackend(root), lambda _: None).apply()
    assert content(local_backend(root)) == expected[name]
    assert list(verify(scene, Depth(deep=True, recompute=Sample()))) == []


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=400)])
def test_a_clock_that_was_ahead_of_a_market_close_neither_hides_corrections_nor_makes_bars_complete(
    ahead: timedelta, tmp_path: Path, tally: Tally
) -> None:
    """The last session is open: the vendor has an incomplete bar, and the clock that is ahead makes it seem complete.

    When the clock is right, the other bars of the new responses count, and the last session is requested again.
    """
    root, day = tmp_path / "backend", TWO_WEEKS[-1]
    during, after = closing_time(day) - timedelta(hours=5), closing_time(day) + timedelta(hours=1)
    incomplete = "1,1,1,1,1"
    with clock_at(during + ahead):
        scene = request_again(root, "A", incomplete)
        scene.stage(TWO_WEEKS)
        scene.publish(TWO_WEEKS)

    with clock_at(during):
        corrected = request_again(root, "B", incomplete)
        corrected.run(TWO_WEEKS[:-1])
    rows, _ = content(local_backend(root))
    right, _ = rebuilt(local_backend(tmp_path / "B"), Scene(local_backend(Path()), version("B")), TWO_WEEKS)
    assert [row for row in rows if row["trade_date"] != day] == [row for row in right if row["trade_date"] != day]
    with corrected.backend.ledger.read() as ledger:
        assert missing_sessions(ledger, {one: [day] for one in FIVE.symbols}) == dict.fromkeys(FIVE.symbols, (day,))

    with clock_at(after):
        scene = Scene(local_backend(root), version("B"))
        scene.run(TWO_WEEKS)
    assert content(local_backend(root))[0] == right

    # Keys of responses contain both times, so that the ledger can be computed again.
    before = requests(scene)
    (root / "ledger.db").unlink()
    with clock_at(after):
        assert Repair(scene, LocalBackend(root), lambda _: None).apply()
        assert requests(scene) == before
        assert list(verify(scene, Depth(deep=True, recompute=Sample()))) == []
    tally.count("clock ahead of a market close, then right", "survived")


def requests(scene: Scene) -> list[Fetch]:
    """Return the good responses of the ledger, without the texts for people."""
    found = scene.backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK)
    return sorted(fetch._replace(detail="") for fetch in found)


def test_a_landing_file_that_replaces_nothing_because_of_the_clock_says_so(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "backend"
    now = NIGHT - timedelta(days=300)
    with clock_at(now + timedelta(days=1)):
        scene = request_again(root, "A")
    file = root / "raw" / "daily_prices" / "correction" / "IBM.csv"
    file.parent.mkdir()
    file.write_bytes(version("B").fetch_prices("IBM", []))
    scope = LandingScope(TWO_WEEKS[0], TWO_WEEKS[-1])

    for at, replaces_nothing in ((now, True), (now + timedelta(days=2), False)):
        [found] = scan(scene, scope, at=at).landing_files
        assert (f"are dated {now + timedelta(days=1):%Y-%m-%d %H:%M} UTC, in the future" in found.summary) is (
            replaces_nothing
        )
    tally.count("clock ahead, then a landing file", "survived")
