"""Search everything that a run writes for the API key, in any encoding."""

import base64
import json
import logging
import sqlite3
import traceback
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from stock_assets.orchestration.runs import RunResult, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.live_source import KEY

ENCODINGS = {
    form.encode()
    for form in (KEY, quote(KEY, safe=""), quote(KEY), quote_plus(KEY), json.dumps(KEY)[1:-1])
    for form in (form, form.lower())
} | {base64.b64encode(KEY.encode()).rstrip(b"=")}


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Return the names and bytes of all files below a folder, and the cells of SQLite files, decompressed."""
    for file in folder.rglob("*"):
        yield f"name of {file}", str(file).encode()
        if file.is_file():
            body = file.read_bytes()
            yield str(file), body
            if body.startswith(b"SQLite format 3"):
                yield from ((f"{file}: {table}", cell) for table, cell in cells(file))


def cells(file: Path) -> Iterator[tuple[str, bytes]]:
    """Return every value of a SQLite file, and its decompressed form if it is compressed."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    cell = value if isinstance(value, bytes) else str(value).encode()
                    yield table, cell
                    try:
                        yield table, zlib.decompress(cell)
                    except zlib.error:
                        continue


def leaks(folder: Path) -> list[str]:
    """Return the places below a folder that contain the key in any encoding."""
    return [place for place, body in contents(folder) if any(form in body for form in ENCODINGS)]


@pytest.fixture
def everything_logged(tmp_path: Path) -> Iterator[Path]:
    """Write every log record of every library to a file, with tracebacks."""
    file = tmp_path / "debug.log"
    handler, root = logging.FileHandler(file), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield file
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def run_daily_prices(settings: Settings, server: VendorServer) -> RunResult:
    """Run the job for the newest session, on an instance in the folder of the settings."""
    return run_sessions(
        settings, Pipeline.from_settings(settings), server.last_session, server.last_session, on_event=lambda _: None
    )


def write_error(error: BaseException, file: Path) -> None:
    """Write an exception with its causes, contexts and attributes to a file."""
    parts, seen = [], error
    while seen is not None:
        parts += [repr(seen), str(seen.args), repr(vars(seen)), "".join(traceback.format_exception(seen))]
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]  # None ends the loop
    file.write_text("\n".join(parts), encoding="utf-8")
