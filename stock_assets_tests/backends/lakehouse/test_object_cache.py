"""Small objects are read once by a machine; removed, replaced and damaged ones are noticed as without the file."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from typing import NoReturn

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse.object_cache import CachedObjects
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DamagedResponses, Outcome, ServiceUnavailable
from stock_assets.core.vendor_facts import Split
from stock_assets.ingest import ledger_queries
from stock_assets.ingest.ledger_queries import known_splits
from stock_assets.ingest.response_keys import response_key
from stock_assets.ingest.split_requests import request_splits
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.steps import parts

COUNT = 20
LISTING = "listing"
DAY = 24 * 3600


class Bucket:
    """Objects of a bucket; `requests` has the keys that were read, and listings."""

    def __init__(self) -> None:
        self.bodies = {f"raw/splits/{number:02}": bytes([number, 200]) for number in range(COUNT)}
        self.requests: list[str] = []
        self.unreadable: set[str] = set()

    def get_version(self, key: str) -> tuple[bytes, str]:
        self.requests.append(key)
        if key in self.unreadable:
            raise ServiceUnavailable("no network")
        return self.bodies[key], self._etag(key)

    def etags(self, prefix: str) -> list[tuple[str, str]]:
        self.requests.append(LISTING)
        return [(key, self._etag(key)) for key in self.bodies if key.startswith(prefix)]

    def full_address(self, prefix: str) -> str:
        return f"here {prefix}"

    def _etag(self, key: str) -> str:
        return md5(self.bodies[key], usedforsecurity=False).hexdigest()

    def taken(self) -> list[str]:
        """Return the requests since the last call, sorted."""
        found, self.requests = sorted(self.requests), []
        return found


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return the cache folder of the machine, which does not exist yet."""
    return tmp_path / "home" / "objects"


def read(bucket: Bucket, cache: Path, count: int = COUNT) -> dict[str, bytes]:
    """Read objects as a new process does."""
    objects = CachedObjects(bucket, "raw/splits/", cache)  # type: ignore[arg-type]  # the objects of a bucket
    return dict(objects.read([f"raw/splits/{number:02}" for number in range(count)]))


def age(file: Path, days: int) -> None:
    """Let a file look as if it was used some days ago."""
    then = time.time() - days * DAY
    os.utime(file, (then, then))


def only_file(cache: Path) -> Path:
    [file] = cache.iterdir()
    return file


def test_a_later_process_lists_and_reads_only_new_objects(bucket: Bucket, cache: Path) -> None:
    wanted = sorted(bucket.bodies)
    assert read(bucket, cache) == bucket.bodies
    assert bucket.taken() == wanted
    assert read(bucket, cache) == bucket.bodies
    assert bucket.taken() == [LISTING]
    assert only_file(cache).stat().st_mode & 0o077 == 0

    bucket.bodies["raw/splits/20"] = b"new"
    assert read(bucket, cache, 21) == bucket.bodies
    assert bucket.taken() == [LISTING, "raw/splits/20"]
    assert read(bucket, cache, 21) == bucket.bodies
    assert bucket.taken() == [LISTING]


def test_a_few_objects_are_read_without_a_listing(bucket: Bucket, cache: Path) -> None:
    read(bucket, cache)
    bucket.taken()
    assert len(read(bucket, cache, 12)) == 12
    assert bucket.taken() == sorted(bucket.bodies)[:12]
    assert read(bucket, cache) == bucket.bodies
    assert bucket.taken() == [LISTING]


def test_removed_and_replaced_objects_are_noticed(bucket: Bucket, cache: Path) -> None:
    read(bucket, cache)
    bucket.taken()
    del bucket.bodies["raw/splits/03"]
    bucket.bodies["raw/splits/07"] = b"replaced"
    for requests in ([LISTING, "raw/splits/03", "raw/splits/07"], [LISTING, "raw/splits/03"]):
        assert read(bucket, cache) == bucket.bodies
        assert bucket.taken() == requests


def test_what_was_read_before_an_error_is_not_read_again(bucket: Bucket, cache: Path) -> None:
    last = max(bucket.bodies)
    bucket.unreadable = {last}
    with pytest.raises(ServiceUnavailable):
        read(bucket, cache)
    bucket.taken()
    bucket.unreadable = set()
    assert read(bucket, cache) == bucket.bodies
    assert bucket.taken() == [LISTING, last]


def test_an_error_keeps_what_earlier_processes_have_read(bucket: Bucket, cache: Path) -> None:
    """Also of the few objects that are read without a listing."""
    read(bucket, cache)
    bucket.unreadable = set(bucket.bodies)
    with pytest.raises(ServiceUnavailable):
        read(bucket, cache, 12)
    bucket.taken()
    assert read(bucket, cache) == bucket.bodies
    assert bucket.taken() == [LISTING]


def test_the_file_is_written_only_after_a_change(bucket: Bucket, cache: Path) -> None:
    read(bucket, cache)
    written = only_file(cache).stat().st_ino
    for count in (COUNT, 12, COUNT):
        read(bucket, cache, count)
        assert only_file(cache).stat().st_ino == written
    del bucket.bodies["raw/splits/19"]
    read(bucket, cache, COUNT - 1)
    assert only_file(cache).stat().st_ino != written


