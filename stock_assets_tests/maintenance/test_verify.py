"""Checking the stored data: damage is found with file, consequence and command; an intact folder has no findings."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stock_assets.backends.interface import Damage, Fetch, FetchKind, Part
from stock_assets.backends.local import iceberg
from stock_assets.core.errors import DamagedFiles, Outcome
from stock_assets.core.sql import Fragment
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.maintenance.findings import Finding, of_damage, of_record, of_response, of_unknown_response
from stock_assets.maintenance.recompute import Sample, runs
from stock_assets.maintenance.verify import Depth, verify
from stock_assets_tests.faults.folder import LOADED, Folder, load_sample
from stock_assets_tests.support.small_files import scatter_locally
from stock_assets_tests.support.steps import local_backend, published_rows

EVERYTHING = Depth(deep=True, recompute=Sample())


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("intact") / "data"
    load_sample(root)
    return root


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Folder:
    """A folder of its own with the same data."""
    return Folder.copy_of(intact, tmp_path / "data")


def problems(folder: Folder, depth: Depth = EVERYTHING) -> list[Finding]:
    return list(verify(folder.parts, depth, at=datetime.now(UTC)))


def test_an_intact_folder_has_no_findings_and_is_not_changed(folder: Folder) -> None:
    before = folder.contents()
    assert problems(folder) == []
    assert folder.contents() == before


def test_a_changed_price_in_a_response_is_found(folder: Folder) -> None:
    file = folder.one("raw/daily_prices/ingest_date=*/*/IBM.csv")
    file.write_bytes(file.read_bytes().replace(b"9", b"8", 1))
    [found] = problems(folder)
    assert found.file == str(file)
    assert "differ from the SHA-256 in the ledger" in found.problem
    assert "loads that need it are rejected (IBM, 2000-03-01 to 2013-03-01)" in str(found)
    assert str(found).endswith("To fix it, run: stock-assets repair --apply")


@pytest.mark.parametrize(("old", "new"), [(b'"content"', b'"contend"'), (b'"sha256"', b'"sha255"')])
@pytest.mark.parametrize("record", ["staged/loads/2013-02-25_*/*.json", "staged/reports/*.json", "audits/*/*/*.json"])
def test_a_changed_name_in_a_record_is_found(folder: Folder, record: str, old: bytes, new: bytes) -> None:
    file = folder.one(record)
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    [found] = problems(folder, Depth())
    assert found.file == str(file)
    assert 'it has only one of "sha256" and "content"' in found.problem


def test_a_wrong_entry_of_the_ledger_is_found_with_deep(folder: Folder) -> None:
    with closing(sqlite3.connect(folder.root / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE fetches SET last_session = '2013-02-28' WHERE symbol = 'IBM' AND kind = 'daily_prices'")
    assert problems(folder, Depth()) == []
    [found] = problems(folder)
    assert "the ledger says 2000-03-01 to 2013-02-28, the response has 2000-03-01 to 2013-03-01" in found.problem


def test_each_changed_bit_of_a_data_file_is_found_with_deep(folder: Folder) -> None:
    file = newest_data_file(folder)
    body = file.read_bytes()
    for position in range(0, len(body), max(1, len(body) // 6)):
        changed = bytearray(body)
        changed[position] ^= 1
        file.write_bytes(bytes(changed))
        [found] = folder.backend.damage(deep=True)
        assert (found.file, found.why) == (str(file), "its content differs from the SHA-256 in its name")
    file.write_bytes(body)
    assert problems(folder) == []


def test_files_that_compaction_writes_have_their_digest_in_their_name(folder: Folder) -> None:
    rows = published_rows(folder.backend)
    newest = newest_data_file(folder)
    schema = iceberg.load(folder.root, DAILY_PRICES).schema().as_arrow()
    scatter_locally(folder.root, pq.read_table(newest, partitioning=None).slice(0, 2).cast(schema))
    at = datetime.now(UTC)
    assert folder.backend.warehouse.maintain(DAILY_PRICES, keep_since=at, at=at).files_after == 1
    file = newest_data_file(folder)
    assert len(published_rows(folder.backend)) == len(rows) + 2
    body = file.read_bytes()
    file.write_bytes(body[:100] + b"x" + body[101:])
    assert str(file) in {found.file for found in folder.backend.damage(deep=True)}


def newest_data_file(folder: Folder) -> Path:
    return max(folder.root.glob("published/daily_prices/data/*/*.parquet"), key=lambda file: file.stat().st_mtime_ns)


def test_a_file_of_the_same_size_with_other_rows_is_found_without_deep(folder: Folder) -> None:
    files = sorted(folder.root.glob("published/daily_prices/data/*/*.parquet"), key=lambda file: file.stat().st_size)
    shorter = files[0].read_bytes()
    # A Parquet file is read from its end.
    files[-1].write_bytes(bytes(files[-1].stat().st_size - len(shorter)) + shorter)
    assert [found.why for found in folder.backend.damage() if found.file == str(files[-1])] != []


def test_a_changed_published_row_is_found_by_computing_it_again(folder: Folder) -> None:
    publish_changed_row(folder)
    assert problems(folder, Depth(deep=True)) == []
    [found] = problems(folder)
    assert found.problem == "rows of 2013-02-26 differ from the stored responses"
    assert found.command == "stock-assets backfill 2013-02-26 2013-02-26"


def publish_changed_row(folder: Folder) -> None:
    """Publish a row whose close differs from its response, without the gate."""
    day = LOADED[1][1]
    with folder.backend.warehouse.connect("load_wrong") as sql:
        rows = sql.query("SELECT * FROM published.daily_prices WHERE trade_date = DATE '2013-02-26'")
        index = rows["symbol"].to_pylist().index("IBM")
        closes = rows["close_price"].to_pylist()
        closes[index] = 1.5
        changed = rows.set_column(rows.column_names.index("close_price"), "close_price", [closes])
        name = sql.register("changed", changed)
        sql.replace_range(DAILY_PRICES, Fragment(f"(SELECT * FROM {name.value})"), first=day, last=day, properties={})


def remove_catalog(folder: Folder) -> None:
    (folder.root / "catalog.db").unlink()


def empty_catalog(folder: Folder) -> None:
    (folder.root / "catalog.db").write_bytes(b"")


def remove_metadata(folder: Folder) -> None:
    for file in folder.root.glob("published/daily_prices/metadata/*.metadata.json"):
        file.unlink()


def truncate_manifest_list(folder: Folder) -> None:
    for file in folder.root.glob("published/daily_prices/metadata/snap-*.avro"):
        file.write_bytes(file.read_bytes()[:100])


def remove_data(folder: Folder) -> None:
    shutil.rmtree(folder.root / "published/daily_prices/data")


def damage_catalog(folder: Folder) -> None:
    file = folder.root / "catalog.db"
    file.write_bytes(b"x" * 200 + file.read_bytes()[200:])


@pytest.mark.parametrize(
    "damage", [remove_catalog, empty_catalog, remove_metadata, truncate_manifest_list, remove_data, damage_catalog]
)
def test_reading_and_loading_a_damaged_table_name_file_consequence_and_command(
    folder: Folder, damage: Callable[[Folder], None]
) -> None:
    damage(folder)
    for use in (lambda: published_rows(folder.backend), folder.load_again):
        with pytest.raises(DamagedFiles) as error:
            use()
        assert str(folder.root) in str(error.value)
        assert "Consequence: " in str(error.value)
        assert "To fix it, run: stock-assets repair --apply" in str(error.value)
    assert [one for one in problems(folder) if one.command == "stock-assets repair --apply"]


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000])
def test_a_lost_or_damaged_ledger_is_not_replaced_by_an_empty_one(folder: Folder, content: bytes | None) -> None:
    file = folder.root / "ledger.db"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DamagedFiles, match=r"ledger\.db.*no session can be requested"):
        folder.load_again()
    assert [one.damage.part for one in problems(folder) if one.damage] == ["ledger"]


def test_a_new_folder_with_copied_responses_needs_no_ledger(folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(folder.root / "raw", tmp_path / "new/raw")
    assert local_backend(tmp_path / "new").ledger.fetches(folder.prices) == []


def test_runs_are_consecutive_sessions_of_one_year() -> None:
    days = [*LOADED[0], *LOADED[1]]
    assert [(run[0], run[-1]) for run in runs(reversed(days))] == [(days[0], days[-1])]
    assert [len(run) for run in runs([days[0], days[2], days[3]])] == [1, 2]


def test_findings_on_s3_name_commands_that_work_there() -> None:
    """`stock-assets repair` only changes data folders."""
    key = "s3://bucket/raw/daily_prices/IBM.csv"
    day = date(2013, 2, 28)
    prices = Fetch("IBM", FetchKind.PRICES, datetime(2013, 3, 4, 1, tzinfo=UTC), Outcome.OK, key, day, day)
    splits = prices._replace(kind=FetchKind.SPLITS, first_session=None, last_session=None)
    on_disk = "/data/raw/daily_prices/IBM.csv"

    for finding, command in (
        (of_response(key, prices, "it is missing"), f"stock-assets backfill {day} {day} --again --symbol IBM"),
        # The last session that had closed.
        (of_response(key, splits, "it is missing"), "stock-assets backfill 2013-03-01 2013-03-01"),
        (of_unknown_response(key), f"stock-assets import {key}"),
        (of_record(key, "alerts/open/", "it is empty"), f"aws s3 rm {key}"),
        (of_response(on_disk, prices, "it is missing"), "stock-assets repair --apply"),
        (of_response(on_disk, splits, "it is missing"), "stock-assets repair --apply"),
        (of_unknown_response(on_disk), "stock-assets repair --apply"),
        (of_record(on_disk, "alerts/open/", "it is empty"), "stock-assets repair --apply"),
    ):
        assert finding.command == command


def test_no_load_needs_the_body_of_a_failed_request() -> None:
    failed = Fetch(
        "IBM", FetchKind.PRICES, datetime(2013, 3, 4, tzinfo=UTC), Outcome.MALFORMED, "key", content_hash="a"
    )
    finding = of_response("key", failed, "it is missing")
    assert finding.consequence == "the body of a failed request is lost; no load needs it (IBM)"


def test_a_kind_separates_what_consumers_need_from_what_they_do_not_need() -> None:
    fetch = Fetch("IBM", FetchKind.PRICES, datetime(2013, 3, 4, tzinfo=UTC), Outcome.OK, "key")
    damage = Damage(Part.TABLE, "file", "it is missing", DAILY_PRICES, (1,))
    findings = [
        of_damage(damage),
        of_damage(replace(damage, is_current=False)),
        of_damage(Damage(Part.PACK, "file", "it is missing")),
        of_response("key", fetch, "it is missing"),
        of_response("key", fetch._replace(outcome=Outcome.MALFORMED), "it is missing"),
        of_response("key", fetch._replace(kind=FetchKind.PURGES), "it is missing"),
        of_unknown_response("/data/raw/daily_prices/IBM.csv"),
    ]
    assert [finding.kind for finding in findings] == [
        "file of current rows",
        "file of an earlier snapshot",
        "pack",
        "response",
        "response of a failed request",
        "purge",
        "unknown response",
    ]
