"""A publish commits one complete snapshot per load to the two tables, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import pytest

from stock_assets.audit import gate
from stock_assets.backends.interface import Backend, Snapshot
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.core.universe import Universe
from stock_assets.loads.load import Load, new_load_id
from stock_assets.publish import publishing
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.published_week import Restored
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
def two_weeks(restored: Restored) -> Scene:
    """Both weeks are published."""
    return Scene(
        restored("wavy two weeks", lambda backend: Scene(backend, wavy_source()).run(TWO_WEEKS)), wavy_source()
    )


@pytest.fixture
def rebuilt_backend(tmp_path: Path) -> Backend:
    """An empty backend for the rebuild that a test compares with."""
    return local_backend(tmp_path / "rebuilt")


def revise(scene: Scene, line: str, *, symbol: str = "IBM", day: date = DAY) -> None:
    """Correct a bar at the vendor, and store the response with the correction."""
    scene.source.set_bar(symbol, day, line)
    deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []))


def failing_warnings(scene: Scene, sessions: list[date]) -> set[str]:
    load = scene.stage(sessions)
    verdicts = gate.audit_load(scene, load)
    return {verdict.audit.name for verdict in verdicts if not verdict.passed}


def test_a_load_is_one_snapshot_whose_properties_name_its_origin(scene: Scene) -> None:
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


def test_publishing_the_same_bars_again_commits_nothing(scene: Scene) -> None:
    scene.source.set_bar("ORCL", DAY, BAD_BAR)
    first = scene.run(SECOND_WEEK)
    before = state(scene.backend)

    again = scene.run(SECOND_WEEK)
    scene.deliver_again()
    after_a_new_response = scene.run(SECOND_WEEK)

    assert (again.prices.changed, again.quarantine.changed) == (False, False)
    assert again.prices.snapshot_id == first.prices.snapshot_id
    assert again.quarantine.snapshot_id == first.quarantine.snapshot_id
    assert not after_a_new_response.prices.changed
    assert state(scene.backend)[DAILY_PRICES.full_name] == before[DAILY_PRICES.full_name]


def rows_of(backend: Backend, snapshot: Snapshot) -> list[dict[str, object]]:
    backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
    return published_rows(backend)


def test_every_snapshot_in_history_is_complete(two_weeks: Scene) -> None:
    """Every snapshot that consumers or a rollback can see is the complete result of a load."""
    expected = [keys(published_rows(two_weeks.backend))]
    for line in (GOOD_BAR, BAD_BAR, GOOD_BAR):
        revise(two_weeks, line)
        two_weeks.run(SECOND_WEEK)
        expected.append(keys(published_rows(two_weeks.backend)))

    history = two_weeks.backend.warehouse.history(DAILY_PRICES)

    assert len(history) == 4
    assert [keys(rows_of(two_weeks.backend, snapshot)) for snapshot in reversed(history)] == expected
    assert [snapshot.rows for snapshot in reversed(history)] == [50, 50, 49, 50]


def test_a_bad_bar_is_quarantined_with_its_audits_and_load(scene: Scene) -> None:
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


def test_a_bar_that_is_quarantined_again_keeps_its_load_id_and_commits_nothing(scene: Scene) -> None:
    scene.source.set_bar("ORCL", DAY, BAD_BAR)
    first = scene.run(SECOND_WEEK)
    before = state(scene.backend)

    wider = scene.run(TWO_WEEKS)

    assert wider.load.load_id != first.load.load_id
    assert not wider.quarantine.changed
    [row] = published_rows(scene.backend, QUARANTINED_PRICES)
    assert row["load_id"] == first.load.load_id
    assert state(scene.backend)[QUARANTINED_PRICES.full_name] == before[QUARANTINED_PRICES.full_name]


def test_a_corrected_bar_leaves_quarantine_and_is_published_as_in_a_full_rebuild(
    scene: Scene, rebuilt_backend: Backend
) -> None:
    scene.source.set_bar("IBM", DAY, BAD_BAR)
    scene.run(TWO_WEEKS)
    revise(scene, GOOD_BAR)

    assert failing_warnings(scene, SECOND_WEEK) <= {"no_unexplained_jump", "no_split_sized_jump"}
    done = scene.publish(SECOND_WEEK)

    assert published_rows(scene.backend, QUARANTINED_PRICES) == []
    assert done.quarantine.removed == 1
    assert ("IBM", DAY) in keys(published_rows(scene.backend))
    assert content(scene.backend) == rebuilt(rebuilt_backend, scene, TWO_WEEKS)


def test_a_corrected_bar_causes_no_warning(backend: Backend) -> None:
    """A bar from quarantine is new: consumers have not seen another bar that it revises."""
    scene = Scene(backend, calm_source())
    scene.source.set_bar("IBM", DAY, BAD_BAR)
    scene.run(TWO_WEEKS)
    revise(scene, "100,102,99,101,1234")

    assert failing_warnings(scene, SECOND_WEEK) == set()


def test_a_bad_revision_moves_the_published_bar_to_quarantine(two_weeks: Scene, rebuilt_backend: Backend) -> None:
    revise(two_weeks, BAD_BAR)

    done = two_weeks.run(SECOND_WEEK)

    assert keys(published_rows(two_weeks.backend, QUARANTINED_PRICES)) == {("IBM", DAY)}
    assert keys(published_rows(two_weeks.backend)) == {(s, d) for s in FIVE.symbols for d in TWO_WEEKS} - {("IBM", DAY)}
    assert done.prices.removed > done.prices.added
    assert content(two_weeks.backend) == rebuilt(rebuilt_backend, two_weeks, TWO_WEEKS)


def test_a_newer_response_with_less_history_replaces_only_the_sessions_that_it_has(
    two_weeks: Scene, rebuilt_backend: Backend
) -> None:
    two_weeks.source.set_bar("IBM", DAY, GOOD_BAR)
    short = two_weeks.source.fetch_prices("IBM", []).decode().splitlines()[: len(SECOND_WEEK) + 1]
    deliver(two_weeks.backend, "IBM", "".join(f"{line}\r\n" for line in short).encode())

    done = two_weeks.run(TWO_WEEKS)

    assert len([key for key in done.load.response_keys if key.endswith("/IBM.csv")]) == 2
    assert content(two_weeks.backend) == rebuilt(rebuilt_backend, two_weeks, TWO_WEEKS)


def test_a_changed_bar_changes_the_metrics_of_later_sessions(two_weeks: Scene, rebuilt_backend: Backend) -> None:
    before = {(row["symbol"], row["trade_date"]): row for row in published_rows(two_weeks.backend)}
    revise(two_weeks, GOOD_BAR, day=FIRST_WEEK[1])

    done = two_weeks.run([FIRST_WEEK[1]])

    after = {(row["symbol"], row["trade_date"]): row for row in published_rows(two_weeks.backend)}
    changed = {key for key, row in after.items() if row != before[key]}
    # By number of session: bar 1 itself; 2 by prev_close; 4 and 5, whose mean of 5 closes includes it; 7 and 8, whose
    # mean of 7 volumes includes it.
    assert changed == {("IBM", TWO_WEEKS[number]) for number in (1, 2, 4, 5, 7, 8)}
    assert (done.prices.added, done.prices.removed) == (len(changed), len(changed))
    following = FIRST_WEEK[2]
    assert after["IBM", following]["prev_close"] == 62
    assert content(two_weeks.backend) == rebuilt(rebuilt_backend, two_weeks, TWO_WEEKS)


def test_a_symbol_that_left_the_universe_keeps_its_history(two_weeks: Scene, rebuilt_backend: Backend) -> None:
    before = published_rows(two_weeks.backend)
    two_weeks.change(universe=Universe(FIVE.listings[1:]))

    again = two_weeks.run(TWO_WEEKS)
    part = two_weeks.run(SECOND_WEEK)

    assert (again.prices.changed, part.prices.changed) == (False, False)
    assert published_rows(two_weeks.backend) == before
    assert "AAPL" in {symbol for symbol, _ in keys(before)}


P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Rival:
    """A writer on another machine that corrects a bar of the first week and publishes it, at most `times` times."""

    scene: Scene
    times: int
    done: int = 0

    def commit(self) -> None:
        if self.done < self.times:
            self.done += 1
            revise(self.scene, f"60,63.5,59,62,{1700 + self.done}", day=FIRST_WEEK[self.done % 5])
            # The lock of this machine does not exclude it.
            with patch.object(LocalBackend, "publishing", Backend.publishing):
                self.scene.run(FIRST_WEEK)

    def commit_after(self, step: Callable[P, T]) -> Callable[P, T]:
        """Return the step followed by a commit, so that the rival is faster than the next step."""

        def step_and_commit(*args: P.args, **kwargs: P.kwargs) -> T:
            result = step(*args, **kwargs)
            self.commit()
            return result

        return step_and_commit


@pytest.fixture
def staged(scene: Scene, restored: Restored) -> Load:
    """The first week is published, and the second week is staged on top of it."""
    scene.change(backend=restored("wavy first week", lambda backend: Scene(backend, wavy_source()).run(FIRST_WEEK)))
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


@pytest.mark.parametrize("times", [1, 2])
def test_a_load_is_staged_again_after_another_writer_commits(
    scene: Scene, staged: Load, rebuilt_backend: Backend, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The second week looks back at the first: as first staged, its metrics would use bars corrected since."""
    rival = Rival(scene, times)
    rival.commit()
    monkeypatch.setattr(publishing, "stage", rival.commit_after(stage))

    done = scene.publish(SECOND_WEEK)

    assert rival.done == times
    assert done.load.load_id > staged.load_id
    assert done.load.base_snapshot != staged.base_snapshot
    assert content(scene.backend) == rebuilt(rebuilt_backend, scene, TWO_WEEKS)


def test_a_commit_during_the_audits_is_not_overwritten(
    scene: Scene, staged: Load, rebuilt_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit must follow the snapshot that the gate has read."""
    revise(scene, BAD_BAR)
    load = scene.stage(SECOND_WEEK)
    rival = Rival(scene, times=1)
    monkeypatch.setattr(publishing, "reject_if_blocked", rival.commit_after(gate.reject_if_blocked))

    done = scene.publish(SECOND_WEEK)

    assert rival.done == 1
    assert done.load.load_id > load.load_id > staged.load_id
    assert content(scene.backend) == rebuilt(rebuilt_backend, scene, TWO_WEEKS)


def test_publish_fails_if_other_writers_are_faster_in_every_attempt(
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


def test_two_loads_staged_at_the_same_time_have_different_ids() -> None:
    """Two processes may stage in the same microsecond; with one set of tables for both, rows would mix."""
    staged_at = datetime(2012, 3, 14, 22, 0, tzinfo=UTC)

    assert new_load_id(staged_at) != new_load_id(staged_at)
