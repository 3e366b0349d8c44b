"""The behaviour of `FetchLedger`. A test module subclasses the class and defines the fixtures `case` and `backend`."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.errors import Outcome
from stock_assets_tests.support.backend_cases import BackendCase, in_processes
from stock_assets_tests.support.backend_writers import record_twenty
from stock_assets_tests.support.table_rows import FIRST, SECOND, THIRD

FETCH = Fetch(
    symbol="IBM",
    kind=FetchKind.PRICES,
    fetched_at=datetime(2012, 3, 5, 22, 0, 0, 123456, tzinfo=UTC),
    outcome=Outcome.OK,
    response_key="raw/daily_prices/x/IBM.csv",
    first_session=FIRST,
    last_session=THIRD,
    missing_sessions=(SECOND,),
    content_hash="ab" * 32,
    calls=1,
    detail='it\'s 100% "fine", naïvely',
)


class FetchLedgerContract:
    """`FetchLedger`."""

    def test_every_field_is_read_back_also_by_a_new_backend(
        self, backend: Backend, reopened: Callable[[], Backend]
    ) -> None:
        failed = Fetch("BRK.B", FetchKind.SPLITS, FETCH.fetched_at, Outcome.THROTTLED)
        backend.ledger.record(FETCH)
        backend.ledger.record(failed)

        for ledger in (backend.ledger, reopened().ledger):
            assert ledger.fetches(FetchKind.PRICES) == [FETCH]
            assert ledger.fetches(FetchKind.SPLITS) == [failed]

    def test_a_timestamp_of_another_zone_is_read_back_as_utc(self, backend: Backend) -> None:
        local = replace(FETCH, fetched_at=FETCH.fetched_at.astimezone(timezone(timedelta(hours=-5))))
        backend.ledger.record(local)

        [found] = backend.ledger.fetches(FetchKind.PRICES)

        assert found == FETCH
        assert found.fetched_at.utcoffset() == timedelta()

    def test_fetches_are_sorted_newest_first_then_last_recorded_first(self, backend: Backend) -> None:
        seconds = [5, 1, 9, 5]
        for number, second in enumerate(seconds):
            at = datetime(2012, 3, 5, 22, 0, second, tzinfo=UTC)
            backend.ledger.record(replace(FETCH, fetched_at=at, detail=str(number)))

        assert [fetch.detail for fetch in backend.ledger.fetches(FetchKind.PRICES)] == ["2", "3", "0", "1"]

    @pytest.mark.parametrize(
        ("symbol", "outcome", "expected"),
        [
            (None, None, ["IBM ok", "MSFT late", "MSFT ok"]),
            ("MSFT", None, ["MSFT late", "MSFT ok"]),
            (None, Outcome.OK, ["IBM ok", "MSFT ok"]),
            ("MSFT", Outcome.OK, ["MSFT ok"]),
            ("MSFT", Outcome.THROTTLED, []),
            ("msft' OR 1=1", None, []),
        ],
    )
    def test_fetches_are_filtered_by_symbol_and_outcome(
        self, backend: Backend, symbol: str | None, outcome: Outcome | None, expected: list[str]
    ) -> None:
        for number, (of, ended) in enumerate((("MSFT", Outcome.OK), ("MSFT", Outcome.LATE), ("IBM", Outcome.OK))):
            at = FETCH.fetched_at + timedelta(seconds=number)
            backend.ledger.record(replace(FETCH, symbol=of, outcome=ended, fetched_at=at))

        found = backend.ledger.fetches(FetchKind.PRICES, symbol=symbol, outcome=outcome)

        assert [f"{fetch.symbol} {fetch.outcome}" for fetch in found] == expected

    def test_concurrent_threads_and_processes_lose_no_fetch(
        self, case: BackendCase, tmp_path: Path, backend: Backend
    ) -> None:
        threads = [threading.Thread(target=record_twenty, args=(backend, number)) for number in range(10, 14)]
        for thread in threads:
            thread.start()
        in_processes(case, tmp_path / "backend", record_twenty)
        for thread in threads:
            thread.join()

        found = backend.ledger.fetches(FetchKind.PRICES)

        assert len(found) == len(set(found)) == 160
        assert {fetch.symbol for fetch in found} == {f"P{number}" for number in (0, 1, 2, 3, 10, 11, 12, 13)}
