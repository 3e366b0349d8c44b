"""The commands `symbols ...`: what they write into the universe file, and what they reject."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_assets.core.audit_limits import Limits
from stock_assets.core.errors import DailyQuotaExhausted
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.symbol_search import search_symbols
from stock_assets_tests.fakes.vendor_server import Mischief, Response, VendorServer, running
from stock_assets_tests.support.live_source import KEY, live_source, symbols
from stock_assets_tests.support.scenes import BAD_BAR, TWO_WEEKS, Scene, wavy_source
from stock_assets_tests.support.shell import Output, Shell
from stock_assets_tests.support.steps import FIVE, local_backend, published_rows

HEADER = "symbol,name,first_session,last_session\n"
TEXT = HEADER + 'IBM,"International, Business",2000-03-01,\nFB, Facebook ,2012-05-18,\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A universe file of two symbols, one of them with blanks and quotes."""
    file = tmp_path / "universe.csv"
    file.write_text(TEXT, encoding="utf-8")
    return file


def run(file: Path, *arguments: str, code: int = 0, source: str = "alpha_vantage") -> Output:
    """Run a `symbols` command on a universe file."""
    environment = {"STOCK_ASSETS_UNIVERSE": str(file), "STOCK_ASSETS_SOURCE": source}
    return Shell(file.parent / "data").run_main("symbols", *arguments, code=code, **environment)


def test_list_shows_listings_and_the_file(file: Path) -> None:
    out = run(file, "list").stdout
    assert "International, Business" in out
    assert f"File: {file}" in out


def test_a_symbol_is_added_renamed_and_removed(file: Path) -> None:
    out = run(file, "add", "nvda", "--name", "NVIDIA", "--first-session", "1999-01-22").stdout
    assert out.startswith("Added NVDA. The next run sends one request for the prices of NVDA and one for its splits: 2")
    assert "NVDA,NVIDIA,1999-01-22,\n" in file.read_text(encoding="utf-8")
    assert "FB ends before 2022-06-09, and META begins." in run(file, "rename", "FB", "META", "2022-06-09").stdout
    assert "its published history and its raw responses stay" in run(file, "remove", "NVDA").stdout
    assert file.read_text(encoding="utf-8") == HEADER + (
        'IBM,"International, Business",2000-03-01,\nFB,Facebook,2012-05-18,2022-06-08\nMETA,Facebook,2022-06-09,\n'
    )
    assert [path.name for path in file.parent.iterdir()] == ["universe.csv"], "no data folder, no partial file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "IBM"), "has IBM twice"),
        (("add", "BRK B"), "'BRK B' is not a symbol"),
        (("remove", "NOPE"), "It has no listed symbol NOPE. Symbols: IBM, FB."),
        (("remove", "IBMM"), "It has no listed symbol IBMM. Did you mean IBM?"),
        (("rename", "NOPE", "META", "2022-06-09"), "It has no listed symbol NOPE"),
    ],
)
def test_an_invalid_change_is_rejected_and_changes_nothing(
    file: Path, arguments: tuple[str, ...], message: str
) -> None:
    error = run(file, *arguments, code=1).stderr
    assert error.startswith("The universe was not changed. ")
    assert message in error
    assert file.read_text(encoding="utf-8") == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["universe.csv"]


def test_a_new_ticker_begins_with_a_session(file: Path) -> None:
    error = run(file, "rename", "FB", "META", "2022-06-11", code=2).stderr
    assert "2022-06-11 is a Saturday" in error


def test_more_symbols_than_calls_are_rejected(file: Path) -> None:
    lines = [f"A{number}X,,,\n" for number in range(23)]
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    run(file, "add", "GE")
    error = run(file, "add", "IBM", code=1).stderr
    assert "The universe has 25 symbols, but the plan allows 25 calls per day: each symbol needs one for its" in error
    assert "splits need another. Remove 1 from the file" in error
    assert len(file.read_text(encoding="utf-8").splitlines()) == 25


