"""The whole data path, raw to published, on two backends: consumers read the same rows from both."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.publish.publishing import Published
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.scenes import (
    BAD_BAR,
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    content,
    keys,
    wavy_source,
)
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.trino_backends import TrinoOnEmulator


class Both:
    """One source and two backends: the local one, and the one in the test's name."""

    def __init__(self, backends: Sequence[Backend], source: ScriptedSource) -> None:
        self.source = source
        self.scenes = [Scene(backend, source) for backend in backends]

    @property
    def backends(self) -> list[Backend]:
        return [scene.backend for scene in self.scenes]

    def run(self, sessions: Sequence[date]) -> list[Published]:
        """Run both, and compare the effects and the published rows."""
        done = [scene.run(sessions) for scene in self.scenes]
        self.compare()
        assert {(one.prices.added, one.prices.removed) for one in done} == {
            (done[0].prices.added, done[0].prices.removed)
        }
        assert {(one.quarantine.added, one.quarantine.removed) for one in done} == {
            (done[0].quarantine.added, done[0].quarantine.removed)
        }
        return done

    def run_again(self, sessions: Sequence[date]) -> list[Published]:
        """Store the vendor's current responses, and run."""
        for scene in self.scenes:
            scene.deliver_again()
        return self.run(sessions)

    def compare(self) -> None:
        """Compare the published and the quarantined rows, bit by bit."""
        (local, local_bad), (other, other_bad) = (content(backend) for backend in self.backends)
        assert exact(other) == exact(local)
        assert exact(other_bad) == exact(local_bad)


@pytest.fixture(params=[pytest.param("aws", marks=pytest.mark.aws), pytest.param("trino", marks=pytest.mark.trino)])
def both(tmp_path: Path, request: pytest.FixtureRequest) -> Both:
    folder = tmp_path / "backend"
    if request.param == "aws":
        return Both([local_backend(folder), request.getfixturevalue("make_aws_backend")(folder)], wavy_source())
    trino: TrinoOnEmulator = request.getfixturevalue("trino")
    return Both([local_backend(folder), trino.backend(folder)], wavy_source())


def test_a_few_sessions_and_their_repetition_are_published_equally(both: Both) -> None:
    both.run(FIRST_WEEK[:3])
    [local, other] = both.run(FIRST_WEEK[:3])

    assert [local.prices.changed, other.prices.changed] == [False, False]
    assert [len(backend.warehouse.history(DAILY_PRICES)) for backend in both.backends] == [1, 1]


@pytest.mark.slow
def test_weeks_in_any_order_and_a_repeated_week_are_published_equally(both: Both) -> None:
    both.run(SECOND_WEEK)
    both.run(FIRST_WEEK)
    again = both.run(SECOND_WEEK)

    assert [one.prices.changed for one in again] == [False, False]
    assert [len(backend.warehouse.history(DAILY_PRICES)) for backend in both.backends] == [2, 2]


@pytest.mark.slow
def test_a_late_symbol_is_published_equally(both: Both) -> None:
    bars = both.source.fetch_prices("IBM", []).decode().splitlines()[1:]
    both.source.drop_bar("IBM", TWO_WEEKS[3])
    both.run(TWO_WEEKS)

    line = next(bar for bar in bars if bar.startswith(str(TWO_WEEKS[3])))
    both.source.set_bar("IBM", TWO_WEEKS[3], line.partition(",")[2])
    both.run_again([TWO_WEEKS[3]])

    assert [len(content(backend)[0]) for backend in both.backends] == [50, 50]


@pytest.mark.slow
def test_a_correction_is_published_equally(both: Both) -> None:
    both.run(TWO_WEEKS)
    both.source.set_bar("IBM", TWO_WEEKS[2], "50,55,45,52,777")

    [local, _] = both.run_again([TWO_WEEKS[2]])

    assert local.prices.removed > 1, "the metrics of the following sessions depend on it"


@pytest.mark.slow
def test_a_split_that_becomes_known_late_is_published_equally(both: Both) -> None:
    both.run(TWO_WEEKS)
    both.source.set_splits("IBM", {TWO_WEEKS[4]: "2.0000"})

    [local, _] = both.run([TWO_WEEKS[-1]])

    assert local.prices.added == len(TWO_WEEKS) - 4
    factors = [{row["split_factor"] for row in content(backend)[0]} for backend in both.backends]
    assert factors == [{1.0, 2.0}] * 2


@pytest.mark.slow
def test_a_bad_bar_is_quarantined_and_is_published_after_it_was_fixed(both: Both) -> None:
    both.source.set_bar("IBM", TWO_WEEKS[1], BAD_BAR)
    both.run(FIRST_WEEK)
    assert [keys(content(backend)[1]) for backend in both.backends] == [{("IBM", TWO_WEEKS[1])}] * 2

    both.source.set_bar("IBM", TWO_WEEKS[1], "50,55,45,52,777")
    both.run_again(FIRST_WEEK)

    assert [content(backend)[1] for backend in both.backends] == [[], []]
    assert [backend.warehouse.history(QUARANTINED_PRICES)[0].rows for backend in both.backends] == [0, 0]


@pytest.mark.slow
def test_an_excluded_session_keeps_what_it_has_and_the_others_are_published(both: Both) -> None:
    both.source.set_bar("ORCL", TWO_WEEKS[1], BAD_BAR)
    both.run(FIRST_WEEK)
    for symbol in ("AAPL", "IBM", "MSFT"):
        both.source.set_bar(symbol, TWO_WEEKS[1], BAD_BAR)
    both.source.set_bar("IBM", TWO_WEEKS[2], "50,55,45,52,777")
    both.run_again(FIRST_WEEK)

    for backend in both.backends:
        prices, quarantine = content(backend)
        assert ("IBM", TWO_WEEKS[1]) in keys(prices)
        assert keys(quarantine) == {("ORCL", TWO_WEEKS[1])}
        [revised] = [row for row in prices if (row["symbol"], row["trade_date"]) == ("IBM", TWO_WEEKS[2])]
        assert revised["close_price"] == 52
    assert content(both.backends[0]) == content(both.backends[1])


@pytest.mark.slow
def test_a_blocked_load_leaves_everything(both: Both) -> None:
    both.run(FIRST_WEEK)
    before = [content(backend) for backend in both.backends]
    for symbol in ("AAPL", "IBM", "MSFT"):
        for day in FIRST_WEEK:
            both.source.set_bar(symbol, day, BAD_BAR)
    for scene in both.scenes:
        scene.deliver_again()
        scene.stage(FIRST_WEEK)
        with pytest.raises(LoadRejected, match="quarantined_share_within_limit"):
            scene.publish(FIRST_WEEK)

    assert [content(backend) for backend in both.backends] == before
    assert [len(backend.warehouse.history(DAILY_PRICES)) for backend in both.backends] == [1, 1]


@pytest.mark.slow
def test_a_rollback_and_the_load_after_it(both: Both) -> None:
    both.run(FIRST_WEEK)
    both.run(SECOND_WEEK)
    for backend in both.backends:
        backend.warehouse.rollback(DAILY_PRICES, backend.warehouse.history(DAILY_PRICES)[-1].snapshot_id)
    both.compare()
    assert {row["trade_date"] for row in content(both.backends[1])[0]} == set(FIRST_WEEK)

    both.run(SECOND_WEEK)

    assert {row["trade_date"] for row in content(both.backends[1])[0]} == set(TWO_WEEKS)
