"""The behaviour of `Objects`. A test module subclasses the class and defines the fixtures `case` and `backend`."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import ObjectExists
from stock_assets_tests.support.backend_cases import BackendCase, in_processes
from stock_assets_tests.support.backend_writers import put_the_same_key


class ObjectsContract:
    """`Objects`."""

    def test_a_stored_object_is_read_byte_for_byte(self, backend: Backend, reopened: Callable[[], Backend]) -> None:
        body = bytes(range(256)) + b"\r\n\x00"
        backend.objects.put("raw/a/b.csv", body)

        assert backend.objects.get("raw/a/b.csv") == body
        assert reopened().objects.get("raw/a/b.csv") == body

    def test_an_object_is_never_replaced(self, backend: Backend) -> None:
        backend.objects.put("raw/a", b"first")

        with pytest.raises(ObjectExists, match="raw/a"):
            backend.objects.put("raw/a", b"second")

        assert backend.objects.get("raw/a") == b"first"

    def test_a_missing_object_is_a_key_error(self, backend: Backend) -> None:
        with pytest.raises(KeyError, match="raw/none"):
            backend.objects.get("raw/none")

    def test_a_listing_has_exactly_the_keys_below_the_prefix_sorted(self, backend: Backend) -> None:
        for key in ("raw/b/2", "raw/b/10", "raw/a/x/y", "rawer/c", "staged/d"):
            backend.objects.put(key, b"")

        assert backend.objects.keys("raw/") == ["raw/a/x/y", "raw/b/10", "raw/b/2"]
        assert backend.objects.keys("raw/b/") == ["raw/b/10", "raw/b/2"]
        assert backend.objects.keys("none/") == []

    def test_a_listing_has_size_and_time(self, backend: Backend) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        backend.objects.put("raw/b/2.csv", b"four")
        backend.objects.put("raw/a/1.csv", b"1")
        backend.objects.put("other/1.csv", b"1")
        entries = backend.objects.entries("raw/")
        assert [(entry.key, entry.size) for entry in entries] == [("raw/a/1.csv", 1), ("raw/b/2.csv", 4)]
        assert all(before <= entry.modified_at <= datetime.now(UTC) + timedelta(seconds=2) for entry in entries)
        assert list(backend.objects.entries("nothing/")) == []

    def test_a_listing_since_a_timestamp_leaves_out_folders_of_earlier_days_alone(self, backend: Backend) -> None:
        """No folder of another name is left out, wherever it sorts, and no object that was written since."""
        today = datetime.now(UTC)
        days = ["2012-03-01", f"{today:%Y-%m-%d}"]
        dated = [f"raw/x/ingest_date={day}/{number}/IBM.csv" for day in days for number in range(2)]
        others = ["raw/x/IBM.csv", "raw/x/ingest", "raw/x/ingest_date", "raw/x/more/ingest/a.csv", "raw/x/zoo/b.csv"]
        for key in [*dated, *others]:
            backend.objects.put(key, b"x")

        def keys(since: datetime | None) -> list[str]:
            return [entry.key for entry in backend.objects.entries("raw/x/", since=since)]

        assert keys(None) == sorted([*dated, *others])
        assert keys(today + timedelta(days=3)) == sorted(others)
        assert set(keys(today - timedelta(minutes=1))) >= {*others, *dated[2:]}

    def test_the_parts_of_a_listing_have_every_object_once(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stock_assets.backends.lakehouse.objects.LISTED_TOGETHER", 2)
        for count in range(6):
            parts = [backend.objects.list_part("raw/")]
            while parts[-1].next_after:
                parts.append(backend.objects.list_part("raw/", after=parts[-1].next_after))
            assert [entry for part in parts for entry in part.entries] == list(backend.objects.entries("raw/"))
            backend.objects.put(f"raw/{5 - count}/x", b"x")

    def test_after_deletion_the_key_can_be_used_again(self, backend: Backend) -> None:
        backend.objects.put("raw/a", b"first")
        backend.objects.delete("raw/a")
        backend.objects.delete("raw/a")

        assert backend.objects.keys("raw/") == []
        backend.objects.put("raw/a", b"second")
        assert backend.objects.get("raw/a") == b"second"

    @pytest.mark.parametrize("key", ["../outside", "raw/../../outside"])
    def test_a_key_outside_the_backend_is_rejected(self, backend: Backend, key: str) -> None:
        with pytest.raises(ValueError, match="outside"):
            backend.objects.put(key, b"")

    def test_of_concurrent_writers_of_one_key_exactly_one_succeeds(
        self, case: BackendCase, tmp_path: Path, backend: Backend
    ) -> None:
        results = in_processes(case, tmp_path / "backend", put_the_same_key)

        [winner] = [result for result in results if result != "lost"]
        assert backend.objects.get("raw/contested") == winner.removeprefix("won ").encode() * 100_000
        assert backend.objects.keys("raw/") == ["raw/contested"]

    def test_concurrent_reads_see_a_complete_object_or_none(self, backend: Backend) -> None:
        body = b"x" * 5_000_000
        seen: set[int] = set()
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                for key in backend.objects.keys("raw/"):
                    seen.add(len(backend.objects.get(key)))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(5):
            backend.objects.put(f"raw/{number}", body)
        done.set()
        reader.join()

        assert seen <= {len(body)}
