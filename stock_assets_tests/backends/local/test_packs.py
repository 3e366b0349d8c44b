"""Packs of raw responses: same keys and bytes, few files, and nothing is lost if packing stops at any step."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.backends.local import packs
from stock_assets.core.errors import ObjectExists
from stock_assets_tests.support.steps import local_backend


def key_of(number: int, *, month: int = 3, kind: str = "daily_prices", symbol: str = "IBM") -> str:
    """Return the key of a response."""
    folder = f"2012{month:02d}{number:02d}T220000000000Z"
    return f"raw/{kind}/ingest_date=2012-{month:02d}-{number:02d}/{folder}/{symbol}.csv"


def put(backend: Backend, keys: list[str]) -> dict[str, bytes]:
    """Store an object of its own bytes under each key."""
    bodies = {key: hashlib.sha256(key.encode()).digest() * 20 + b"\r\n\x00" for key in keys}
    for key, body in bodies.items():
        backend.objects.put(key, body)
    return bodies


def files(root: Path) -> list[str]:
    """Return the files below `raw/`, with every pack named `pack`."""
    found = (path for path in (root / "raw").rglob("*") if path.is_file())
    return sorted(f"{path.parent.relative_to(root)}/pack" if path.suffix == ".zip" else path.name for path in found)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The data folder."""
    return tmp_path / "data"


@pytest.fixture
def backend(root: Path) -> Backend:
    """A backend in the folder."""
    return local_backend(root)


def assert_stored(root: Path, bodies: dict[str, bytes]) -> None:
    """Check that another process finds exactly these objects."""
    packs.opened_pack.cache_clear()
    objects = local_backend(root).objects
    assert {key: objects.get(key) for key in objects.keys("raw/")} == bodies


def test_packed_objects_keep_keys_and_bytes_in_one_file_per_month_and_kind(backend: Backend, root: Path) -> None:
    keys = [key_of(day, month=month, symbol=symbol) for day in (1, 2) for month in (3, 4) for symbol in ("IBM", "AAPL")]
    bodies = put(backend, [*keys, key_of(1, kind="splits"), "raw/daily_prices/landed.csv"])

    assert backend.objects.pack(bodies) == len(bodies) - 1

    assert files(root) == [
        "landed.csv",
        "raw/packs/daily_prices/2012-03/pack",
        "raw/packs/daily_prices/2012-04/pack",
        "raw/packs/splits/2012-03/pack",
    ]
    assert_stored(root, bodies)
    assert backend.objects.keys("raw/splits/") == [key_of(1, kind="splits")]
    assert backend.objects.keys("raw/daily_prices/ingest_date=2012-03-01/") == sorted(
        key for key in keys if "2012-03-01" in key
    )
    assert [entry.key for entry in backend.objects.entries("raw/")] == ["raw/daily_prices/landed.csv"]
    assert not [path for path in (root / "raw/daily_prices").iterdir() if path.is_dir()], "empty folders are removed"


def test_later_responses_of_a_month_are_merged_into_its_pack(backend: Backend, root: Path) -> None:
    bodies = put(backend, [key_of(1), key_of(2)])
    backend.objects.pack(bodies)
    bodies |= put(backend, [key_of(3)])
    backend.objects.pack(bodies)

    assert files(root) == ["raw/packs/daily_prices/2012-03/pack"]
    assert_stored(root, bodies)


