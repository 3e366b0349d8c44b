"""Files that others may put into the landing area or a folder to import, and that must not stop the other files."""

import codecs
import gzip
import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "date,symbol,open,high,low,close,volume\n"
LINE = "2012-03-01,IBM,100,102,99,101,1000\n"
OUTSIDE = "first line of a file outside"
NOBODY = 65534


@dataclass(frozen=True)
class Hostile:
    """One kind of file.

    Attributes:
        make: puts it into a folder; the second argument is a folder outside.
        name: its name, as messages display it.
        why: part of the reason in the landing area; the whole reason is one line.
        import_why: part of the reason in an import; empty if it is the same.
    """

    make: Callable[[Path, Path], object]
    name: str
    why: str
    import_why: str = ""


def _write(name: str, body: bytes) -> Callable[[Path, Path], object]:
    return lambda folder, _: (folder / name).write_bytes(body)


def _sparse(name: str, start: bytes, size: int) -> Callable[[Path, Path], None]:
    def make(folder: Path, _: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return make


def _link(name: str, target: Callable[[Path, Path], Path]) -> Callable[[Path, Path], None]:
    def make(folder: Path, outside: Path) -> None:
        (outside / "secret.csv").write_text(f"{OUTSIDE}\n", encoding="utf-8")
        (folder / name).symlink_to(target(folder, outside))

    return make


def _socket(folder: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, _in(folder):
        # The path of a socket has at most 107 bytes.
        one.bind("socket.csv")


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _bomb(size: int, piece: bytes) -> bytes:
    """Return gzip data of many equal pieces."""
    member = gzip.compress(piece * (1_000_000 // len(piece)), 1)
    return member * (size // 1_000_000)


def _parquet_bomb() -> bytes:
    """Return a Parquet file of 300,000 equal rows."""
    values = {"date": "2012-03-01", "symbol": "IBM"} | dict.fromkeys(("open", "high", "low", "close", "volume"), "1")
    rows = 100_000
    group = pa.table(
        {
            name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
            for name, text in values.items()
        }
    )
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, group.schema, compression="zstd") as writer:
        for _ in range(3):
            writer.write_table(group)
    return sink.getvalue()


def _folder_like_a_file(folder: Path, _: Path) -> None:
    (folder / "IBM.csv").mkdir()
    (folder / "IBM.csv" / "x").write_bytes(b"x\n")


def _locked_file(folder: Path, _: Path) -> None:
    (folder / "locked.csv").write_text(HEADER + LINE, encoding="utf-8")
    (folder / "locked.csv").chmod(0)


def _locked_folder(folder: Path, _: Path) -> None:
    (folder / "locked").mkdir()
    (folder / "locked" / "IBM.csv").write_text(HEADER + LINE, encoding="utf-8")
    (folder / "locked").chmod(0)


def _bytes_name(folder: Path, _: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.csv")).write_text(HEADER + LINE, encoding="utf-8")


_SPARSE = 3_000_000_000
CASES: dict[str, Hostile] = {
    "named pipe": Hostile(lambda folder, _: os.mkfifo(folder / "pipe.csv"), "pipe.csv", "it is a named pipe"),
    "socket": Hostile(_socket, "socket.csv", "it is a socket"),
    "link outside": Hostile(
        _link("link.csv", lambda _, outside: outside / "secret.csv"), "link.csv", "link that leaves the folder"
    ),
    "link to a folder outside": Hostile(_link("all", lambda _, outside: outside), "all", "link that leaves the folder"),
    "link to a device": Hostile(_link("zero.csv", lambda *_: Path("/dev/zero")), "zero.csv", "leaves the folder"),
    "link upwards": Hostile(_link("up.csv", lambda *_: Path("../../../etc/passwd")), "up.csv", "leaves the folder"),
    "link to itself": Hostile(_link("loop.csv", lambda *_: Path("loop.csv")), "loop.csv", "leads to no file"),
    "link to nothing": Hostile(_link("old.csv", lambda *_: Path("gone.csv")), "old.csv", "leads to no file"),
    "link to its folder": Hostile(_link("here", lambda folder, _: folder), "here", "link that le"),
    "3 GB without content": Hostile(
        _sparse("sparse.csv", b"", _SPARSE), "sparse.csv", "it has 3,000 MB, and a landing file may", "NUL characters"
    ),
    "3 GB after a header": Hostile(
        _sparse("tail.csv", HEADER.encode(), _SPARSE), "tail.csv", "it has 3,000 MB", "NUL characters"
    ),
    "3 GB after rows": Hostile(
        _sparse("rows.csv", (HEADER + LINE * 100).encode(), _SPARSE),
        "rows.csv",
        "it has 3,000 MB",
        "line 102 is longer than 1,000,000 characters",
    ),
    "one endless line": Hostile(
        _write("line.csv", HEADER.encode() + b"1" * 5_000_000), "line.csv", "longer than 1,000,000 characters"
    ),
    "gzip bomb of rows": Hostile(
        _write("bomb.csv.gz", gzip.compress(HEADER.encode()) + _bomb(3_000_000, LINE.encode())),
        "bomb.csv.gz",
        "more than 2 MB without its compression",
    ),
    "gzip bomb of a line": Hostile(
        _write("flat.csv.gz", gzip.compress(_bomb(100_000_000, b"1"))),
        "flat.csv.gz",
        "line 1 is longer than 1,000,000 characters",
    ),
    "zstd bomb": Hostile(
        _write("bomb.zst", pa.Codec("zstd").compress(bytes(3_000_000), asbytes=True)),
        "bomb.zst",
        "more than 2 MB without its compression",
    ),
    "Parquet bomb": Hostile(
        _write("bomb.parquet", _parquet_bomb()), "bomb.parquet", "more than 2 MB without its compression"
    ),
    "empty gzip": Hostile(_write("empty.csv.gz", gzip.compress(b"")), "empty.csv.gz", "the file is empty"),
    "truncated gzip": Hostile(
        _write("cut.csv.gz", gzip.compress((HEADER + LINE).encode())[:-9]), "cut.csv.gz", "the file is truncated"
    ),
    "gzip header only": Hostile(_write("head.gz", b"\x1f\x8b\x08"), "head.gz", "the file is truncated"),
    "name not UTF-8": Hostile(_bytes_name, r"caf\udce9.csv", "its name is not UTF-8"),
    "name of two lines": Hostile(
        _write("a\nb.csv", (HEADER + LINE).encode()), r"a\nb.csv", "its name is not UTF-8, or contains control"
    ),
    "name with colours": Hostile(
        _write("\x1b[31mred.csv", (HEADER + LINE).encode()), r"\x1b[31mred.csv", "contains control characters"
    ),
    "name with markup": Hostile(_write("[red]x[b].csv", b"nonsense\n"), "[red]x[b].csv", "neither a header"),
    "folder with the name of a file": Hostile(
        _folder_like_a_file,
        "IBM.csv/x",
        "neither a header",
    ),
    "no permission": Hostile(_locked_file, "locked.csv", "it cannot be read (Permission denied); check its perm"),
    "no permission for a folder": Hostile(
        _locked_folder, "locked", "the folder cannot be listed (Permission denied); change its permissions"
    ),
}


@contextmanager
def without_privileges(*folders: Path) -> Iterator[None]:
    """Access files as a user whom permissions restrict, if one of them has none; root may read everything."""
    if os.geteuid() != 0 or all(
        path.is_symlink() or path.stat().st_mode & 0o777 for folder in folders for path in folder.rglob("*")
    ):
        yield
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink() and path.stat().st_mode & 0o777:
                os.chown(path, NOBODY, NOBODY)
        for path in folder.parents:
            with suppress(PermissionError):
                path.chmod(path.stat().st_mode | 0o011)
    # The modules of codecs may be in a folder that only root may read.
    codecs.lookup("utf-8-sig")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
