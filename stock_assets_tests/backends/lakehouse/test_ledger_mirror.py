"""The mirror of the ledger: always equal to the listed objects, each read once by a machine, and never an error."""

import fcntl
import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date, timedelta
from hashlib import md5
from pathlib import Path
from uuid import uuid4

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse import ledger, ledger_mirror
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.ledger_mirror import LedgerMirror
from stock_assets.core.errors import Outcome
from stock_assets_tests.contracts.packed_ledger_contract import START, record, requests, symbols

COUNT = 12


class FolderObjects:
    """Objects in a folder in place of a bucket, for several processes; `reads` has a line per object that was read."""

    def __init__(self, folder: Path, address: str = "here") -> None:
        self.folder = folder
        self.address = address
        self.reads = folder.with_name("reads")

    def put(self, key: str, body: bytes) -> None:
        file = self.folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.folder.with_name(uuid4().hex)
        partial.write_bytes(body)
        partial.rename(file)

    def get(self, key: str) -> bytes:
        with self.reads.open("a") as log:
            log.write(f"{key}\n")
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def keys(self, prefix: str) -> list[str]:
        return sorted(str(file.relative_to(self.folder)) for file in (self.folder / prefix).rglob("*.*"))

    def etags(self, prefix: str) -> list[tuple[str, str]]:
        return [
            (key, f'"{md5((self.folder / key).read_bytes(), usedforsecurity=False).hexdigest()}"')
            for key in self.keys(prefix)
        ]

    def delete_keys(self, keys: Sequence[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def full_address(self, key: str) -> str:
        return f"{self.address} {key}"

    def taken_reads(self) -> list[str]:
        """Return the keys that were read since the last call."""
        found = self.reads.read_text().splitlines() if self.reads.exists() else []
        self.reads.unlink(missing_ok=True)
        return found


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    """Return a ledger of some requests, each in an object."""
    found = FolderObjects(tmp_path / "bucket")
    record(opened(found, tmp_path / "writer"), requests(COUNT))
    return found


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return the cache folder of the machine, which does not exist yet."""
    return tmp_path / "home" / "ledger"


def opened(objects: FolderObjects, cache: Path, pack_after: int = 1000) -> S3Ledger:
    """Open the ledger as a new process does."""
    return S3Ledger(objects, pack_after=pack_after, cache=cache)  # type: ignore[arg-type]  # the objects of a bucket


def expected(count: int = COUNT, first: int = 0) -> list[str]:
    return [fetch.symbol for fetch in requests(count, first)]


def mirror_file(cache: Path) -> Path:
    [file] = cache.glob("*.db")
    return file


def test_a_later_process_reads_only_new_objects(objects: FolderObjects, cache: Path) -> None:
    first = opened(objects, cache)
    assert symbols(first) == expected()
    assert sorted(objects.taken_reads()) == objects.keys("ledger/")
    before = first.fetches(FetchKind.PRICES)

    later = opened(objects, cache)
    assert later.fetches(FetchKind.PRICES) == before == requests(COUNT)[::-1]
    assert objects.taken_reads() == []

    record(opened(objects, cache), requests(2, COUNT))
    for process in (later, first, opened(objects, cache)):
        assert symbols(process) == expected(COUNT + 2)
    assert sorted(objects.taken_reads()) == objects.keys("ledger/")[COUNT:]


def test_a_pack_replaces_its_objects_for_other_processes(objects: FolderObjects, cache: Path, tmp_path: Path) -> None:
    """The packs of another machine too; a full pack is never read again."""
    mine = opened(objects, cache)
    assert symbols(mine) == expected()
    symbols(opened(objects, tmp_path / "other machine", pack_after=4))
    objects.taken_reads()

    for process in (mine, opened(objects, cache)):
        assert symbols(process) == expected()
    assert objects.taken_reads() == objects.keys("ledger/")
    record(mine, requests(5, COUNT))
    for process in (opened(objects, cache, pack_after=4), opened(objects, cache), mine):
        assert symbols(process) == expected(COUNT + 5)
    assert len(objects.keys("ledger/")) == 1


def several(first: int) -> list[Fetch]:
    """Return requests with every column, some without microseconds."""
    return [
        Fetch(
            f"S{number:03d}",
            FetchKind.PRICES,
            START + timedelta(seconds=number, microseconds=number % 2),
            Outcome.OK,
            f"raw/{number}",
            date(2012, 3, 1),
            date(2012, 3, 5),
            (date(2012, 3, 2),) * (number % 3),
            "0" * 64,
            1,
            'Kurs "\u00fcber" 1',
        )
        for number in range(first, first + 3)
    ]


@pytest.mark.parametrize("changed", [False, True], ids=["as in the bucket", "another content"])
def test_a_pack_reads_no_object_that_the_mirror_has(objects: FolderObjects, cache: Path, *, changed: bool) -> None:
    """An object whose bytes are not exactly those of the bucket is read again."""
    for first in range(COUNT, COUNT + 9, 3):
        opened(objects, cache).record(*several(first))
    before = opened(objects, cache).fetches(FetchKind.PRICES)
    assert len(objects.taken_reads()) == COUNT + 3
    [one, *_] = objects.keys("ledger/")
    if changed:
        with closing(sqlite3.connect(mirror_file(cache))) as connection, connection:
            connection.execute("UPDATE fetches SET detail = 'damaged' WHERE symbol = 'S000'")

    assert len(opened(objects, cache, pack_after=4).fetches(FetchKind.PRICES)) == len(before) == COUNT + 9
    assert objects.taken_reads() == ([one] if changed else [])
    assert len(objects.keys("ledger/")) == 1
    assert opened(objects, cache / "other machine").fetches(FetchKind.PRICES) == before


@pytest.mark.parametrize("damage", ["fetched_at = X'00'", "fetched_at = NULL", "missing_sessions = '{'"])
def test_a_row_that_no_request_has_is_damage_of_the_file(objects: FolderObjects, cache: Path, damage: str) -> None:
    """The file can still be opened; a pack reads all objects again."""
    before = opened(objects, cache).fetches(FetchKind.PRICES)
    objects.taken_reads()
    keys, damaged = objects.keys("ledger/"), mirror_file(cache)
    with closing(sqlite3.connect(damaged, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'fetches'")
    with closing(sqlite3.connect(damaged)) as connection, connection:
        connection.execute(f"UPDATE fetches SET {damage} WHERE symbol = 'S000'")

    assert opened(objects, cache, pack_after=4).fetches(FetchKind.PRICES) == before
    assert sorted(objects.taken_reads()) == keys
    assert len(objects.keys("ledger/")) == 1
    assert mirror_file(cache) != damaged


def test_a_pack_needs_no_further_listing(objects: FolderObjects, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list[str]()

    def list_keys(prefix: str) -> list[str]:
        listed.append(prefix)
        return FolderObjects.keys(objects, prefix)

    monkeypatch.setattr(objects, "keys", list_keys)
    assert symbols(opened(objects, cache, pack_after=4)) == expected()
    assert listed == ["ledger/"]
    assert len(objects.keys("ledger/")) == 1


def test_a_pack_reads_objects_whose_etag_is_no_md5(
    objects: FolderObjects, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bucket with a KMS key."""
    before = opened(objects, cache).fetches(FetchKind.PRICES)
    keys = objects.keys("ledger/")
    objects.taken_reads()
    monkeypatch.setattr(objects, "etags", lambda prefix: [(key, f'"{uuid4().hex}"') for key in objects.keys(prefix)])

    assert opened(objects, cache, pack_after=4).fetches(FetchKind.PRICES) == before
    assert sorted(objects.taken_reads()) == keys
    assert len(objects.keys("ledger/")) == 1


@pytest.mark.parametrize("emptied", [True, False], ids=["all objects", "one object"])
def test_requests_whose_object_is_gone_are_gone(objects: FolderObjects, cache: Path, *, emptied: bool) -> None:
    """As in a bucket that was emptied, or that another one of the same name has replaced."""
    mine = opened(objects, cache)
    assert symbols(mine) == expected()
    objects.delete_keys(objects.keys("ledger/")[: None if emptied else 1])
    remaining = [] if emptied else expected()[1:]
    assert [symbols(opened(objects, cache)), symbols(mine)] == [remaining, remaining]

    record(opened(objects, cache), requests(2, COUNT))
    for process in (mine, opened(objects, cache)):
        assert symbols(process) == [*remaining, *expected(2, COUNT)]


def test_a_listing_with_a_page_from_before_a_pack_is_repeated(
    objects: FolderObjects, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = opened(objects, cache)
    assert symbols(mine) == expected()
    symbols(opened(objects, tmp_path / "other machine", pack_after=4))
    record(opened(objects, cache), requests(2, COUNT))
    file = mirror_file(cache)
    complete = objects.keys("ledger/")
    listings = iter([[key for key in complete if "/new/" in key], complete])
    monkeypatch.setattr(objects, "etags", lambda _: dict.fromkeys(next(listings), "").items())
    assert symbols(mine) == expected(COUNT + 2)
    # The mirror is not built again.
    assert mirror_file(cache) == file


def test_the_responses_of_a_symbol_follow_each_other(objects: FolderObjects, cache: Path) -> None:
    day = date(2012, 3, 1)
    stored = [
        Fetch("A", FetchKind.PRICES, START + timedelta(hours=number), Outcome.OK, f"raw/{number}", day, day)
        for number in range(3)
    ]
    record(opened(objects, cache), stored)
    with opened(objects, cache).read() as table:
        assert list(table.responses("A", [day])) == stored[::-1]


def test_ledgers_of_other_addresses_have_other_mirrors(objects: FolderObjects, cache: Path, tmp_path: Path) -> None:
    assert symbols(opened(objects, cache)) == expected()
    assert symbols(opened(FolderObjects(tmp_path / "empty", "there"), cache)) == []
    assert symbols(opened(objects, cache)) == expected()
    assert len(list(cache.glob("*.db"))) == 2


def test_nobody_else_can_read_the_file(objects: FolderObjects, cache: Path) -> None:
    symbols(opened(objects, cache))
    assert {file.stat().st_mode & 0o777 for file in cache.iterdir()} == {0o600}
    assert cache.stat().st_mode & 0o777 == 0o700


class Killed(BaseException):
    """An exception that no code catches, as with a kill."""


def test_a_kill_while_reading_keeps_what_was_read(
    objects: FolderObjects, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process reads the remaining objects, and creates the indexes."""
    add, added = LedgerMirror.add, list[int]()

    def killed(mirror: LedgerMirror, found: dict[str, list[dict[str, object]]]) -> None:
        if len(added) == COUNT // 2:
            raise Killed
        added.append(len(found))
        add(mirror, found)

    monkeypatch.setattr(ledger, "_INSERTED_TOGETHER", 1)
    monkeypatch.setattr(LedgerMirror, "add", killed)
    with pytest.raises(Killed):
        symbols(opened(objects, cache))
    monkeypatch.undo()
    objects.taken_reads()
    assert symbols(opened(objects, cache)) == expected()
    assert sorted(objects.taken_reads()) == objects.keys("ledger/")[COUNT // 2 :]
    with sqlite3.connect(mirror_file(cache)) as connection:
        assert len(connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'").fetchall()) >= 4


def text(file: Path) -> None:
    file.write_text("no database" * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def pages(file: Path) -> None:
    """Damage everything but the first page, which has the definitions of the tables."""
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:8192])


def foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE fetches (id INTEGER)")


@pytest.mark.parametrize("damage", [text, empty, pages, cut, foreign])
def test_a_damaged_file_is_built_again(objects: FolderObjects, cache: Path, damage: Callable[[Path], None]) -> None:
    symbols(opened(objects, cache))
    objects.taken_reads()
    damage(mirror_file(cache))
    assert symbols(opened(objects, cache)) == expected()
    assert len(objects.taken_reads()) == COUNT
    assert symbols(opened(objects, cache)) == expected()
    assert objects.taken_reads() == []


@pytest.mark.parametrize("damage", [pages, cut])
def test_damage_that_a_query_finds_is_repaired(
    objects: FolderObjects, cache: Path, damage: Callable[[Path], None]
) -> None:
    mine = opened(objects, cache)
    with mine.read() as table:
        damage(mirror_file(cache))
        # SQLite forgets the pages that it has read before.
        table._connection.execute("PRAGMA shrink_memory")  # noqa: SLF001
        assert set(table.latest(FetchKind.PRICES)) == set(expected())
        assert table.symbols(FetchKind.PRICES) == expected()
    assert symbols(mine) == expected()
    assert symbols(opened(objects, cache)) == expected()


@pytest.mark.parametrize("obstacle", ["file in the way", "no permission", "no lock", "full disk"])
def test_without_a_usable_folder_the_table_is_in_memory(
    obstacle: str, objects: FolderObjects, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Lambda function. The superuser may write anywhere, so some obstacles are made up."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    def full(mirror: LedgerMirror, found: dict[str, list[dict[str, object]]]) -> None:
        if not mirror.in_memory:
            raise sqlite3.OperationalError("database or disk is full")
        add(mirror, found)

    add = LedgerMirror.add
    cache.parent.mkdir(parents=True)
    if obstacle == "file in the way":
        cache.write_text("in the way")
    elif obstacle == "no permission":
        monkeypatch.setattr(Path, "mkdir", refuse)
    elif obstacle == "no lock":
        monkeypatch.setattr(fcntl, "flock", refuse)
    else:
        monkeypatch.setattr(LedgerMirror, "add", full)
    mine = opened(objects, cache)
    assert symbols(mine) == expected()
    objects.taken_reads()
    monkeypatch.undo()
    record(mine, requests(1, COUNT))
    assert symbols(mine) == expected(COUNT + 1)
    assert objects.taken_reads() == []
    assert not cache.is_dir() or not any(file.stat().st_size > 50_000 for file in cache.iterdir())


def test_a_process_that_holds_the_lock_too_long_is_not_waited_for(
    objects: FolderObjects, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols(opened(objects, cache))
    monkeypatch.setattr(ledger_mirror, "_LOCKED_SECONDS", 0.05)
    [lock] = cache.glob("*.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert symbols(opened(objects, cache)) == expected()
    assert len(list(cache.glob("*.db"))) == 1


def test_a_file_that_was_deleted_or_replaced_is_found_again(objects: FolderObjects, cache: Path) -> None:
    mine, other = opened(objects, cache), opened(objects, cache)
    assert symbols(mine) == symbols(other) == expected()
    mirror_file(cache).unlink()
    record(mine, requests(1, COUNT))
    for process in (other, mine, opened(objects, cache)):
        assert symbols(process) == expected(COUNT + 1)
    assert len(list(cache.glob("*.db"))) == 1


def test_forgotten_files_of_other_ledgers_are_deleted(objects: FolderObjects, cache: Path) -> None:
    cache.mkdir(parents=True)
    for name, age in (("a.1.db", 91), ("b.1.db", 89)):
        (cache / name).touch()
        past = (cache / name).stat().st_mtime - age * 24 * 3600
        os.utime(cache / name, (past, past))
    symbols(opened(objects, cache))
    assert not (cache / "a.1.db").exists()
    assert (cache / "b.1.db").exists()


def work(bucket: Path, cache: Path, number: int) -> None:
    """Record and read in turn, and pack."""
    objects = FolderObjects(bucket)
    mine = opened(objects, cache, pack_after=8)
    for fetch in requests(10, 100 * (number + 1)):
        mine.record(fetch)
        found = symbols(mine)
        assert fetch.symbol in found
        assert len(found) == len(set(found))
        assert set(expected()) <= set(found)


def test_processes_share_a_mirror_while_all_write_and_pack(objects: FolderObjects, cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(objects.folder, cache, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert symbols(opened(objects, cache)) == sorted(
        [*expected(), *(symbol for number in (1, 2, 3) for symbol in expected(10, 100 * number))]
    )
    # One process at a time reads: apart from packing, each small object of the start is read by one process.
    small = [key for key in objects.taken_reads() if "/new/" in key]
    assert len(small) <= 2 * (COUNT + 30)
    assert len(list(cache.glob("*.db"))) == 1
