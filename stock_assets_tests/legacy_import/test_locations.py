"""The information in the names of files and folders, and when a file counts as written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stock_assets.legacy_import.locations import (
    FileFormat,
    LegacyFolder,
    folder_hour,
    folder_values,
    is_data,
    legacy_file,
)
from stock_assets_tests.support.legacy_files import LONG_AGO, write_legacy_file


def test_a_folder_lists_its_data_files_and_a_file_itself(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a/1.csv", "_SUCCESS", ".crc", "_temporary/x.csv", "empty.csv"):
        write_legacy_file(tmp_path / name, "" if name == "empty.csv" else "x", LONG_AGO)
    files = LegacyFolder(tmp_path, FileFormat()).files()
    assert [(file.name, file.size, file.written_at) for file in files] == [
        (str(tmp_path / "a/1.csv"), 1, LONG_AGO),
        (str(tmp_path / "b/2.csv"), 1, LONG_AGO),
    ]
    assert LegacyFolder(tmp_path / "a/1.csv", FileFormat()).files() == files[:1]


@pytest.mark.parametrize(
    ("path", "hour"),
    [
        ("2012/03/01/21/part-0", datetime(2012, 3, 1, 21, 59, 59, 999999, tzinfo=UTC)),
        ("stocks/2012/03/01/00/part-0", datetime(2012, 3, 1, 0, 59, 59, 999999, tzinfo=UTC)),
        ("2012/03/01/part-0", None),
        ("2012/13/01/21/part-0", None),
        ("12012/03/01/21/part-0", None),
        ("2012/03/01/21/more/part-0", None),
    ],
)
def test_the_hour_in_a_folder_name(path: str, hour: datetime | None) -> None:
    assert folder_hour(path) == hour


def test_the_earlier_of_modification_time_and_folder_hour_counts() -> None:
    noon, night = datetime(2012, 3, 1, 12, tzinfo=UTC), datetime(2012, 3, 2, 4, tzinfo=UTC)
    assert legacy_file("x", "2012/03/01/21/x", 1, night).written_at.hour == 21
    assert legacy_file("x", "2012/03/01/21/x", 1, noon).written_at == noon
    assert legacy_file("x", "x", 1, night).written_at == night


def test_columns_in_the_names_of_folders() -> None:
    assert folder_values("Symbol=BRK%2EB/year=2012/part=0") == {"symbol": "BRK.B", "year": "2012"}
    assert folder_values("symbol=__HIVE_DEFAULT_PARTITION__/x") == {}


def test_hidden_files_are_not_data() -> None:
    assert is_data("a/b.csv")
    assert not any(map(is_data, ("_SUCCESS", "a/.b.crc", "_temporary/0/x", ".hive-staging/x")))


def test_the_symbol_in_a_file_name_is_a_default_for_the_column() -> None:
    changed = datetime(2026, 11, 25, tzinfo=UTC)
    assert legacy_file("x", "ingest_date=2026-11-25/20261125T193433053886Z/BRK.B.csv", 1, changed).values == {
        "ingest_date": "2026-11-25",
        "symbol": "BRK.B",
    }
    assert legacy_file("x", "symbol=IBM/OTHER.csv", 1, changed).values == {"symbol": "IBM"}
    assert legacy_file("x", "part-0.csv", 1, changed).values == {}
