"""Which files a folder lists, and when a file counts as written."""

from datetime import UTC, datetime
from pathlib import Path

from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.locations import LegacyFolder, is_data, legacy_file
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


def test_the_earlier_of_modification_time_and_folder_hour_counts() -> None:
    noon, night = datetime(2012, 3, 1, 12, tzinfo=UTC), datetime(2012, 3, 2, 4, tzinfo=UTC)
    assert legacy_file("x", "2012/03/01/21/x", 1, night).written_at.hour == 21
    assert legacy_file("x", "2012/03/01/21/x", 1, noon).written_at == noon
    assert legacy_file("x", "x", 1, night).written_at == night
    assert legacy_file("x", "ingest_date=2012-03-01/20120301T210000000000Z/IBM.csv", 1, night).written_at.hour == 21


def test_hidden_files_are_not_data() -> None:
    assert is_data("a/b.csv")
    assert not any(map(is_data, ("_SUCCESS", "a/.b.crc", "_temporary/0/x", ".hive-staging/x")))
