"""The behaviour of `FetchLedger`. A test module subclasses the class and defines the fixtures `case` and `backend`."""

import threading
from collections.abc import Callable
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

    def test_prices_and_splits_before_a_purge_do_not_count(self, backend: Backend) -> None:
        purged_at = FETCH.fetched_at + timedelta(days=1)
        later = FETCH._replace(fetched_at=purged_at + timedelta(microseconds=1), response_key="raw/y/IBM.csv")
        splits = FETCH._replace(kind=FetchKind.SPLITS, fetched_at=purged_at)
        rename = FETCH._replace(kind=FetchKind.RENAMES)
        other = FETCH._replace(symbol="MSFT")
        backend.ledger.record(FETCH, splits, rename, other)
        backend.ledger.record(Fetch("IBM", FetchKind.PURGES, purged_at, Outcome.OK))

        with backend.ledger.read() as ledger:
            assert ledger.fetches(FetchKind.PRICES) == [other]
            assert ledger.fetches(FetchKind.PRICES, symbol="IBM") == []
            assert ledger.fetches(FetchKind.PRICES, symbol="IBM", purged=True) == [FETCH]
            assert ledger.fetches(FetchKind.SPLITS) == []
            assert ledger.fetches(FetchKind.RENAMES) == [rename]
            assert ledger.latest(FetchKind.PRICES) == {"MSFT": [other]}
            assert ledger.latest(FetchKind.SPLITS, ["IBM"]) == {}
            assert list(ledger.responses("IBM", [FIRST])) == []
            assert ledger.with_content(FetchKind.PRICES, FETCH.content_hash) == [other]
            assert ledger.known_keys([FETCH.response_key]) == {FETCH.response_key}
        late = later._replace(fetched_at=later.fetched_at + timedelta(hours=1), outcome=Outcome.LATE)
        backend.ledger.record(later, late)
        with backend.ledger.read() as ledger:
            assert ledger.fetches(FetchKind.PRICES, symbol="IBM") == [late, later]
            assert ledger.latest(FetchKind.PRICES, ["IBM"]) == {"IBM": [late, later]}
            wanted = [FIRST]
            assert list(ledger.responses("IBM", wanted)) == [later], "also after the newest one"

    def test_a_timestamp_of_another_zone_is_read_back_as_utc(self, backend: Backend) -> None:
        local = FETCH._replace(fetched_at=FETCH.fetched_at.astimezone(timezone(timedelta(hours=-5))))
        backend.ledger.record(local)

        [found] = backend.ledger.fetches(FetchKind.PRICES)

        assert found == FETCH
        assert found.fetched_at.utcoffset() == timedelta()

    def test_fetches_are_sorted_newest_first_then_last_recorded_first(self, backend: Backend) -> None:
        seconds = [5, 1, 9, 5]
        for number, second in enumerate(seconds):
            at = datetime(2012, 3, 5, 22, 0, second, tzinfo=UTC)
            backend.ledger.record(FETCH._replace(fetched_at=at, detail=str(number)))

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
            backend.ledger.record(FETCH._replace(symbol=of, outcome=ended, fetched_at=at))

        found = backend.ledger.fetches(FetchKind.PRICES, symbol=symbol, outcome=outcome)

        assert [f"{fetch.symbol} {fetch.outcome}" for fetch in found] == expected

    def test_requests_of_several_kinds_are_recorded_together(self, backend: Backend) -> None:
        later = FETCH._replace(symbol="MSFT", fetched_at=FETCH.fetched_at + timedelta(seconds=1))
        splits = FETCH._replace(kind=FetchKind.SPLITS)
        backend.ledger.record(FETCH, splits, later)
        backend.ledger.record()
        assert backend.ledger.fetches(FetchKind.PRICES) == [later, FETCH]
        assert backend.ledger.fetches(FetchKind.SPLITS) == [splits]

    def test_the_latest_requests_end_with_the_newest_good_response(self, backend: Backend) -> None:
        """Landing files, which used no call, are passed over; a symbol without a good response has all its requests."""
        recorded = [
            ("IBM", Outcome.OK, 1),
            ("IBM", Outcome.OK, 1),
            ("IBM", Outcome.OK, 0),
            ("IBM", Outcome.THROTTLED, 1),
            ("MSFT", Outcome.THROTTLED, 1),
            ("MSFT", Outcome.DAILY_QUOTA, 0),
            ("AAPL", Outcome.OK, 1),
        ]
        for number, (symbol, outcome, calls) in enumerate(recorded):
            at = FETCH.fetched_at + timedelta(seconds=number)
            fetch = FETCH._replace(symbol=symbol, outcome=outcome, calls=calls, fetched_at=at, detail=str(number))
            backend.ledger.record(fetch)
        backend.ledger.record(FETCH._replace(kind=FetchKind.SPLITS, symbol="ZZZ"))

        with backend.ledger.read() as ledger:
            symbols = ledger.symbols(FetchKind.PRICES)
            latest = ledger.latest(FetchKind.PRICES)
            some = ledger.latest(FetchKind.PRICES, ["MSFT", "unknown"])

        found = {symbol: [fetch.detail for fetch in fetches] for symbol, fetches in latest.items()}
        assert symbols == ["AAPL", "IBM", "MSFT"]
        assert found == {"AAPL": ["6"], "IBM": ["3", "2", "1"], "MSFT": ["5", "4"]}
        assert {symbol: len(fetches) for symbol, fetches in some.items()} == {"MSFT": 2}

    def test_landing_files_do_not_hide_a_failed_request(self, backend: Backend) -> None:
        """However many there are; only the newest files are returned."""
        failed = FETCH._replace(outcome=Outcome.UNKNOWN_SYMBOL, first_session=None, last_session=None)
        backend.ledger.record(FETCH._replace(fetched_at=FETCH.fetched_at - timedelta(days=1)), failed)
        files = [
            FETCH._replace(fetched_at=FETCH.fetched_at + timedelta(seconds=number), calls=0) for number in range(7)
        ]
        backend.ledger.record(*files)

        with backend.ledger.read() as ledger:
            [*newest, last, good] = ledger.latest(FetchKind.PRICES)["IBM"]

        assert newest == files[:1:-1]
        assert (last, good.outcome) == (failed, Outcome.OK)

    def test_responses_overlap_the_sessions_that_are_still_wanted(self, backend: Backend) -> None:
        """Also of the same time: then the last recorded one comes first."""
        recorded = [(FIRST, THIRD), (FIRST, FIRST), (THIRD, THIRD), (FIRST, SECOND), (SECOND, SECOND), (SECOND, THIRD)]
        for number, (first, last) in enumerate(recorded):
            fetch = FETCH._replace(first_session=first, last_session=last, missing_sessions=(), detail=str(number))
            backend.ledger.record(fetch)
        backend.ledger.record(FETCH._replace(symbol="MSFT"))
        backend.ledger.record(FETCH._replace(outcome=Outcome.MALFORMED))
        backend.ledger.record(FETCH._replace(kind=FetchKind.SPLITS))

        with backend.ledger.read() as ledger:
            assert [fetch.detail for fetch in ledger.responses("IBM", [SECOND])] == ["5", "4", "3", "0"]
            assert [fetch.detail for fetch in ledger.responses("IBM", [FIRST, THIRD])] == list("543210")
            assert list(ledger.responses("IBM", [])) == list(ledger.responses("AAPL", [FIRST])) == []
            wanted, found = [FIRST, SECOND, THIRD], []
            for fetch in ledger.responses("IBM", wanted):
                found.append(fetch.detail)
                wanted[:] = [session for session in wanted if not fetch.holds(session)]
            assert (found, wanted) == (["5", "3"], [])

    def test_requests_are_found_by_response_key_and_by_content(self, backend: Backend) -> None:
        hashes = ["ab" * 32, "ab" * 16 + "cd" * 16, "cd" * 32]
        for number, content_hash in enumerate(hashes):
            at = FETCH.fetched_at + timedelta(seconds=number)
            backend.ledger.record(
                FETCH._replace(response_key=f"key {number}", content_hash=content_hash, fetched_at=at)
            )
        backend.ledger.record(Fetch("x", FetchKind.LANDING_FILES, FETCH.fetched_at, Outcome.OK, "key 2"))

        with backend.ledger.read() as ledger:
            by_key = ledger.with_keys(["key 2", "key 0", "unknown", "key 2"])
            of_kind = ledger.with_keys(["key 2", "key 1"], FetchKind.PRICES)
            by_hash = [ledger.with_content(FetchKind.PRICES, given) for given in ("ab" * 32, "ab" * 8, "ef" * 32)]
            none = ledger.with_content(FetchKind.SPLITS, "ab" * 32)

        assert [(fetch.kind, fetch.response_key) for fetch in by_key] == [
            (FetchKind.PRICES, "key 2"),
            (FetchKind.LANDING_FILES, "key 2"),
            (FetchKind.PRICES, "key 0"),
        ]
        assert [fetch.response_key for fetch in of_kind] == ["key 2", "key 1"]
        assert [[fetch.response_key for fetch in found] for found in by_hash] == [["key 0"], ["key 1", "key 0"], []]
        assert none == []

    def test_fetches_since_a_timestamp_and_the_newest_few(self, backend: Backend) -> None:
        for second in range(4):
            at = FETCH.fetched_at + timedelta(seconds=second)
            outcome = Outcome.MALFORMED if second % 2 else Outcome.OK
            backend.ledger.record(FETCH._replace(fetched_at=at, outcome=outcome, detail=str(second)))
        since = (FETCH.fetched_at + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-5)))

        with backend.ledger.read() as ledger:
            recent = ledger.fetches(FetchKind.PRICES, since=since)
            of_symbol = ledger.fetches(FetchKind.PRICES, symbol="IBM", since=since, limit=2)
            malformed = ledger.fetches(FetchKind.PRICES, outcome=Outcome.MALFORMED, since=since)

        details = [[fetch.detail for fetch in found] for found in (recent, of_symbol, malformed)]
        assert details == [["3", "2", "1"], ["3", "2"], ["3", "1"]]

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
