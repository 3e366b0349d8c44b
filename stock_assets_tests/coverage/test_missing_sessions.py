"""Missing sessions are separated from rejected ones and from bars outside the available history."""

from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import STAGED_PRICES
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.coverage.gaps import bars_of
from stock_assets.coverage.missing_sessions import Missing, find_missing
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source, tamper

MONDAY = date(2012, 3, 5)


class LimitedSource(ScriptedSource):
    """A source whose responses contain only the second week."""

    def available_history(self, at: datetime) -> AvailableHistory:
        assert at.tzinfo is UTC
        return AvailableHistory(SECOND_WEEK[0], "a test limits it")


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, calm_source())


def missing(scene: Scene) -> Missing:
    return find_missing(scene, TWO_WEEKS, at=datetime.now(UTC) + timedelta(minutes=1))


def test_published_sessions_are_not_missing(scene: Scene) -> None:
    scene.run(FIRST_WEEK)

    found = missing(scene)

    assert found == Missing(tuple(SECOND_WEEK), ((SECOND_WEEK[0], SECOND_WEEK[-1]),), {})


def test_excluded_sessions_are_named_and_their_quarantined_bars_are_requested_again(scene: Scene) -> None:
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)
    scene.run(FIRST_WEEK)

    found = missing(scene)

    assert {day: rejection.audits for day, rejection in found.rejected.items()} == {
        MONDAY: ("quarantined_share_within_limit",)
    }
    assert list(found.runs()) == [(MONDAY, SECOND_WEEK[-1], ["AAPL", "CSCO"])]
    assert [(gap.symbol, gap.audits) for gap in found.quarantined] == [
        ("AAPL", ("volume_not_negative",)),
        ("CSCO", ("volume_not_negative",)),
    ]


def test_an_excluded_session_whose_bars_cannot_be_requested_is_left_out(scene: Scene) -> None:
    for symbol in ("AAPL", "CSCO", "IBM"):
        scene.source.drop_bar(symbol, MONDAY)
    scene.run(TWO_WEEKS)
    assert missing(scene).sessions == (MONDAY,), "missing bars are requested"

    scene.change(source=LimitedSource())

    found = missing(scene)
    assert found.sessions == ()
    assert not found.is_complete
    assert found.rejected.keys() == {MONDAY}
    assert [gap.symbol for gap in found.unavailable] == ["AAPL", "CSCO", "IBM"]


def test_a_session_that_a_load_audit_rejected_is_in_no_range(scene: Scene) -> None:
    scene.fetch(TWO_WEEKS)
    load = scene.stage(TWO_WEEKS)
    doubled = f"SELECT * FROM {{name}} UNION ALL SELECT * FROM {{name}} WHERE trade_date = DATE '{MONDAY}'"
    tamper(scene.backend, load, STAGED_PRICES, doubled)
    with pytest.raises(LoadRejected):
        scene.publish(TWO_WEEKS)

    found = missing(scene)

    assert {audit for rejection in found.rejected.values() for audit in rejection.audits} == {
        "one_row_per_symbol_and_session"
    }
    assert found.ranges == ((FIRST_WEEK[0], FIRST_WEEK[1]), (FIRST_WEEK[3], SECOND_WEEK[-1]))


def test_bars_before_the_available_history_are_unavailable(scene: Scene) -> None:
    scene.change(source=LimitedSource())

    found = missing(scene)

    assert [(bar.symbol, bar.session) for bar in bars_of(found.unavailable)] == [
        (symbol, session) for session in FIRST_WEEK for symbol in scene.universe.symbols
    ]
    assert found.sessions == tuple(SECOND_WEEK)
