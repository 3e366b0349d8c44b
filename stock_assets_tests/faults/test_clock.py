"""The clock of the machine is set forward and back: the newest responses and loads count, whatever their times say."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from unittest import mock

import pytest

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core import clock
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


def request_again(root: Path, name: str) -> Scene:
    scene = Scene(local_backend(root), version(name))
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


def test_a_response_is_not_dated_after_the_close_of_a_session_that_is_open(tmp_path: Path, tally: Tally) -> None:
    """Its bar of the open session would count as complete."""
    root = tmp_path / "backend"
    open_session = datetime(2026, 11, 25, 15, tzinfo=UTC)
    with clock_at(open_session + timedelta(days=1)):
        request_again(root, "A")
    with clock_at(open_session):
        scene = request_again(root, "B")
        arrived = {fetch.fetched_at.date() for fetch in scene.backend.ledger.fetches(FetchKind.PRICES)}
    assert arrived == {date(2026, 11, 25), date(2026, 11, 26)}
    tally.count("clock set back over a close: time kept", "survived")
