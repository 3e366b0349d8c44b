"""Missing sessions are separated from rejected ones and from bars outside the available history."""

from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import LoadRejected
from stock_assets.coverage.missing_sessions import Missing, find_missing
from stock_assets.sources.interface import AvailableHistory
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source

MONDAY = date(2012, 3, 5)


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, calm_source())


def missing(scene: Scene) -> Missing:
    return find_missing(scene, TWO_WEEKS, at=datetime.now(UTC) + timedelta(minutes=1))


def test_published_sessions_are_not_missing(scene: Scene) -> None:
    scene.run(FIRST_WEEK)

    found = missing(scene)

    assert found == Missing(tuple(SECOND_WEEK), ((SECOND_WEEK[0], SECOND_WEEK[-1]),), {})


def test_rejected_sessions_are_named_with_their_audits_and_in_no_range(scene: Scene) -> None:
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)
    with pytest.raises(LoadRejected):
        scene.run(TWO_WEEKS)

    found = missing(scene)

    assert {day: rejection.audits for day, rejection in found.rejected.items()} == {
        MONDAY: ("quarantined_share_within_limit",)
    }
    assert found.ranges == ((FIRST_WEEK[0], FIRST_WEEK[1]), (FIRST_WEEK[3], SECOND_WEEK[-1]))
    assert MONDAY not in found.sessions


def test_bars_before_the_available_history_are_unavailable(scene: Scene) -> None:
    class LimitedSource(ScriptedSource):
        def available_history(self, at: datetime) -> AvailableHistory:
            assert at.tzinfo is UTC
            return AvailableHistory(SECOND_WEEK[0], "a test limits it")

    scene.change(source=LimitedSource())

    found = missing(scene)

    assert [(gap.symbol, gap.session) for gap in found.unavailable] == [
        (symbol, session) for session in FIRST_WEEK for symbol in scene.universe.symbols
    ]
    assert found.sessions == tuple(SECOND_WEEK)
