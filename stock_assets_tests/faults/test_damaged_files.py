"""Damaged files: the error is typed, `verify` finds the file, the named command repairs it, the rows are the same."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.errors import StockAssetsError
from stock_assets.ingest.response_packs import pack_responses
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.repair import Repair
from stock_assets.maintenance.verify import Depth, verify
from stock_assets_tests.faults.damage import CASES, Case
from stock_assets_tests.faults.folder import Folder, load_sample
from stock_assets_tests.faults.table import Tally

QUICK = {"catalog-delete", "ledger-truncate", "data-change_one_byte", "response-change_one_byte", "pack-truncate"}


@pytest.fixture(scope="session")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads, single responses of IBM and packed ones of the other symbols."""
    root = tmp_path_factory.mktemp("faults") / "data"
    load_sample(root)
    folder = Folder(root)
    single = folder.one("raw/daily_prices/ingest_date=*/*/IBM.csv")
    kept = single.read_bytes()
    pack_responses(folder.backend, datetime.now(UTC) + timedelta(days=30))
    single.parent.mkdir(parents=True, exist_ok=True)
    single.write_bytes(kept)
    for pack in root.glob("raw/packs/splits/*/*.zip"):
        unpack(pack, root)
    return root


def unpack(pack: Path, root: Path) -> None:
    """Make the responses of a pack single files again."""
    with ZipFile(pack) as archive:
        archive.extractall(root)
    pack.unlink()


def responses(folder: Folder) -> dict[str, str]:
    """Return the digest of every stored response by key."""
    objects = folder.backend.objects
    return {key: hashlib.sha256(objects.get(key)).hexdigest() for key in objects.keys("raw/")}


def attempt(use: object) -> str:
    """Return what a use of the folder ends with: `right`, or the message of its typed error."""
    try:
        use()  # type: ignore[operator]  # a bound method without arguments
    except StockAssetsError as error:
        return str(error)
    return "right"


def cases() -> list[object]:
    return [
        pytest.param(case, id=case.name, marks=() if case.name in QUICK else (pytest.mark.faults, pytest.mark.slow))
        for case in CASES
    ]


@pytest.mark.parametrize("case", cases())
def test_a_damaged_file_is_reported_and_repaired(case: Case, intact: Path, tmp_path: Path, tally: Tally) -> None:
    folder = Folder.copy_of(intact, tmp_path / "data")
    rows, stored = folder.rows(), responses(folder)
    case.apply(folder)
    fault = f"damaged {case.kind}"

    read = attempt(folder.rows)
    if read == "right" and folder.rows() != rows:
        tally.count(fault, "wrong")
        pytest.fail("wrong rows were read without a message")
    found = [str(one) for one in _findings(folder)]
    load = attempt(folder.load_again)

    for message in (read, load):
        assert message == "right" or "stock-assets" in message, message
    repair(folder)

    assert _findings(folder) == []
    folder.load_again()
    assert folder.rows() == rows
    left = responses(folder)
    assert {key: left.get(key) for key in stored} == stored
    assert list(verify(folder.parts, Depth(deep=True, recompute=Sample()))) == []
    tally.count(fault, "repaired" if found or read != "right" or load != "right" else "survived")


def _findings(folder: Folder) -> list[str]:
    try:
        return [str(one) for one in verify(folder.parts, Depth(deep=True))]
    except StockAssetsError as error:
        return [str(error)]


def repair(folder: Folder) -> None:
    """Run the repair, as the command does."""
    backend = LocalBackend(folder.root)
    steps: list[str] = []
    work = Repair(folder.parts, backend, steps.append)
    assert work.apply(), (steps, work.notes)
