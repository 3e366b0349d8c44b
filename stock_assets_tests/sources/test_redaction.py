"""The API key is sent to the vendor and appears nowhere else."""

import base64
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import CALLS_FILE, connect_to_write
from stock_assets.core.errors import SourceError
from stock_assets.orchestration.build import build_definitions
from stock_assets.pipeline import Pipeline
from stock_assets.sources.redaction import PLACEHOLDER, REDACTED, redact, redact_text
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer
from stock_assets_tests.support.key_leaks import (
    ENCODINGS,
    contents,
    everything_logged,
    leaks,
    run_daily_prices,
    write_error,
)
from stock_assets_tests.support.live_source import KEY, PATIENT, ManualDeadlines, live_settings, live_source

__all__ = ["everything_logged"]  # a fixture


def test_neither_a_failed_nor_a_successful_run_writes_the_key(
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
        server.respond(symbol, mischief)

    failed = run_daily_prices(settings, server)
    assert not failed.success
    assert REDACTED in " ".join(failed.failures)
    for symbol in ("NVDA", "AMD", "MU"):
        server.respond(symbol, None)
    # After a quota message, requests stop for an hour; the test removes that entry.
    with connect_to_write(DataFolder(settings.root), CALLS_FILE) as connection:
        connection.execute("DELETE FROM blocks")
    succeeded = run_daily_prices(settings, server)
    assert succeeded.success

    (tmp_path / "printed.txt").write_text("".join(capfd.readouterr()), encoding="utf-8")
    (tmp_path / "results.txt").write_text(f"{failed!r} {succeeded!r}", encoding="utf-8")
    assert {request.key for request in server.requests} == {KEY}
    assert leaks(tmp_path) == []

    # The search works: the traces of the runs are there, with the key redacted, and a planted key is found.
    assert f"apikey={PLACEHOLDER}" in everything_logged.read_text(encoding="utf-8")
    found = [place for place, body in contents(tmp_path) if REDACTED.encode() in body]
    for part in ("ledger.db", "index.db", "raw/daily_prices", "results.txt"):
        assert any(part in place for place in found), part
    (tmp_path / "planted.txt").write_text(f"https://vendor/query?apikey={quote(KEY, safe='')}", encoding="utf-8")
    assert leaks(tmp_path) == [str(tmp_path / "planted.txt")]


@pytest.mark.parametrize("mischief", [*Mischief, None], ids=str)
def test_no_response_leaks_the_key_into_an_exception_or_a_log(
    server: VendorServer,
    tmp_path: Path,
    everything_logged: Path,
    monkeypatch: pytest.MonkeyPatch,
    mischief: Mischief | None,
) -> None:
    deadlines = ManualDeadlines(monkeypatch)
    server.dripping = deadlines.expire
    server.respond("NVDA", mischief)
    source = live_source(server, timeouts=replace(PATIENT, read=0.2) if mischief is Mischief.SLOW else PATIENT)
    try:
        body = source.fetch_prices("NVDA", [server.last_session])
        (tmp_path / "body").write_bytes(body)
        source.read_prices(body, "NVDA")
    except SourceError as error:
        write_error(error, tmp_path / "error.txt")
    assert server.received(1)[-1].key == KEY
    assert leaks(tmp_path) == []
    assert everything_logged.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "ftp://x", "http://[", "nonsense"]
)
def test_no_connection_failure_leaks_the_key_into_an_exception_or_a_log(
    server: VendorServer, tmp_path: Path, everything_logged: Path, url: str
) -> None:
    with pytest.raises(SourceError) as caught:
        live_source(server, base_url=url).fetch_splits("NVDA")
    write_error(caught.value, tmp_path / "error.txt")
    assert leaks(tmp_path) == []
    assert everything_logged.exists()


def test_neither_a_source_nor_the_definitions_show_the_key(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)
    settings = live_settings(server, tmp_path)
    pipeline = Pipeline.from_settings(settings)
    definitions = build_definitions(settings, pipeline=pipeline)
    resource = definitions.resolve_job_def("daily_prices").resource_defs["pipeline"]
    source = live_source(server)
    shown = [repr(source), str(source), repr(pipeline), repr(settings), repr(definitions)]
    shown += [repr(resource), str(resource.description), repr(resource.config_schema)]
    assert [text for text in shown if KEY in text] == []


def test_every_encoding_of_the_key_is_redacted() -> None:
    for form in ENCODINGS - {base64.b64encode(KEY.encode()).rstrip(b"=")}:
        assert redact(b"<" + form + b">", KEY) == f"<{REDACTED}>".encode()
    assert redact_text(f"a{KEY}b{KEY.lower()}c", KEY) == f"a{REDACTED}b{REDACTED}c"
    assert redact(b"2024-03-01,1.0", "") == b"2024-03-01,1.0"
