"""Recognise the content of a file by its first bytes: compression, encoding, format.

Belongs here: opening a file as text or Parquet, and naming what cannot be read. Does not belong here: its rows.
"""

import gzip
import io
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import pyarrow as pa

from stock_assets.core.errors import PriceFileUnreadable

PARQUET = b"PAR1"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PK\x05\x06": "an empty zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\xff\x06\x00\x00sNaPpY": "compressed with Snappy",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "a Feather file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"\x80\x04\x95": "a Python pickle",
}
_ENCODINGS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_START = 512
_LAYERS = 3
"""Compressions inside each other: Firehose compresses records that may be compressed already."""
_IN_MEMORY = 16 * 1024 * 1024
_ALWAYS = 64 * 1024 * 1024
_EXPANSION = 100
"""A file may be this many times larger without its compression, and `_ALWAYS` in any case; prices: 3 to 20 times."""
_PIECE = 1024 * 1024
_FORMATS = "CSV, JSON or Parquet, plain or compressed with gzip or zstd"


@contextmanager
def named_errors() -> Iterator[None]:
    """Convert the errors of damaged bytes to errors that say what is damaged.

    Raises:
        PriceFileUnreadable: an error of a decompressor, a decoder or the Parquet reader.
    """
    try:
        yield
    except EOFError as error:
        raise PriceFileUnreadable("the gzip data end early: the file is truncated; copy it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise PriceFileUnreadable(f"the gzip data are damaged ({error}); copy the file again") from error
    except UnicodeDecodeError as error:
        raise PriceFileUnreadable(
            f"the text is not {error.encoding.upper()}: {error.reason} at byte {error.start}; save the file as UTF-8"
        ) from error
    except pa.ArrowException as error:
        raise PriceFileUnreadable(f"the Parquet file is truncated, damaged, or has nested values ({error})") from error
    except OSError as error:
        # The decompressor of Arrow raises OSError without a number; errors of the operating system have one.
        if error.errno is not None:
            raise
        cause = "end early: the file is truncated" if "Truncated" in str(error) else f"are damaged ({error})"
        raise PriceFileUnreadable(f"the data {cause}; copy the file again") from error


@dataclass(frozen=True)
class Content:
    """The content of a file without its compression: exactly one of the two.

    Attributes:
        parquet: a Parquet file with random access.
        text: decoded text.
        is_json: whether the text is JSON.
        limit: number of bytes that the file may have without its compression.
    """

    parquet: BinaryIO | None = None
    text: io.TextIOWrapper | None = None
    is_json: bool = False
    limit: int = 0


class _LimitedGzip(gzip.GzipFile):
    """Gzip data that are decompressed up to a limit: 10 MB can contain 10 GB."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self._limit = limit

    def read(self, size: int | None = -1) -> bytes:
        """Read as GzipFile does."""
        return self._checked(super().read(self._limit + 1 if size is None or size < 0 else size))

    def read1(self, size: int = -1) -> bytes:
        """Read as GzipFile does."""
        return self._checked(super().read1(size))

    def _checked(self, data: bytes) -> bytes:
        if self.tell() > self._limit:
            raise too_large(self._limit)
        return data


def too_large(limit: int) -> PriceFileUnreadable:
    """Return the error of a file that is too large without its compression."""
    return PriceFileUnreadable(
        f"the file has more than {limit // 1_000_000:,} MB without its compression; if it is not damaged, split it"
    )


@contextmanager
def opened(stream: BinaryIO, largest: int | None = None) -> Iterator[Content]:
    """Open the content of a file.

    Args:
        stream: the bytes, with random access.
        largest: number of bytes that the file may have without its compression; None for a multiple of its size.

    Raises:
        PriceFileUnreadable: the content is in no format that is read, or too large; the message says what it is.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    limit = min(largest or sys.maxsize, max(_ALWAYS, _EXPANSION * size))
    with ExitStack() as copies:
        start = _peek(stream)
        for _ in range(_LAYERS):
            if start.startswith(_GZIP):
                stream = cast("BinaryIO", _LimitedGzip(stream, limit))
            elif start.startswith(_ZSTD):
                stream = _zstd(stream, limit, copies)
            else:
                break
            start = _peek(stream)
        with _content(stream, start, limit) as content:
            yield content


@contextmanager
def _content(stream: BinaryIO, start: bytes, limit: int) -> Iterator[Content]:
    if start.startswith(PARQUET):
        with _random_access(stream) as parquet:
            yield Content(parquet=parquet, limit=limit)
        return
    _reject_foreign(start)
    encoding = next((name for mark, name in _ENCODINGS.items() if start.startswith(mark)), "utf-8")
    if encoding.startswith("utf-8") and start.count(b"\x00") > len(start) // 3:
        raise PriceFileUnreadable(
            "the text contains NUL characters: it is UTF-16 without a byte order mark, or no text; save it as UTF-8"
        )
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    try:
        yield Content(text=text, is_json=start.decode(encoding, "ignore").strip("\ufeff \t\r\n")[:1] in "{[")
    finally:
        text.detach()


def _peek(stream: BinaryIO) -> bytes:
    start = stream.read(_START)
    stream.seek(0)
    return start


def _zstd(stream: BinaryIO, limit: int, copies: ExitStack) -> BinaryIO:
    source = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
    copy = copies.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 (`copies` closes it)
    while piece := source.read(_PIECE):
        copy.write(piece)
        if copy.tell() > limit:
            raise too_large(limit)
    copy.seek(0)
    return cast("BinaryIO", copy)


@contextmanager
def _random_access(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Copy a decompressed Parquet file, since its footer is read first."""
    if not isinstance(stream, gzip.GzipFile):
        yield stream
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def _reject_foreign(start: bytes) -> None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((name for magic, name in _FOREIGN.items() if start.startswith(magic)), None)
    if text.startswith(b"<"):
        is_html = re.search(rb"<(!doctype html|html|head|body)", text, re.IGNORECASE)
        kind = "an HTML page, perhaps an error message of a web server" if is_html else "an XML document"
    if kind is not None:
        raise PriceFileUnreadable(f"the file is {kind}; write it as {_FORMATS}")
    if not text:
        raise PriceFileUnreadable("the file is empty")
