"""The ledger in S3: packed when it is long, also by several processes at once; no request is lost or duplicated."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse import ledger as module
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.errors import Outcome
from stock_assets_tests.contracts.packed_ledger_contract import (
    START,
    PackedLedgerContract,
    keys,
    open_ledger,
    record,
    requests,
    symbols,
)
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.athena_backends import athena_backend


@pytest.fixture
def objects(tmp_path: Path, aws: AwsEmulator) -> S3Objects:
    backend = athena_backend(aws.endpoint, tmp_path / "backend")
    return S3Objects(backend.access, BucketFolder(backend.bucket, backend.prefix))


@pytest.fixture
def opened(objects: S3Objects) -> Callable[[], S3Ledger]:
    """Return a function that opens the ledger as a new process does."""
    return partial(open_ledger, objects)


class TestPackedLedger(PackedLedgerContract):
    """The contract, on the Athena emulator."""


def test_few_requests_are_not_packed(objects: S3Objects, opened: Callable[[], S3Ledger]) -> None:
    record(opened(), requests(4))
    assert len(opened().fetches(FetchKind.PRICES)) == 4
    assert (len(keys(objects, "new")), keys(objects, "packed")) == (4, [])


def test_packs_are_joined_until_they_are_full(
    objects: S3Objects, opened: Callable[[], S3Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL_PACK", 12)
    for start in range(0, 30, 6):
        record(opened(), requests(6, start))
        assert len(symbols(opened())) == start + 6

    # 6, then 12, which is full; 6, then 12, which is full; 6.
    assert (keys(objects, "new"), len(keys(objects, "packed"))) == ([], 3)
    assert symbols(opened()) == [fetch.symbol for fetch in requests(30)]


def test_each_kind_is_packed_separately(objects: S3Objects, opened: Callable[[], S3Ledger]) -> None:
    record(opened(), requests(5))
    opened().record(Fetch("S000", FetchKind.SPLITS, START, Outcome.EMPTY))
    assert len(symbols(opened())) == 5
    assert [fetch.outcome for fetch in opened().fetches(FetchKind.SPLITS)] == [Outcome.EMPTY]
    assert len(objects.keys(f"ledger/{FetchKind.SPLITS}/new/")) == 1
