"""One bad file fails alone, in the landing area and in an import: it is named with the reason, and the others load."""

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.errors import Outcome
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import REJECT_AFTER, are_deleted, register_files, reject_files, scan
from stock_assets.ingest.price_files import content
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.response_keys import FOLDER
from stock_assets.legacy_import.importer import import_bars
from stock_assets.legacy_import.locations import LegacyFolder
from stock_assets.legacy_import.report import format_unreadable
from stock_assets_tests.faults.table import Tally
from stock_assets_tests.support.hostile_files import CASES, HEADER, LINE, OUTSIDE, Hostile, without_privileges
from stock_assets_tests.support.legacy_files import SCOPE
from stock_assets_tests.support.scenes import FIRST_WEEK, Scene, wavy_source
from stock_assets_tests.support.steps import local_backend

pytestmark = pytest.mark.faults
WINDOW = LandingScope(date(2000, 3, 1), date(2013, 3, 1))
LONGEST_SECONDS = 60.0
CASE = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder with one good file, and a folder outside of it; files may grow to 2 MB without their compression."""
    monkeypatch.setattr(content, "_ALWAYS", 2_000_000)
    folder, outside = tmp_path / "backend" / FOLDER, tmp_path / "outside"
    folder.mkdir(parents=True)
    outside.mkdir()
    (folder / "good.csv").write_text(HEADER + LINE, encoding="utf-8")
    return folder, outside


@CASE
def test_a_hostile_landing_file_is_rejected_alone(
    tmp_path: Path, folders: tuple[Path, Path], case: Hostile, tally: Tally
) -> None:
    folder, outside = folders
    scene = Scene(local_backend(tmp_path / "backend"), wavy_source())
    scene.backend.ledger.record()
    case.make(folder, outside)
    at = in_a_while()
    started = time.monotonic()

    with without_privileges(tmp_path):
        found = scan(scene, WINDOW, at=at)
        registered = register_files(scene, WINDOW, FIRST_WEEK, at=at)
        reject_files(scene.backend, found.unreadable, at=at)
        [bad] = found.unreadable
        assert not are_deleted(scene.backend, [bad.entry.key], at=at)
        again = scan(scene, WINDOW, at=at)

    assert time.monotonic() - started < LONGEST_SECONDS
    assert [file.entry.key for file in found.landing_files] == [f"{FOLDER}good.csv"]
    assert [file.entry.key for file in registered] == [f"{FOLDER}good.csv"]
    assert bad.entry.key == f"{FOLDER}{case.name}"
    assert case.why in bad.why
    [note] = scene.backend.ledger.fetches(FetchKind.LANDING_FILES, outcome=Outcome.MALFORMED)
    assert note.detail == f"{bad.entry.key}: rejected: {bad.why}"
    assert is_one_line(note.detail)
    assert OUTSIDE not in note.detail
    assert (again.landing_files, again.unreadable) == ((), ())
    tally.count("hostile landing file", "survived")


@CASE
def test_a_hostile_file_to_import_fails_alone(
    tmp_path: Path, folders: tuple[Path, Path], case: Hostile, tally: Tally
) -> None:
    folder, outside = folders
    scene = Scene(local_backend(tmp_path / "other"), wavy_source())
    scene.backend.ledger.record()
    case.make(folder, outside)
    started = time.monotonic()

    with without_privileges(tmp_path):
        found = import_bars(scene, LegacyFolder(folder, FileFormat()), SCOPE)

    assert time.monotonic() - started < LONGEST_SECONDS
    assert [(row.symbol, row.bars) for row in found.symbols] == [("IBM", 1)]
    [bad] = found.unreadable
    assert bad.place == f"{folder}/{case.name}"
    assert (case.import_why or case.why) in bad.text
    [line] = format_unreadable(found)
    assert is_one_line(line)
    assert OUTSIDE not in line
    tally.count("hostile file to import", "survived")


def test_links_inside_the_landing_area_are_read(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    folder, _ = folders
    scene = Scene(local_backend(tmp_path / "backend"), wavy_source())
    (folder / "new").mkdir()
    (folder / "good.csv").rename(folder / "new" / "good.csv")
    (folder / "link.csv").symlink_to("new/good.csv")
    found = scan(scene, WINDOW, at=in_a_while())
    assert [file.entry.key for file in found.landing_files] == [f"{FOLDER}link.csv", f"{FOLDER}new/good.csv"]


def test_a_rejected_file_counts_as_deleted_when_it_is_gone(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "backend" / FOLDER / "sub"
    folder.mkdir(parents=True)
    (folder / "a\nb.csv").write_bytes(b"")
    keys = [f"{FOLDER}sub/a\\nb.csv", f"{FOLDER}gone.csv"]
    assert not are_deleted(backend, keys, at=in_a_while())
    (folder / "a\nb.csv").unlink()
    assert are_deleted(backend, keys, at=in_a_while())


def in_a_while() -> datetime:
    """Return a time at which files that are written now are rejected."""
    return datetime.now(UTC) + REJECT_AFTER * 1.1


def is_one_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and all(char.isprintable() for char in text)
