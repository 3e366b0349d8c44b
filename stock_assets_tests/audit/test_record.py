"""A load is audited once: publishing accepts the recorded verdicts until something that they depend on changes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.audit import audits, record
from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Objects
from stock_assets.core.errors import LoadRejected, StagedRowsChanged
from stock_assets.core.tables import STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES, Table
from stock_assets.core.universe import Universe
from stock_assets.loads.acknowledgements import acknowledge
from stock_assets.loads.audit_files import AuditKind
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import Load, audits_folder, drop_old_loads, record_load
from stock_assets_tests.faults.damage import DAMAGES
from stock_assets_tests.support.added_audits import add_audit, forget_statements
from stock_assets_tests.support.published_week import PublishedWeek
from stock_assets_tests.support.scenes import (
    BAD_BAR,
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    calm_source,
    overwrite,
    state,
    tamper,
)

DAY = SECOND_WEEK[1]


@pytest.fixture
def scene(published_week: PublishedWeek) -> Scene:
    """The first week is published, the second is stored: one bar is bad, one has a warning."""
    scene = Scene(published_week(TWO_WEEKS), calm_source())
    scene.source.set_bar("ORCL", DAY, BAD_BAR)
    scene.source.set_bar("IBM", DAY, "100,102,99,101,0")
    scene.deliver_again()
    return scene


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The loads that were audited, in order."""
    loads: list[str] = []
    run = audits.run_audits

    def count(sql: object, values: dict[str, object]) -> object:
        loads.append(str(values["load_id"]))
        return run(sql, values)  # type: ignore[arg-type]  # the arguments of the function that it replaces

    monkeypatch.setattr(record, "run_audits", count)
    return loads


def test_publish_does_not_audit_an_audited_load_again(scene: Scene, audited: list[str]) -> None:
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)

    done = scene.publish(SECOND_WEEK)

    assert audited == [load.load_id]
    assert (done.load, done.prices.added, done.quarantine.added) == (load, 24, 1)


def test_publish_audits_a_load_without_a_record(scene: Scene, audited: list[str]) -> None:
    load = scene.stage(SECOND_WEEK)

    scene.publish(SECOND_WEEK)

    assert audited == [load.load_id]


def test_recorded_verdicts_equal_those_of_an_audit(scene: Scene) -> None:
    load = scene.stage(SECOND_WEEK)
    with scene.backend.warehouse.connect(load.load_id) as sql:
        values = inputs(scene, sql, load)
        verdicts = record.audit_and_record(scene.backend.objects, sql, load, values)
        recorded = record.recorded_or_audit(scene.backend.objects, sql, load, values)

    assert recorded == verdicts
    quarantined = {verdict.audit.name for verdict in recorded if verdict.quarantined}
    assert quarantined == {"volume_not_negative"}
    assert {verdict.audit.name for verdict in recorded if verdict.sample} == quarantined | {"volume_above_zero"}


def test_a_recorded_rejection_rejects_the_load_without_another_audit(scene: Scene, audited: list[str]) -> None:
    load = scene.stage(SECOND_WEEK)
    tamper(scene.backend, load, STAGED_PRICES, "SELECT * FROM {name} WHERE symbol <> 'IBM'")
    audit_load(scene, load)
    before = state(scene.backend)

    with pytest.raises(LoadRejected, match="every_raw_row_accounted_for"):
        scene.publish(SECOND_WEEK)

    assert audited == [load.load_id]
    assert state(scene.backend) == before


@pytest.mark.parametrize("table", [TYPED_PRICES, STAGED_PRICES, STAGED_QUARANTINE], ids=lambda table: table.name)
def test_a_load_whose_staging_tables_changed_after_the_audit_is_not_published(
    scene: Scene, audited: list[str], table: Table
) -> None:
    """No audit would find this change: the close stays within the bar."""
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    overwrite(scene.backend, load, table, "SELECT * REPLACE (close_price + 0.001 AS close_price) FROM {name}")
    before = state(scene.backend)

    with pytest.raises(StagedRowsChanged, match=f"load {load.load_id} was not published.* Stage and publish"):
        scene.publish(SECOND_WEEK)

    assert audited == [load.load_id]
    assert state(scene.backend) == before
    scene.stage(SECOND_WEEK)
    assert scene.publish(SECOND_WEEK).prices.added == 24


