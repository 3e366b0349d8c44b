"""The ledger in S3 on every emulator: packing and concurrent use lose and duplicate no request.

A test module subclasses the class and defines the fixtures `objects` and `opened`.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse import ledger as module
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.core.errors import Outcome, ServiceUnavailable

START = datetime(2012, 3, 1, 22, tzinfo=UTC)


def requests(count: int, first: int = 0) -> list[Fetch]:
    return [
        Fetch(f"S{number:03d}", FetchKind.PRICES, START + timedelta(seconds=number), Outcome.OK)
        for number in range(first, first + count)
    ]


def symbols(ledger: S3Ledger) -> list[str]:
    return sorted(fetch.symbol for fetch in ledger.fetches(FetchKind.PRICES))


def keys(objects: S3Objects, part: str) -> list[str]:
    return objects.keys(f"ledger/{FetchKind.PRICES}/{part}/")


def record(ledger: S3Ledger, fetches: list[Fetch]) -> None:
    for fetch in fetches:
        ledger.record(fetch)


def open_ledger(objects: S3Objects, machine: Path | None = None) -> S3Ledger:
    """Open the ledger as a new process does, on this machine or another one; it packs after four requests."""
    return S3Ledger(objects, pack_after=4, cache=machine)


class PackedLedgerContract:
    """A ledger in S3 that is packed when it is long. Needs the fixture `objects`."""

    def test_many_requests_are_packed_and_read_back_unchanged(
        self, objects: S3Objects, opened: Callable[[], S3Ledger]
    ) -> None:
        record(opened(), requests(9))
        before = opened().fetches(FetchKind.PRICES)

        assert (keys(objects, "new"), len(keys(objects, "packed"))) == ([], 1)
        assert opened().fetches(FetchKind.PRICES) == before
        assert [fetch.symbol for fetch in before] == [f"S{number:03d}" for number in reversed(range(9))]

    @pytest.mark.parametrize("survivors", [0, 1, 4], ids=["before the first", "after the first", "before the last"])
    def test_a_kill_while_packing_loses_and_duplicates_nothing(
        self, objects: S3Objects, opened: Callable[[], S3Ledger], monkeypatch: pytest.MonkeyPatch, survivors: int
    ) -> None:
        """A pack is written before its requests are removed; a request in both places counts once."""

        class Killed(BaseException):
            """An exception that no code catches, as with a kill."""

        record(opened(), requests(5))

        def removing(found: Sequence[str]) -> None:
            for key in found[:survivors]:
                objects.delete(key)
            raise Killed

        monkeypatch.setattr(objects, "delete_keys", removing)
        with pytest.raises(Killed):
            opened().fetches(FetchKind.PRICES)
        monkeypatch.undo()

        assert len(keys(objects, "new")) == 5 - survivors
        assert symbols(opened()) == [fetch.symbol for fetch in requests(5)]
        record(opened(), requests(6, 5))
        assert symbols(opened()) == [fetch.symbol for fetch in requests(11)]
        assert (keys(objects, "new"), len(keys(objects, "packed"))) == ([], 1)
        assert symbols(opened()) == [fetch.symbol for fetch in requests(11)]

    def test_a_read_is_retried_if_another_machine_packs_meanwhile(
        self, objects: S3Objects, opened: Callable[[], S3Ledger], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        record(opened(), requests(5))
        read, packed = objects.get, threading.Event()

        def reading(key: str) -> bytes:
            if not packed.is_set():
                packed.set()
                with monkeypatch.context() as inside:
                    inside.setattr(objects, "get", read)
                    open_ledger(objects, tmp_path / "other machine").fetches(FetchKind.PRICES)
            return read(key)

        monkeypatch.setattr(module, "REQUESTS_AT_ONCE", 1)
        monkeypatch.setattr(objects, "get", reading)

        assert symbols(opened()) == [fetch.symbol for fetch in requests(5)]
        assert len(keys(objects, "packed")) == 1

    def test_two_machines_that_pack_the_same_requests_write_one_pack(
        self, objects: S3Objects, opened: Callable[[], S3Ledger], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The second one finds that its pack exists; both remove the packed objects."""
        record(opened(), requests(5))
        written = list[str]()

        def putting(key: str, body: bytes) -> None:
            if "/packed/" in key and not written:
                written.append(key)
                assert len(symbols(open_ledger(objects, tmp_path / "other machine"))) == 5
            type(objects).put(objects, key, body)

        monkeypatch.setattr(objects, "put", putting)
        assert symbols(opened()) == [fetch.symbol for fetch in requests(5)]

        assert (keys(objects, "new"), keys(objects, "packed")) == ([], written)
        assert symbols(opened()) == [fetch.symbol for fetch in requests(5)]

    @pytest.mark.parametrize("cache", ["same machine", "other machine", "file in place of the folder"])
    def test_a_full_pack_that_was_written_before_a_failure_is_found(
        self, objects: S3Objects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: str
    ) -> None:
        """Its requests were not removed: the next machine names their pack the same, also if its mirror has it."""
        monkeypatch.setattr(module, "FULL_PACK", 5)
        (tmp_path / "file in place of the folder").touch()
        record(open_ledger(objects, tmp_path / "same machine"), requests(5))
        read = list[str]()

        def fail(_: Sequence[str]) -> None:
            raise ServiceUnavailable("S3 is down")

        def get(key: str) -> bytes:
            read.append(key)
            return type(objects).get(objects, key)

        with monkeypatch.context() as inside:
            inside.setattr(objects, "delete_keys", fail)
            with pytest.raises(ServiceUnavailable):
                symbols(open_ledger(objects, tmp_path / "same machine"))
        assert len(keys(objects, "new")) == 5
        [pack] = keys(objects, "packed")

        monkeypatch.setattr(objects, "get", get)
        ledger = open_ledger(objects, tmp_path / cache)
        for _ in range(2):
            assert symbols(ledger) == [fetch.symbol for fetch in requests(5)]
            assert (keys(objects, "new"), keys(objects, "packed")) == ([], [pack])
        # The mirror is not built again, neither now nor by the second query.
        assert read.count(pack) == 1

    def test_a_pack_sorts_after_those_that_it_replaces(
        self, objects: S3Objects, opened: Callable[[], S3Ledger]
    ) -> None:
        """Also if an earlier version has named them by the time of packing, and clocks of machines differ."""
        record(opened(), requests(5))
        symbols(opened())
        [first] = keys(objects, "packed")
        later = f"ledger/{FetchKind.PRICES}/packed/t{9 * 10**18:020d}-{'f' * 32}.json.gz"
        objects.put(later, objects.get(first))
        objects.delete(first)
        record(opened(), requests(5, 5))

        assert symbols(opened()) == [fetch.symbol for fetch in requests(10)]
        [second] = keys(objects, "packed")
        assert second > later

    def test_a_machine_reads_each_object_once(
        self, objects: S3Objects, opened: Callable[[], S3Ledger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And no process its own; a block of queries lists once."""
        record(opened(), requests(3))
        ledger = opened()
        assert len(symbols(ledger)) == 3
        read, listed = list[str](), list[str]()

        def get(key: str) -> bytes:
            read.append(key)
            return type(objects).get(objects, key)

        def list_etags(prefix: str) -> list[tuple[str, str]]:
            listed.append(prefix)
            return type(objects).etags(objects, prefix)

        monkeypatch.setattr(objects, "get", get)
        monkeypatch.setattr(objects, "etags", list_etags)

        with ledger.read() as table:
            for _ in range(3):
                assert len(table.latest(FetchKind.PRICES)) == 3
            assert table.fetches(FetchKind.SPLITS) == []
        assert (read, len(listed)) == ([], 1)

        record(ledger, requests(1, 3))
        assert [len(symbols(ledger)), len(symbols(ledger)), len(symbols(opened()))] == [4, 4, 4]
        assert read == []

        record(opened(), requests(1, 4))
        assert [len(symbols(ledger)), len(symbols(ledger)), len(symbols(opened()))] == [5, 5, 5]
        assert (len(read), len(keys(objects, "packed"))) == (1, 1)

    def test_concurrent_reads_and_writes_lose_nothing(self, objects: S3Objects, opened: Callable[[], S3Ledger]) -> None:
        """Each process packs what it finds; packs of the same requests overlap and are joined later."""
        seen: list[int] = []

        def work(number: int) -> None:
            mine = opened()
            for fetch in requests(10, number * 10):
                mine.record(fetch)
                seen.append(len(mine.fetches(FetchKind.PRICES)))

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=180)

        assert len(seen) == 40
        assert symbols(opened()) == [fetch.symbol for fetch in requests(40)]