def test_the_file_of_the_package_is_not_changed(tmp_path: Path) -> None:
    error = Shell(tmp_path).run_main("symbols", "add", "NVDA", code=1).stderr
    assert "Run stock-assets init" in error
    assert "recorded.csv" in error


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with running(VendorServer()) as server:
        server.names = {"NVDA": "NVIDIA Corporation", "NVDL": "Leveraged Shares", "AMD": "Advanced Micro Devices"}
        yield server


def with_key(file: Path, vendor: VendorServer) -> Shell:
    """Return a shell with a key, whose vendor is the fake server."""
    return Shell(
        file.parent / "data",
        STOCK_ASSETS_UNIVERSE=str(file),
        STOCK_ASSETS_SOURCE="alpha_vantage",
        STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL=vendor.url,
        ALPHAVANTAGE_API_KEY=KEY,
    )


def test_search_lists_symbols_of_the_vendor_and_counts_its_call(file: Path, vendor: VendorServer) -> None:
    out = with_key(file, vendor).run_main("symbols", "search", "NVD").stdout
    assert "NVIDIA Corporation" in out
    assert "Equity" in out
    assert "2 symbols; the search used 1 call, 24 of today's 25 left." in out
    assert vendor.requested("SYMBOL_SEARCH") == ["NVD"]
    quota = with_key(file, vendor).run_main("quota").stdout
    assert re.search(r"day\s+│\s+1\s+│\s+24\s+│\s+25", quota), quota


def test_a_symbol_that_is_added_with_a_key_is_looked_up(file: Path, vendor: VendorServer) -> None:
    shell = with_key(file, vendor)
    out = shell.run_main("symbols", "add", "nvda").stdout
    assert out.startswith(
        "Added NVDA, which the vendor's search found with 1 call: NVDA (NVIDIA Corporation, Equity, United States, "
        "USD). The next run sends one request for the prices of NVDA and one for its splits: 2 calls."
    )
    assert "NVDA,NVIDIA Corporation,,\n" in file.read_text(encoding="utf-8")

    before = file.read_text(encoding="utf-8")
    error = shell.run_main("symbols", "add", "NVDAA", code=1).stderr
    assert "The vendor's search does not find NVDAA. Closest: NVDA (NVIDIA Corporation, " in error
    assert file.read_text(encoding="utf-8") == before
    assert "Added NVDAA. " in shell.run_main("symbols", "add", "NVDAA", "--no-search").stdout
    assert vendor.requested("SYMBOL_SEARCH") == ["NVDA", "NVDAA"]


def test_an_invalid_symbol_uses_no_call(file: Path, vendor: VendorServer) -> None:
    shell = with_key(file, vendor)
    for symbol in ("IBM", "BRK B"):
        shell.run_main("symbols", "add", symbol, code=1)
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Mischief.DAILY_QUOTA, "the plan's calls for today are used up"),
        (Mischief.HTTP_500, "HTTP 500"),
        (b'{"bestMatches": "none"}', "the vendor sent"),
    ],
)
def test_a_failed_search_is_a_warning_without_the_key(
    file: Path, vendor: VendorServer, response: Response, reason: str
) -> None:
    vendor.respond("NVDA", response, function="SYMBOL_SEARCH")
    done = with_key(file, vendor).run_main("symbols", "add", "NVDA")
    assert done.stdout.startswith("Added NVDA. ")
    assert done.stderr.startswith("The symbol was not looked up at the vendor. NVDA: ")
    assert reason in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_a_search_leaves_the_calls_that_prices_need(tmp_path: Path, vendor: VendorServer) -> None:
    """Before the scheduled run of a free key, as many calls stay reserved as there are symbols."""
    backend = local_backend(tmp_path)
    source = live_source(vendor, calls_per_day=3)
    parts = PipelineParts(backend, source, symbols(2), Limits(min_coverage=0.5, max_quarantined_share=0.25))
    assert [match.symbol for match in search_symbols(parts, "AMD", reserve=2)] == ["AMD"]
    with pytest.raises(DailyQuotaExhausted, match=r"AMD: no call is available.*\(2 calls of the day are reserved"):
        search_symbols(parts, "AMD", reserve=2)
    assert len(vendor.requests) == 1


