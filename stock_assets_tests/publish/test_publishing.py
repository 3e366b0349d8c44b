"""What a publish does to the two tables: one whole snapshot per load, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from stock_assets.audit import gate
from stock_assets.backends.interface import Backend, Snapshot
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.core.universe import Universe
from stock_assets.loads.load import Load, new_load_id
from stock_assets.publish import publishing
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.scenes import (
    BAD_BAR,
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    calm_source,
    content,
    keys,
    rebuilt,
    state,
    wavy_source,
)
from stock_assets_tests.support.steps import FIVE, local_backend, published_rows

DAY = SECOND_WEEK[1]
GOOD_BAR = "60,63.5,59,62,1700"


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, wavy_source())


@pytest.fixture
def other_home(tmp_path: Path) -> Backend:
    """An empty backend, for the rebuild to compare with."""
    return local_backend(tmp_path / "rebuilt")


def revise(scene: Scene, line: str, *, symbol: str = "IBM", day: date = DAY) -> None:
    """Let the vendor correct a bar, and fetch the correction."""
    scene.source.set_bar(symbol, day, line)
    deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []))


def failing_warnings(scene: Scene, sessions: list[date]) -> set[str]:
    load = scene.stage(sessions)
    verdicts = gate.audit_load(scene, load)
    return {verdict.audit.name for verdict in verdicts if not verdict.passed}


def test_a_load_is_one_snapshot_that_says_where_it_comes_from(scene: Scene) -> None:
    done = scene.run(SECOND_WEEK)

    [snapshot] = scene.backend.warehouse.history(DAILY_PRICES)
    assert snapshot.snapshot_id == done.prices.snapshot_id
    assert snapshot.rows == done.prices.added == 25
    assert snapshot.properties == {
        "load_id": done.load.load_id,
        "start_date": "2012-03-08",
        "end_date": "2012-03-14",
        "added": "25",
        "removed": "0",
        "splits": done.load.splits,
    }
    assert scene.backend.warehouse.history(QUARANTINED_PRICES) == []
    assert not done.quarantine.changed


def test_a_repeat_commits_nothing(scene: Scene) -> None:
    scene.source.set_bar("ORCL", DAY, BAD_BAR)
    first = scene.run(SECOND_WEEK)
    before = state(scene.backend)

    again = scene.run(SECOND_WEEK)
    scene.deliver_again()
    with_the_same_bars_fetched_again = scene.run(SECOND_WEEK)

    assert (again.prices.changed, again.quarantine.changed) == (False, False)
    assert again.prices.snapshot_id == first.prices.snapshot_id
    assert again.quarantine.snapshot_id == first.quarantine.snapshot_id
    assert not with_the_same_bars_fetched_again.prices.changed
    assert state(scene.backend)[DAILY_PRICES.full_name] == before[DAILY_PRICES.full_name]


def rows_of(backend: Backend, snapshot: Snapshot) -> list[dict[str, object]]:
    backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
    return published_rows(backend)


def test_no_version_in_history_was_ever_a_hole(scene: Scene) -> None:
    """Whatever version a reader or a rollback lands on, it is one that a load left complete."""
    scene.run(TWO_WEEKS)
    expected = [keys(published_rows(scene.backend))]
    for line in (GOOD_BAR, BAD_BAR, GOOD_BAR):
        revise(scene, line)
        scene.run(SECOND_WEEK)
        expected.append(keys(published_rows(scene.backend)))

    history = scene.backend.warehouse.history(DAILY_PRICES)

    assert len(history) == 4
    assert [keys(rows_of(scene.backend, snapshot)) for snapshot in reversed(history)] == expected
    assert [snapshot.rows for snapshot in reversed(history)] == [50, 50, 49, 50]


def test_a_bad_bar_lands_in_quarantine_with_its_audit_and_load(scene: Scene) -> None:
    scene.source.set_bar("ORCL", DAY, "100,102,99,-101,-5")
    done = scene.run(SECOND_WEEK)

    rows = published_rows(scene.backend, QUARANTINED_PRICES)

    assert [(row["symbol"], row["trade_date"], row["audit"], row["detail"]) for row in rows] == [
        ("ORCL", DAY, "low_not_above_body", "low 99.0000 > open 100.0000 or close -101.0000"),
        ("ORCL", DAY, "prices_positive", "lowest price -101.0000"),
        ("ORCL", DAY, "volume_not_negative", "volume -5"),
    ]
    assert {row["load_id"] for row in rows} == {done.load.load_id}
    assert {(row["close_price"], row["volume"]) for row in rows} == {(-101.0, -5)}
    assert done.quarantine.added == 3
    assert ("ORCL", DAY) not in keys(published_rows(scene.backend))


def test_the_same_bar_quarantined_again_keeps_its_load_and_commits_nothing(scene: Scene) -> None:
    scene.source.set_bar("ORCL", DAY, BAD_BAR)
    first = scene.run(SECOND_WEEK)
    before = state(scene.backend)

    wider = scene.run(TWO_WEEKS)

    assert wider.load.load_id != first.load.load_id
    assert not wider.quarantine.changed
    [row] = published_rows(scene.backend, QUARANTINED_PRICES)
    assert row["load_id"] == first.load.load_id
    assert state(scene.backend)[QUARANTINED_PRICES.full_name] == before[QUARANTINED_PRICES.full_name]


def test_a_correction_leaves_quarantine_and_is_published_as_if_it_had_always_been_good(
    scene: Scene, other_home: Backend
) -> None:
    scene.source.set_bar("IBM", DAY, BAD_BAR)
    scene.run(TWO_WEEKS)
    revise(scene, GOOD_BAR)

    assert failing_warnings(scene, SECOND_WEEK) <= {"no_unexplained_jump"}
    done = scene.publish(SECOND_WEEK)

    assert published_rows(scene.backend, QUARANTINED_PRICES) == []
    assert done.quarantine.removed == 1
    assert ("IBM", DAY) in keys(published_rows(scene.backend))
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_a_correction_of_a_calm_bar_warns_about_nothing(backend: Backend) -> None:
    """A bar that comes out of quarantine is new, not a revision of something readers have seen."""
    scene = Scene(backend, calm_source())
    scene.source.set_bar("IBM", DAY, BAD_BAR)
    scene.run(TWO_WEEKS)
    revise(scene, "100,102,99,101,1234")

    assert failing_warnings(scene, SECOND_WEEK) == set()


def test_a_bad_revision_withdraws_the_bar_into_quarantine(scene: Scene, other_home: Backend) -> None:
    scene.run(TWO_WEEKS)
    revise(scene, BAD_BAR)

    done = scene.run(SECOND_WEEK)

    assert keys(published_rows(scene.backend, QUARANTINED_PRICES)) == {("IBM", DAY)}
    assert keys(published_rows(scene.backend)) == {(s, d) for s in FIVE.symbols for d in TWO_WEEKS} - {("IBM", DAY)}
    assert done.prices.removed > done.prices.added
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_a_newer_answer_that_reaches_less_far_back_wins_where_it_reaches(scene: Scene, other_home: Backend) -> None:
    scene.run(TWO_WEEKS)
    scene.source.set_bar("IBM", DAY, GOOD_BAR)
    short = scene.source.fetch_prices("IBM", []).decode().splitlines()[: len(SECOND_WEEK) + 1]
    deliver(scene.backend, "IBM", "".join(f"{line}\r\n" for line in short).encode())

    done = scene.run(TWO_WEEKS)

    assert len([key for key in done.load.response_keys if key.endswith("/IBM.csv")]) == 2
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_a_change_is_carried_into_the_sessions_that_look_back_at_it(scene: Scene, other_home: Backend) -> None:
    scene.run(TWO_WEEKS)
    before = {(row["symbol"], row["trade_date"]): row for row in published_rows(scene.backend)}
    revise(scene, GOOD_BAR, day=FIRST_WEEK[1])

    done = scene.run([FIRST_WEEK[1]])

    after = {(row["symbol"], row["trade_date"]): row for row in published_rows(scene.backend)}
    changed = {key for key, row in after.items() if row != before[key]}
    # By number of session: the bar 1 itself; 2 by prev_close; 4 and 5, whose mean of 5 closes holds it; 7 and 8,
    # whose 7 volumes before hold it.
    assert changed == {("IBM", TWO_WEEKS[number]) for number in (1, 2, 4, 5, 7, 8)}
    assert (done.prices.added, done.prices.removed) == (len(changed), len(changed))
    following = FIRST_WEEK[2]
    assert after["IBM", following]["prev_close"] == 62
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_a_symbol_that_left_the_universe_keeps_its_history(scene: Scene, other_home: Backend) -> None:
    scene.run(TWO_WEEKS)
    before = published_rows(scene.backend)
    scene.change(universe=Universe(FIVE.listings[1:]))

    again = scene.run(TWO_WEEKS)
    part = scene.run(SECOND_WEEK)

    assert (again.prices.changed, part.prices.changed) == (False, False)
    assert published_rows(scene.backend) == before
    assert "AAPL" in {symbol for symbol, _ in keys(before)}


P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Rival:
    """Another writer, who corrects a bar of the first week and publishes it; `times` limits how often."""

    scene: Scene
    times: int
    done: int = 0

    def commit(self) -> None:
        if self.done < self.times:
            self.done += 1
            revise(self.scene, f"60,63.5,59,62,{1700 + self.done}", day=FIRST_WEEK[self.done % 5])
            self.scene.run(FIRST_WEEK)

    def commit_after(self, step: Callable[P, T]) -> Callable[P, T]:
        """Let the step be done, then be faster."""

        def overtaken(*args: P.args, **kwargs: P.kwargs) -> T:
            result = step(*args, **kwargs)
            self.commit()
            return result

        return overtaken


@pytest.fixture
def staged(scene: Scene) -> Load:
    """A published first week, and a second one that is staged on top of it."""
    scene.run(FIRST_WEEK)
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


@pytest.mark.parametrize("times", [1, 2])
def test_a_load_that_was_overtaken_is_staged_again(
    scene: Scene, staged: Load, other_home: Backend, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The second week looks back at the first: as staged, it would keep metrics of bars that were corrected since."""
    rival = Rival(scene, times)
    rival.commit()
    monkeypatch.setattr(publishing, "stage", rival.commit_after(stage))

    done = scene.publish(SECOND_WEEK)

    assert rival.done == times
    assert done.load.load_id > staged.load_id
    assert done.load.base_snapshot != staged.base_snapshot
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_a_commit_while_the_load_is_audited_is_not_overwritten(
    scene: Scene, staged: Load, other_home: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version the gate has read is the one the commit must build on."""
    revise(scene, BAD_BAR)
    load = scene.stage(SECOND_WEEK)
    rival = Rival(scene, times=1)
    monkeypatch.setattr(publishing, "reject_if_blocked", rival.commit_after(gate.reject_if_blocked))

    done = scene.publish(SECOND_WEEK)

    assert rival.done == 1
    assert done.load.load_id > load.load_id > staged.load_id
    assert content(scene.backend) == rebuilt(other_home, scene, TWO_WEEKS)


def test_publish_gives_up_when_others_are_always_faster(
    scene: Scene, staged: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "ATTEMPTS", 3)
    rival = Rival(scene, times=3)
    rival.commit()
    monkeypatch.setattr(publishing, "stage", rival.commit_after(stage))
    pauses: list[float] = []

    with pytest.raises(ConcurrentPublish) as error:
        publish(scene, SECOND_WEEK, pause=pauses.append)

    assert error.value.transient
    assert rival.done == 3
    assert len(pauses) == 2
    assert all(0 <= seconds <= 2 for seconds in pauses)
    assert {day for _, day in keys(published_rows(scene.backend))} == set(FIRST_WEEK)
    assert staged.base_snapshot is not None


def test_two_loads_of_one_moment_have_different_names() -> None:
    """Two processes may stage in the same microsecond; one set of tables for both would mix their rows."""
    moment = datetime(2012, 3, 14, 22, 0, tzinfo=UTC)

    assert new_load_id(moment) != new_load_id(moment)