IBM_ROW = f"symbol = 'IBM' AND trade_date = DATE '{DAY}'"


@pytest.mark.parametrize("audited_before", [False, True])
@pytest.mark.parametrize(
    "select",
    [
        f"SELECT * FROM {{name}} UNION ALL SELECT * REPLACE ('NOPE' AS symbol) FROM {{name}} WHERE {IBM_ROW}",
        f"SELECT * REPLACE (close_price + IF({IBM_ROW}, 0.001, 0) AS close_price) FROM {{name}}",
        f"SELECT * REPLACE (CASE WHEN {IBM_ROW} THEN 1.5 ELSE rolling_avg_5d END AS rolling_avg_5d) FROM {{name}}",
        f"SELECT * REPLACE (CASE WHEN {IBM_ROW} THEN 'bat' ELSE candle_type END AS candle_type) FROM {{name}}",
    ],
    ids=["unknown symbol", "changed close", "wrong metric", "invented candle type"],
)
def test_a_staging_table_that_another_program_changed_is_never_published(
    scene: Scene, select: str, *, audited_before: bool
) -> None:
    load = scene.stage(SECOND_WEEK)
    if audited_before:
        audit_load(scene, load)
    overwrite(scene.backend, load, STAGED_PRICES, select)
    before = state(scene.backend)

    with pytest.raises(StagedRowsChanged, match=load.load_id):
        audit_load(scene, load)
    with pytest.raises(StagedRowsChanged, match=load.load_id):
        scene.publish(SECOND_WEEK)

    assert state(scene.backend) == before


def test_a_changed_record_of_a_load_is_never_published(scene: Scene) -> None:
    """With another range, rows would be removed that the load does not have."""
    load = scene.stage(SECOND_WEEK)
    [key] = scene.backend.objects.keys(f"staged/loads/{load.start_date}_{load.end_date}/")
    scene.backend.objects.delete(key)
    record_load(scene.backend, replace(load, last_date=date(2012, 12, 31)))

    with pytest.raises(StagedRowsChanged, match=load.load_id):
        scene.publish(SECOND_WEEK)


def tighter_limit(scene: Scene) -> None:
    scene.change(limits=replace(scene.limits, min_coverage=scene.limits.min_coverage / 2))


def another_universe(scene: Scene) -> None:
    first = replace(scene.universe.listings[0], first_session=FIRST_WEEK[0])
    scene.change(universe=Universe((first, *scene.universe.listings[1:])))


def another_acknowledgement(scene: Scene) -> None:
    acknowledge(scene.backend.objects, "volume_above_zero", "IBM", DAY, "trading was halted")


@pytest.mark.parametrize("change", [tighter_limit, another_universe, another_acknowledgement])
def test_a_load_is_audited_again_if_the_rules_have_changed(
    scene: Scene, audited: list[str], change: Callable[[Scene], None]
) -> None:
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    change(scene)

    scene.publish(SECOND_WEEK)

    assert audited == [load.load_id] * 2