def test_the_recorded_sample_has_no_search(tmp_path: Path) -> None:
    error = Shell(tmp_path).run_main("symbols", "search", "IBM", code=1).stderr
    assert "has no search. Set STOCK_ASSETS_SOURCE=alpha_vantage." in error


@pytest.fixture
def loaded(file: Path) -> tuple[Shell, Path]:
    """Return a shell with two published weeks of the recorded sample, and its own universe file."""
    text = HEADER + "".join(f"{symbol},{symbol},,\n" for symbol in FIVE.symbols)
    file.write_text(text, encoding="utf-8")
    shell = Shell(file.parent / "data", STOCK_ASSETS_UNIVERSE=str(file))
    backend = local_backend(shell.settings.root)
    source = wavy_source()
    source.set_bar("IBM", TWO_WEEKS[3], BAD_BAR)
    Scene(backend, source).run(TWO_WEEKS)
    return shell, file


def test_purge_shows_what_it_removes_and_asks(loaded: tuple[Shell, Path]) -> None:
    shell, file = loaded
    before = file.read_text(encoding="utf-8")
    done = shell.run_main("symbols", "purge", "ibm", code=1)
    assert re.search(r"published.daily_prices\s+│\s+9\s+│\s+9\s+│\s+2012-03-01\s+│\s+2012-03-14", done.stdout)
    assert re.search(r"published.quarantined_prices\s+│\s+1\s+│\s+1", done.stdout)
    assert (
        "Its listing is removed from the universe. Its raw responses (2) stay as they are, and no load" in done.stdout
    )
    assert (
        "Nothing was changed. To purge IBM without a question, run: stock-assets symbols purge IBM --yes" in done.stderr
    )
    assert file.read_text(encoding="utf-8") == before
    assert len(published_rows(local_backend(shell.settings.root))) == 49


def test_purge_removes_listing_and_rows_and_a_rollback_says_how_to_remove_them_again(
    loaded: tuple[Shell, Path],
) -> None:
    shell, file = loaded
    [snapshot] = local_backend(shell.settings.root).warehouse.history(DAILY_PRICES)
    out = shell.run_main("symbols", "purge", "IBM", "--yes").stdout
    assert "Purged IBM: 10 rows removed." in out
    assert "Earlier snapshots still have these rows until maintenance expires them, 30 days from now" in out
    assert "IBM" not in file.read_text(encoding="utf-8")
    assert shell.run_main("query", "select count(*) as n from published.price_trends where symbol = 'IBM'").stdout
    assert "purge of IBM" in shell.run_main("history").stdout
    error = shell.run_main("symbols", "purge", "IBM", "--yes", code=1).stderr
    assert re.search(r"IBM was purged on \d{4}-\d\d-\d\d \d\d:\d\d UTC and has had no data since", error)

    rolled_back = shell.run_main("rollback", str(snapshot.snapshot_id)).stderr
    assert (
        "Rows of IBM, which was purged, are published again. To remove them: stock-assets symbols purge" in rolled_back
    )
    error = shell.run_main("symbols", "add", "IBM", code=1).stderr
    assert "First run: stock-assets symbols purge IBM --yes" in error
    assert "Purged IBM: 9 rows removed." in shell.run_main("symbols", "purge", "IBM", "--yes").stdout
    assert re.search(
        r"Added IBM. Its history was purged on .*, so it is requested", shell.run_main("symbols", "add", "IBM").stdout
    )


def test_purge_asks_on_a_terminal(loaded: tuple[Shell, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    shell, _ = loaded
    monkeypatch.setattr("stock_assets.cli.symbols._is_terminal", lambda: True)
    answers = iter([False, True])
    monkeypatch.setattr("typer.confirm", lambda question: question == "Purge ORCL?" and next(answers))
    assert shell.run_main("symbols", "purge", "ORCL", code=1).stdout.endswith("Nothing was changed.\n")
    assert "Purged ORCL: 10 rows removed." in shell.run_main("symbols", "purge", "ORCL").stdout


def test_purge_names_the_closest_symbol(loaded: tuple[Shell, Path]) -> None:
    error = loaded[0].run_main("symbols", "purge", "IBMM", "--yes", code=1).stderr
    assert "IBMM is not in the universe, and no data of it are stored. Did you mean IBM?" in error