def test_files_that_no_process_uses_are_deleted_after_90_days(bucket: Bucket, cache: Path) -> None:
    """A file that processes only read is in use."""
    read(bucket, cache)
    used = only_file(cache)
    for name, days in (("forgotten.json", 91), ("recent.json", 89)):
        (cache / name).touch()
        age(cache / name, days)
    age(used, 91)
    read(bucket, cache)
    assert time.time() - used.stat().st_mtime < DAY

    other = Bucket()
    other.bodies = {"raw/other/1": b"other"}
    CachedObjects(other, "raw/other/", cache).read(["raw/other/1"])  # type: ignore[arg-type]  # as in `read`
    assert used.exists()
    assert (cache / "recent.json").exists()
    assert not (cache / "forgotten.json").exists()


def test_each_prefix_has_its_own_file(bucket: Bucket, cache: Path) -> None:
    bucket.bodies |= {f"raw/other/{number:02}": bytes([number]) for number in range(COUNT)}
    others = [key for key in bucket.bodies if key.startswith("raw/other/")]

    def read_others() -> int:
        return len(CachedObjects(bucket, "raw/other/", cache).read(others))  # type: ignore[arg-type]  # as in `read`

    assert (len(read(bucket, cache)), read_others()) == (COUNT, COUNT)
    bucket.taken()
    assert (len(read(bucket, cache)), read_others()) == (COUNT, COUNT)
    assert bucket.taken() == [LISTING, LISTING]
    assert len(list(cache.iterdir())) == 2


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"\\u00c8", b"\\u00c9", 1))


@pytest.mark.parametrize("damage", [empty, cut, changed])
def test_a_damaged_file_is_written_again(bucket: Bucket, cache: Path, damage: Callable[[Path], None]) -> None:
    read(bucket, cache)
    bucket.taken()
    before = only_file(cache).read_bytes()
    damage(only_file(cache))
    assert only_file(cache).read_bytes() != before
    for requests in (sorted(bucket.bodies), [LISTING]):
        assert read(bucket, cache) == bucket.bodies
        assert bucket.taken() == requests


@pytest.mark.parametrize("obstacle", ["file in the way", "full disk"])
def test_without_a_usable_folder_each_process_reads(
    obstacle: str, bucket: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Lambda function."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(obstacle)

    if obstacle == "full disk":
        monkeypatch.setattr(Path, "replace", refuse)
    else:
        cache.parent.parent.mkdir(exist_ok=True)
        cache.parent.write_text("not a folder")
    for _ in range(2):
        assert read(bucket, cache) == bucket.bodies
        assert bucket.taken() == sorted(bucket.bodies)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_process_never_reads_a_file_that_another_one_is_writing(bucket: Bucket, cache: Path) -> None:
    """While each process that writes adds an object, one that reads always finds what was there before."""
    bucket.bodies |= {f"raw/splits/{number}": os.urandom(100_000) for number in range(100, 130)}
    small = [f"raw/splits/{number:02}" for number in range(COUNT)]
    read(bucket, cache)
    bucket.taken()

    def write(number: int) -> None:
        CachedObjects(bucket, "raw/splits/", cache).read([*small, f"raw/splits/{number}"])  # type: ignore[arg-type]

    ended, reads = threading.Event(), [0]

    def read_until_the_end() -> None:
        while not ended.is_set():
            assert read(bucket, cache).keys() == set(small)
            reads[0] += 1

    with ThreadPoolExecutor(2) as threads:
        reader = threads.submit(read_until_the_end)
        try:
            for number in range(100, 130):
                write(number)
        finally:
            ended.set()
        reader.result()
    assert reads[0] > 0
    assert not set(bucket.taken()) & set(small), "a half-written file is as good as none"


def test_the_splits_of_a_machine_are_read_once_and_their_damage_is_noticed(
    tmp_path: Path, aws: AwsEmulator, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, universe = athena_backend(aws.endpoint, tmp_path / "backend"), symbols(COUNT)
    pipeline = parts(backend, live_source(server), universe)
    at, entries = utc("2024-03-01 22:00"), []
    for symbol in universe.symbols:
        body = f'{{"symbol": "{symbol}", "data": [{{"effective_date": "2021-07-20", "split_factor": "4"}}]}}'.encode()
        key = response_key(FetchKind.SPLITS, symbol, at)
        backend.objects.put(key, body)
        entries.append(Fetch(symbol, FetchKind.SPLITS, at, Outcome.OK, key, content_hash=content_hash(body), calls=1))
    backend.ledger.record(*entries)

    def in_another_process() -> tuple[dict[str, list[Split]], int, int]:
        monkeypatch.setattr(ledger_queries, "_parsed_splits", {})
        aws.calls.clear()
        found = known_splits(pipeline)
        splits = [call.request for call in aws.calls if "raw/splits" in call.request or "raw%2Fsplits" in call.request]
        listings = [request for request in splits if "list-type" in request]
        return found, len(splits) - len(listings), len(listings)

    first, reads, listings = in_another_process()
    assert (len(first), reads, listings) == (COUNT, COUNT, 0)
    assert in_another_process() == (first, 0, 1)

    damaged = entries[3].response_key
    backend.objects.delete(damaged)
    for replaced in (None, b"", b'{"symbol": "S04", "data": []}'):
        if replaced is not None:
            backend.objects.delete(damaged)
            backend.objects.put(damaged, replaced)
        with pytest.raises(DamagedResponses, match=f"splits of {entries[3].symbol} are damaged"):
            in_another_process()
    server.splits = {entries[3].symbol: {"2021-07-20": "4"}}
    monkeypatch.setattr(ledger_queries, "_parsed_splits", {})
    [result] = request_splits(pipeline, [entries[3].symbol], reserve_calls=0).values()
    assert result.fetch.response_key != damaged
    assert in_another_process()[0] == first
