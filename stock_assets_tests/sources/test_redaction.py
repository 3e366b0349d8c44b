"""The key is sent to the vendor and found nowhere else."""

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

import dagster as dg
import pytest

from stock_assets.core.errors import SourceError
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.runs import RunResult, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.redaction import PLACEHOLDER, REDACTED, redact, redact_text
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer
from stock_assets_tests.orchestration.checks.test_symbols import live_settings
from stock_assets_tests.support.live_source import KEY, live_source

FORMS = {
    form.encode()
    for form in (KEY, quote(KEY, safe=""), quote(KEY), quote_plus(KEY), json.dumps(KEY)[1:-1])
    for form in (form, form.lower())
} | {base64.b64encode(KEY.encode()).rstrip(b"=")}


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything below a folder: names, bytes, and the cells of every SQLite file, unpacked where they are packed."""
    for file in folder.rglob("*"):
        yield f"name of {file}", str(file).encode()
        if file.is_file():
            body = file.read_bytes()
            yield str(file), body
            if body.startswith(b"SQLite format 3"):
                yield from ((f"{file}: {table}", cell) for table, cell in cells(file))


def cells(file: Path) -> Iterator[tuple[str, bytes]]:
    """Every value of a SQLite file."""
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
    """Where any form of the key stands."""
    return [place for place, body in contents(folder) if any(form in body for form in FORMS)]


@pytest.fixture
def everything_logged(tmp_path: Path) -> Iterator[Path]:
    """A file that gets every log record of every library, with tracebacks."""
    file = tmp_path / "debug.log"
    handler, root = logging.FileHandler(file), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield file
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def run(settings: Settings, server: VendorServer) -> RunResult:
    """Run the whole job on an instance in the folder of the settings."""
    return run_sessions(
        settings, Pipeline.from_settings(settings), server.last_session, server.last_session, on_event=lambda _: None
    )


def test_a_failing_and_a_succeeding_run_leave_the_key_nowhere(
    server: VendorServer,
    tmp_path: Path,
    everything_logged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    universe = tmp_path / "three.csv"
    universe.write_text("symbol,name,first_session,last_session\nNVDA,N,,\nAMD,A,,\nMU,M,,\n", encoding="utf-8")
    settings = live_settings(server, tmp_path, universe=universe)
    for symbol, mischief in (("NVDA", Mischief.NEW_TEXT), ("AMD", Mischief.HTTP_403), ("MU", Mischief.DAILY_QUOTA)):
        server.answer(symbol, mischief)

    failed = run(settings, server)
    assert not failed.success
    assert REDACTED in " ".join(failed.failures)
    for symbol in ("NVDA", "AMD", "MU"):
        server.answer(symbol, None)
    # What the vendor said is believed for an hour; this test has not that much time.
    with closing(sqlite3.connect(settings.root / "ledger.db")) as connection, connection:
        connection.execute("DELETE FROM blocks")
    succeeded = run(settings, server)
    assert succeeded.success

    (tmp_path / "printed.txt").write_text("".join(capfd.readouterr()), encoding="utf-8")
    (tmp_path / "results.txt").write_text(f"{failed!r} {succeeded!r}", encoding="utf-8")
    assert {request.key for request in server.requests} == {KEY}
    assert leaks(tmp_path) == []

    # The search would have found it: the traces of the runs are there, with the key taken out.
    assert f"apikey={PLACEHOLDER}" in everything_logged.read_text(encoding="utf-8")
    found = [place for place, body in contents(tmp_path) if REDACTED.encode() in body]
    for part in ("ledger.db", "index.db", "raw/daily_prices", "results.txt"):
        assert any(part in place for place in found), part
    (tmp_path / "planted.txt").write_text(f"https://vendor/query?apikey={quote(KEY, safe='')}", encoding="utf-8")
    assert leaks(tmp_path) == [str(tmp_path / "planted.txt")]


@pytest.mark.parametrize("mischief", [*Mischief, None], ids=str)
def test_no_answer_brings_the_key_into_an_exception_or_a_log(
    server: VendorServer, tmp_path: Path, everything_logged: Path, mischief: Mischief | None
) -> None:
    server.slowness = 0.3 if mischief is Mischief.DRIP else 1.0
    server.answer("NVDA", mischief)
    source = live_source(server)
    try:
        body = source.fetch_prices("NVDA", [server.last_session])
        (tmp_path / "body").write_bytes(body)
        source.read_prices(body, "NVDA")
    except SourceError as error:
        keep_all_of(error, tmp_path / "error.txt")
    assert server.requests[-1].key == KEY
    assert leaks(tmp_path) == []
    assert everything_logged.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "ftp://x", "http://[", "nonsense"]
)
def test_no_failure_to_connect_brings_the_key_into_an_exception_or_a_log(
    server: VendorServer, tmp_path: Path, everything_logged: Path, url: str
) -> None:
    with pytest.raises(SourceError) as caught:
        live_source(server, base_url=url).fetch_splits("NVDA")
    keep_all_of(caught.value, tmp_path / "error.txt")
    assert leaks(tmp_path) == []
    assert everything_logged.exists()


def keep_all_of(error: BaseException, file: Path) -> None:
    """Write an exception with everything that hangs on it: causes, contexts, attributes."""
    parts, seen = [], error
    while seen is not None:
        parts += [repr(seen), str(seen.args), repr(vars(seen)), "".join(traceback.format_exception(seen))]
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]  # None ends the loop
    file.write_text("\n".join(parts), encoding="utf-8")


def test_a_source_and_its_definitions_do_not_show_the_key(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    source = live_source(server)
    definitions = build_definitions(live_settings(server, tmp_path))
    resource = (definitions.resources or {})["source"]
    assert isinstance(resource, dg.ConfigurableResource)
    shown = [repr(source), str(source), repr(resource), str(resource.model_dump())]
    shown.append(repr(definitions.resolve_job_def("daily_prices").resource_defs["source"].config_schema))
    assert [text for text in shown if KEY in text] == []


def test_every_form_of_the_key_is_redacted() -> None:
    for form in FORMS - {base64.b64encode(KEY.encode()).rstrip(b"=")}:
        assert redact(b"<" + form + b">", KEY) == f"<{REDACTED}>".encode()
    assert redact_text(f"a{KEY}b{KEY.lower()}c", KEY) == f"a{REDACTED}b{REDACTED}c"
    assert redact(b"2024-03-01,1.0", "") == b"2024-03-01,1.0"
