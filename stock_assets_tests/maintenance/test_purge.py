"""A purge: rows and responses that no longer count, also after a rebuild, a restore, a rollback and a kill."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.backup import back_up, restore
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import LoadRejected, StagingOutdated
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.coverage.missing_sessions import find_missing
from stock_assets.ingest.purges import mark_purged, purged_at
from stock_assets.maintenance.purge import published_history, purge, rows_of_purged_symbols
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.repair import Repair
from stock_assets.maintenance.verify import Depth, verify
from stock_assets_tests.support.audit_mutations import root_of
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.published_week import Restored
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, content, wavy_source
from stock_assets_tests.support.steps import FIVE, local_backend, published_rows

WITHOUT_IBM = Universe(tuple(one for one in FIVE.listings if one.symbol != "IBM"))
EVERYTHING = Depth(deep=True, recompute=Sample())


@pytest.fixture
def scene(restored: Restored) -> Scene:
    """Two published weeks of five symbols, with a quarantined bar of IBM and one of CSCO; IBM has left the universe."""
    source = wavy_source()
    source.set_bar("IBM", TWO_WEEKS[3], BAD_BAR)
    source.set_bar("CSCO", TWO_WEEKS[4], BAD_BAR)
    backend = restored("wavy two weeks with bad bars", lambda backend: Scene(backend, source).run(TWO_WEEKS))
    return Scene(backend, source, WITHOUT_IBM)


def others(found: tuple[list[dict[str, object]], list[dict[str, object]]]) -> object:
    """Return the rows of all symbols but IBM."""
    return tuple([row for row in rows if row["symbol"] != "IBM"] for rows in found)


def problems(scene: Scene) -> list[str]:
    return [str(finding) for finding in verify(scene, EVERYTHING, at=utc_now() + timedelta(days=1))]


def test_a_purge_removes_the_rows_of_the_symbol_from_every_table_and_no_other_row(scene: Scene) -> None:
    before = content(scene.backend)
    assert {table.full_name: rows.row_count for table, rows in published_history(scene.backend, "IBM").items()} == {
        "published.daily_prices": 9,
        "published.quarantined_prices": 1,
    }

    removed = purge(scene.backend, "IBM", utc_now())

    assert removed == {DAILY_PRICES: 9, QUARANTINED_PRICES: 1}
    assert content(scene.backend) == others(before)
    assert published_history(scene.backend, "IBM") == {}
    assert [scene.backend.warehouse.history(table)[0].properties["purged"] for table in PUBLISHED_TABLES] == ["IBM"] * 2
    assert problems(scene) == []
    assert len(scene.backend.warehouse.staged_loads()) == 1, "the load's; the purge leaves nothing"
    assert purge(scene.backend, "IBM", utc_now()) == {}, "again"


def test_the_only_symbol_of_a_table_is_purged(tmp_path: Path) -> None:
    scene = Scene(local_backend(tmp_path), wavy_source(["IBM"]), Universe((Listing("IBM", "IBM"),)))
    scene.run(TWO_WEEKS)
    assert purge(scene.backend, "IBM", utc_now()) == {DAILY_PRICES: 10}
    assert published_rows(scene.backend) == []


def test_later_loads_do_not_publish_a_purged_symbol_again(scene: Scene) -> None:
    purge(scene.backend, "IBM", utc_now())
    before = content(scene.backend)
    scene.run(SECOND_WEEK)
    scene.run(TWO_WEEKS)
    assert content(scene.backend) == before


def test_every_response_stays_and_is_still_checked(scene: Scene) -> None:
    keys = scene.backend.objects.keys("raw/daily_prices/")
    purge(scene.backend, "IBM", utc_now())
    assert scene.backend.objects.keys("raw/daily_prices/") == keys
    [key] = [key for key in keys if key.endswith("/IBM.csv")]
    (scene.backend.root / key).write_bytes(b"changed")  # type: ignore[attr-defined]  # a local backend
    [problem] = problems(scene)
    assert "IBM.csv" in problem


def test_a_symbol_that_is_added_again_is_requested_anew_and_only_later_responses_count(scene: Scene) -> None:
    purge(scene.backend, "IBM", utc_now())
    scene.change(universe=FIVE)
    [missing] = {gap.symbol for gap in find_missing(scene, TWO_WEEKS, at=utc_now()).waiting}
    assert missing == "IBM"
    # The vendor has another company's prices now, and no longer the first week.
    scene.source.set_bars("IBM", dict.fromkeys(SECOND_WEEK, "10,12,9,11,1000"))
    before = len(scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM", purged=True))

    scene.run(TWO_WEEKS)

    rows = [row for row in published_rows(scene.backend) if row["symbol"] == "IBM"]
    assert [(row["trade_date"], row["close_price"]) for row in rows] == [(day, 11.0) for day in SECOND_WEEK]
    assert rows[0]["prev_close"] is None
    assert len(scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM", purged=True)) == before + 1
    assert problems(scene) == []


def test_the_same_response_after_a_purge_is_stored_and_used_again(scene: Scene) -> None:
    before = content(scene.backend)
    purge(scene.backend, "IBM", utc_now())
    scene.change(universe=FIVE)
    scene.run(TWO_WEEKS)
    assert content(scene.backend) == before


def damage_ledger(root: Path) -> None:
    (root / "ledger.db").write_bytes(b"")


def damage_table(root: Path) -> None:
    for file in (root / "published").rglob("*.parquet"):
        file.unlink()


def damage_marker(root: Path) -> None:
    [marker] = (root / "raw" / "purges").rglob("IBM.json")
    marker.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [damage_ledger, damage_table, damage_marker])
def test_a_purge_survives_a_repair(scene: Scene, damage: Callable[[Path], None]) -> None:
    purge(scene.backend, "IBM", utc_now())
    before = content(scene.backend)
    backend = scene.backend
    assert isinstance(backend, LocalBackend)
    damage(backend.root)
    assert problems(scene) != []

    assert Repair(scene, backend, lambda _: None, at=utc_now() + timedelta(days=1)).apply()

    scene.change(backend=local_backend(backend.root))
    assert content(scene.backend) == before
    assert problems(scene) == []
    with scene.backend.ledger.read() as ledger:
        assert purged_at(ledger, "IBM") is not None
    scene.run(TWO_WEEKS)
    assert content(scene.backend) == before


@pytest.mark.slow
def test_a_purge_survives_a_backup_and_a_restore(scene: Scene, tmp_path: Path) -> None:
    purge(scene.backend, "IBM", utc_now())
    before = content(scene.backend)
    data = root_of(scene.backend)
    back_up(data, tmp_path / "backup", data / "dagster_home")
    restore(tmp_path / "backup", tmp_path / "restored")
    restored = Scene(local_backend(tmp_path / "restored"), scene.source, WITHOUT_IBM)
    damage_ledger(tmp_path / "restored")
    assert Repair(restored, LocalBackend(tmp_path / "restored"), lambda _: None, at=utc_now()).apply()
    restored.change(backend=local_backend(tmp_path / "restored"))
    restored.run(TWO_WEEKS)
    assert content(restored.backend) == before


def test_an_interrupted_purge_is_reported_and_completed_by_loads_or_another_purge(scene: Scene) -> None:
    before = content(scene.backend)
    mark_purged(scene.backend, "IBM", utc_now())
    assert rows_of_purged_symbols(scene.backend) == {"IBM": [QUARANTINED_PRICES, DAILY_PRICES]}
    assert "To fix it, run: stock-assets symbols purge IBM --yes" in problems(scene)[0]
    # A load is not rejected, and removes the rows of its sessions only.
    scene.run(SECOND_WEEK)
    left = [row["trade_date"] for row in published_rows(scene.backend) if row["symbol"] == "IBM"]
    assert left == [day for day in FIRST_WEEK if day != TWO_WEEKS[3]]

    assert purge(scene.backend, "IBM", utc_now()) == {DAILY_PRICES: 4, QUARANTINED_PRICES: 1}
    assert content(scene.backend) == others(before)


def test_a_lost_row_of_another_symbol_still_rejects_the_load(scene: Scene) -> None:
    """The audit no_published_row_lost leaves out the purged symbol, and no other."""
    purge(scene.backend, "IBM", utc_now())
    [response] = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="ORCL")
    scene.backend.ledger.retire([response.response_key], "lost")  # type: ignore[attr-defined]  # a local backend
    scene.stage(TWO_WEEKS)
    with pytest.raises(LoadRejected, match=r"no_published_row_lost.*ORCL"):
        scene.publish(TWO_WEEKS)


def test_a_rollback_brings_the_rows_back_and_another_purge_removes_them(scene: Scene) -> None:
    before = content(scene.backend)
    [snapshot] = scene.backend.warehouse.history(DAILY_PRICES)
    purge(scene.backend, "IBM", utc_now())
    scene.backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
    assert rows_of_purged_symbols(scene.backend) == {"IBM": [DAILY_PRICES]}
    assert purge(scene.backend, "IBM", utc_now()) == {DAILY_PRICES: 9}
    assert content(scene.backend) == others(before)


def test_a_load_that_was_staged_before_the_purge_is_staged_again(scene: Scene) -> None:
    before = content(scene.backend)
    # Without published rows the purge commits nothing that the load could notice.
    deliver(scene.backend, "NEW", scene.source.fetch_prices("IBM", []))
    load = scene.stage(TWO_WEEKS)
    purge(scene.backend, "NEW", utc_now())
    with pytest.raises(StagingOutdated, match="has bars of NEW, whose history was purged since"):
        audit_load(scene, load)
    scene.publish(TWO_WEEKS)
    assert content(scene.backend) == before


def test_a_marker_is_later_than_every_response_of_the_symbol(scene: Scene) -> None:
    """The clock was set back by a year."""
    purge(scene.backend, "IBM", utc_now() - timedelta(days=365))
    assert scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM") == []
    assert scene.backend.ledger.fetches(FetchKind.SPLITS, symbol="IBM") == []
    scene.run(TWO_WEEKS)
    assert published_history(scene.backend, "IBM") == {}


class Killed(BaseException):
    """The process ends here."""


def _steps(backend: Backend) -> Iterator[tuple[object, str]]:
    yield from ((backend.objects, "put"), (backend.ledger, "record"))
    yield type(backend.warehouse.connect("load_x").__enter__()), "replace_range"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_a_purge_that_ends_at_any_step_is_completed_by_the_next(
    scene: Scene, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after each of its four writes: marker, ledger entry, quarantine, prices."""
    before, counter = content(scene.backend), iter(range(100))
    reached: list[str] = []
    for owner, name in list(_steps(scene.backend)):
        original = getattr(owner, name)

        def step(
            *args: object, _original: Callable[..., object] = original, _name: str = name, **kwargs: object
        ) -> object:
            if next(counter) == number:
                raise Killed
            result = _original(*args, **kwargs)
            reached.append(_name)
            if next(counter) == number:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, step)
    with pytest.raises(Killed):
        purge(scene.backend, "IBM", utc_now())
    monkeypatch.undo()
    assert len(reached) == (number + 1) // 2
    scene.change(backend=local_backend(scene.backend.root))  # type: ignore[attr-defined]  # a local backend
    found = content(scene.backend)
    assert others(found) == others(before), "rows of other symbols never change"

    purge(scene.backend, "IBM", utc_now())

    assert content(scene.backend) == others(before)
    assert problems(scene) == []
    scene.run(TWO_WEEKS)
    assert content(scene.backend) == others(before)


def test_timestamps_of_markers_are_utc(scene: Scene) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    mark_purged(scene.backend, "IBM", at)
    with scene.backend.ledger.read() as ledger:
        assert purged_at(ledger, "IBM") == at
        assert purged_at(ledger, "CSCO") is None
    [key] = scene.backend.objects.keys("raw/purges/")
    assert key == "raw/purges/ingest_date=2030-01-02/20300102T030405000006Z/IBM.json"
    assert date(2030, 1, 2).isoformat() in scene.backend.objects.get(key).decode()