def test_a_load_is_audited_again_if_the_text_of_an_audit_has_changed(
    scene: Scene, audited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    text = audits.audit_statement
    monkeypatch.setattr(record, "audit_statement", lambda values: text(values).replace("bad_rows", "other", 1))

    scene.publish(SECOND_WEEK)

    assert audited == [load.load_id] * 2


ROW_AUDIT = (
    "-- A test.\n-- remedy: none.\nSELECT symbol, trade_date, '' AS detail FROM ${typed_prices} AS b WHERE FALSE\n"
)


def another_scope(folder: Path) -> None:
    """Of a large load, the audit would see all symbols at once."""
    file = folder / "audit/load/every_raw_row_accounted_for.sql"
    file.write_text(f"-- scope: all symbols\n{file.read_text(encoding='utf-8')}", encoding="utf-8")


def another_folder(folder: Path) -> None:
    """The first audit of its folder becomes the last one of the folder before: no statement changes."""
    (folder / "audit/row/finite.sql").rename(folder / "audit/schema/finite.sql")


def another_way_to_merge_chunks(folder: Path) -> None:
    file = folder / "audit/findings_of_chunks.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("SELECT", "SELECT ", 1), encoding="utf-8")


@pytest.mark.parametrize("change", [another_scope, another_folder, another_way_to_merge_chunks])
def test_a_load_is_audited_again_if_something_has_changed_that_the_statement_does_not_contain(
    sql_copy: Path, scene: Scene, audited: list[str], change: Callable[[Path], None]
) -> None:
    add_audit(sql_copy, AuditKind.ROW, ROW_AUDIT, "finite")
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    change(sql_copy)
    forget_statements()

    scene.publish(SECOND_WEEK)

    assert audited == [load.load_id] * 2


def record_key(objects: Objects, load: Load) -> str:
    """Return the key of the recorded audit of a load."""
    [key] = [key for key in objects.keys(audits_folder(load.load_id)) if key.endswith(".json")]
    return key


def without_checksum(body: bytes) -> bytes:
    """Return a record whose two names have changed."""
    return body.replace(b'"sha256"', b'"sha255"').replace(b'"content"', b'"contend"')


VALID_JSON: Mapping[str, Callable[[bytes], bytes]] = {
    "sha256": lambda body: body.replace(b'"sha256"', b'"sha255"'),
    "content": lambda body: body.replace(b'"content"', b'"contend"'),
    "both": without_checksum,
    "list": lambda _: b"[]",
    "object": lambda _: b"{}",
    "text": lambda _: b'"text"',
}
"""Changes of a record that leave valid JSON."""


def change_to_valid_json(record_file: Path, name: str) -> None:
    body = record_file.read_bytes()
    changed = VALID_JSON[name](body)
    assert changed != body
    record_file.write_bytes(changed)


@pytest.mark.parametrize("damage", [*DAMAGES, *(partial(change_to_valid_json, name=name) for name in VALID_JSON)])
def test_a_load_is_audited_again_if_its_record_is_damaged(
    scene: Scene, audited: list[str], damage: Callable[[Path], None]
) -> None:
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    damage(Path(scene.backend.objects.uri(record_key(scene.backend.objects, load))))

    done = scene.publish(SECOND_WEEK)

    assert audited == [load.load_id] * 2
    assert (done.load, done.prices.added, done.quarantine.added) == (load, 24, 1)


def test_no_changed_byte_of_a_record_changes_the_verdicts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    load = scene.stage(SECOND_WEEK)
    objects = scene.backend.objects
    with scene.backend.warehouse.connect(load.load_id) as sql:
        values = inputs(scene, sql, load)
        verdicts = record.audit_and_record(objects, sql, load, values)
        key = record_key(objects, load)
        body = objects.get(key)
        monkeypatch.setattr(record, "_key", lambda *_: key)
        monkeypatch.setattr(record, "run_audits", lambda *_: verdicts)
        # All of the names and of the checksum, and some bytes of the content.
        for place in (*range(100), *range(100, len(body), len(body) // 20), len(body) - 1):
            objects.delete(key)
            objects.put(key, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
            assert record.recorded_or_audit(objects, sql, load, values) == verdicts


def test_an_audit_before_another_publish_does_not_count(scene: Scene, audited: list[str]) -> None:
    """The load is staged again on the new snapshot, and audited there."""
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    scene.source.set_bar("AAPL", FIRST_WEEK[1], "100,102,99,101.5,1000")
    scene.deliver_again()
    scene.run(FIRST_WEEK)
    audited.clear()

    done = scene.publish(SECOND_WEEK)

    assert done.load.load_id > load.load_id
    assert audited == [done.load.load_id]


def test_old_loads_are_dropped_with_their_audits(scene: Scene) -> None:
    load = scene.stage(SECOND_WEEK)
    audit_load(scene, load)
    assert len(scene.backend.objects.keys(audits_folder(load.load_id))) == 2

    drop_old_loads(scene.backend, older_than=timedelta(), now=load.staged_at + timedelta(seconds=1))

    assert scene.backend.objects.keys("audits/") == []