def test_a_large_pack_is_not_written_again(backend: Backend, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MERGED_BELOW", 100)
    bodies = put(backend, [key_of(1)])
    backend.objects.pack(bodies)
    [first] = root.rglob("*.zip")
    bodies |= put(backend, [key_of(2)])
    backend.objects.pack(bodies)

    assert files(root) == ["raw/packs/daily_prices/2012-03/pack"] * 2
    assert first.exists()
    assert_stored(root, bodies)


def test_a_packed_key_is_neither_used_again_nor_deleted(backend: Backend) -> None:
    put(backend, [key_of(1)])
    backend.objects.pack([key_of(1)])

    with pytest.raises(ObjectExists, match="IBM"):
        backend.objects.put(key_of(1), b"")
    with pytest.raises(ValueError, match="never deleted"):
        backend.objects.delete(key_of(1))
    with pytest.raises(KeyError):
        backend.objects.get(key_of(2))


class Killed(BaseException):
    """Ends the process of a test."""


class Kill:
    """Raises `Killed` instead of one operation on files, and instead of all later ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self._left = at
        for owner, names in ((Path, ("rename", "unlink", "rmdir")), (os, ("fsync",)), (ZipFile, ("writestr",))):
            for name in names:
                monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, operation: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            self._left -= 1
            if self._left < 0:
                raise Killed
            return operation(*args, **kwargs)

        return run


def test_a_kill_at_any_step_loses_nothing_and_the_next_packing_ends_the_work(tmp_path: Path) -> None:
    steps = 0
    for steps in range(100):
        root = tmp_path / str(steps)
        backend = local_backend(root)
        bodies = put(backend, [key_of(1), key_of(2)])
        backend.objects.pack(bodies)
        bodies |= put(backend, [key_of(3), key_of(4, symbol="AAPL")])
        with pytest.MonkeyPatch.context() as patched:
            Kill(patched, steps)
            try:
                backend.objects.pack(bodies)
                ended = True
            except Killed:
                ended = False
        assert_stored(root, bodies)
        bodies |= put(local_backend(root), [key_of(5)])
        local_backend(root).objects.pack(bodies)
        assert_stored(root, bodies)
        assert len(list(root.rglob("*.zip"))) == 1
        assert not list(root.rglob("*.csv"))
        if ended:
            break
    assert steps > 8


def test_a_pack_is_on_disk_before_a_file_or_an_earlier_pack_is_removed(
    backend: Backend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(backend, [key_of(1)])
    backend.objects.pack([key_of(1)])
    put(backend, [key_of(2)])
    synced: set[tuple[int, int]] = set()
    fsync, unlink = os.fsync, Path.unlink
    removed = []

    def record(descriptor: int) -> None:
        fsync(descriptor)
        status = os.fstat(descriptor)
        synced.add((status.st_ino, status.st_mtime_ns))

    def check(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 (the signature of Path.unlink)
        if path.exists():
            pack = max(root.rglob("*.zip"), key=lambda file: file.stat().st_size)
            assert ZipFile(pack).namelist() == [key_of(1), key_of(2)]
            for one in (pack, pack.parent):
                removed.append(path.suffix)
                assert one == pack.parent or (one.stat().st_ino, one.stat().st_mtime_ns) in synced
                assert any(inode == one.stat().st_ino for inode, _ in synced)
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(Path, "unlink", check)
    backend.objects.pack([key_of(2)])

    assert set(removed) == {".zip", ".csv"}


def test_a_restored_file_is_read_instead_of_the_packed_bytes(backend: Backend, root: Path) -> None:
    put(backend, [key_of(1)])
    backend.objects.pack([key_of(1)])
    (root / key_of(1)).parent.mkdir(parents=True)
    (root / key_of(1)).write_bytes(b"restored")

    assert backend.objects.pack([key_of(1)]) == 0
    assert backend.objects.get(key_of(1)) == b"restored"


@pytest.mark.parametrize(
    "damage", [lambda body: body[:0], lambda body: body[:-9], lambda body: body[:115] + b"0123456789" + body[125:]]
)
def test_a_damaged_pack_is_an_error_that_names_it_and_new_responses_are_still_packed(
    backend: Backend, root: Path, damage: Callable[[bytes], bytes]
) -> None:
    put(backend, [key_of(1)])
    backend.objects.pack([key_of(1)])
    [pack] = root.rglob("*.zip")
    pack.write_bytes(damage(pack.read_bytes()))
    packs.opened_pack.cache_clear()

    with pytest.raises(OSError, match=f"{pack.name} is damaged"):
        backend.objects.get(key_of(1))
    bodies = put(backend, [key_of(2)])
    assert backend.objects.pack(bodies) == 1
    assert backend.objects.get(key_of(2)) == bodies[key_of(2)]
    assert pack.exists()


def test_a_reader_finds_an_object_whose_pack_is_merged_meanwhile(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = put(backend, [key_of(1)])
    backend.objects.pack(bodies)
    packs.opened_pack.cache_clear()
    bodies |= put(backend, [key_of(2)])
    opened = packs.open_pack
    merged: list[Path] = []

    def merge_first(pack: Path) -> ZipFile:
        if not merged:
            merged.append(pack)
            monkeypatch.setattr(packs, "open_pack", opened)
            backend.objects.pack(bodies)
        return opened(pack)

    monkeypatch.setattr(packs, "open_pack", merge_first)
    assert backend.objects.get(key_of(1)) == bodies[key_of(1)]
    assert not merged[0].exists()
