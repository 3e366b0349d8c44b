"""The scripts of README.md and of pages about daily use are run as they are printed, from a folder with one load.

What the scripts assume is provided: the vendor is a server on this machine, the snapshot is one of the table, and the
commands of `make` and `stock-assets ui`, which tests of their own start, are left out. So are the pages about AWS and
containers: `deployment/test_first_session` and `deployment/test_image` follow them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets.core.universe import Listing, Universe, read_universe
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.legacy_files import HEADER, write_legacy_file
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.real_daemon import universe_file

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
_ELSEWHERE = re.compile(
    r"^(make .*|\. \.venv/bin/activate|stock-assets ui.*|aws s3 sync .*|python -m stock_assets_tests.*)$", re.MULTILINE
)


def script(page: str, containing: str, language: str = "sh") -> str:
    """Return the script of a page that contains some words."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    scripts = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [found] = [one for one in scripts if containing in one]
    return _ELSEWHERE.sub("", str(found))


def run(folder: Path, text: str, **environment: str) -> str:
    """Run a script in a folder as a user does; stop at its first failure, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", text]
    clean = {"PATH": path, "HOME": str(folder), "COLUMNS": "200", **environment}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a week of the recorded sample, loaded by the command of `make run`."""
    folder = tmp_path_factory.mktemp("user")
    run(folder, "stock-assets backfill 2013-02-25 2013-03-01 --missing")
    return folder


def test_the_commands_that_look_at_the_data(loaded: Path) -> None:
    out = run(loaded, script("README.md", "stock-assets summary"))
    assert "2013-02-25" in out
    assert len((loaded / "prices.csv").read_text(encoding="utf-8").splitlines()) == 1 + 5 * 5
    assert (loaded / "data" / "recorded" / "reports" / "report.html").stat().st_size > 50_000


def test_the_notebook_example(loaded: Path) -> None:
    text = script("README.md", "import stock_assets", "python")
    (loaded / "example.py").write_text(f"{text}\nprint(len(stock_assets.read('daily_prices')), 'rows')\n")
    assert "25 rows" in run(loaded, "python example.py")


def test_the_backfills_and_what_to_do_when_something_is_wrong(loaded: Path) -> None:
    out = run(loaded, script("README.md", "--again").replace("2005-01-03", "2005-12-27"))
    assert out.count("2005-12-27 to 2005-12-30") >= 2
    steps = script("README.md", "stock-assets rollback").replace("SNAPSHOT", "$SNAPSHOT")
    first = "SNAPSHOT=$(stock-assets history | grep -oE '[0-9]{15,}' | tail -1); "
    out = run(loaded, first + steps)
    assert "published.daily_prices is now at snapshot" in out
    assert "log: sent" in out
    assert "No problem found." in out


def test_a_key_and_a_symbol(tmp_path: Path, server: VendorServer) -> None:
    server.names["AAPL"] = "Apple Inc"
    text = script("README.md", "stock-assets symbols add").replace(
        "ALPHAVANTAGE_API_KEY=...", f"ALPHAVANTAGE_API_KEY={KEY}"
    )
    out = run(tmp_path, text, STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL=server.url)
    assert "Added AAPL" in out
    assert (tmp_path / "universe.csv").read_text(encoding="utf-8").splitlines()[-1] == "AAPL,Apple Inc,,"
    assert KEY not in out


def test_the_changes_of_a_universe(tmp_path: Path, server: VendorServer) -> None:
    universe = Universe((Listing("FB", ""), Listing("INTC", "")))
    server.names["NVDA"] = "NVIDIA Corporation"
    steps = script("docs/ingestion.md", "stock-assets symbols rename")
    # Nobody can be asked here.
    steps = steps.replace("search nvidia", "search NVDA").replace("purge INTC", "purge INTC --yes")
    out = run(
        tmp_path,
        f"stock-assets backfill 2026-11-20 2026-11-20; {steps}",
        STOCK_ASSETS_SOURCE="alpha_vantage",
        STOCK_ASSETS_UNIVERSE=str(universe_file(tmp_path, universe)),
        STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL=server.url,
        ALPHAVANTAGE_API_KEY=KEY,
    )
    assert "Purged INTC: 1 row removed" in out
    assert (tmp_path / "universe.csv").read_text(encoding="utf-8").split()[1:] == [
        "FB,,,2022-06-08",
        "NVDA,NVIDIA,1999-01-22,",
        "META,,2022-06-09,",
    ]


def test_an_earlier_state(loaded: Path) -> None:
    now = '"$(date -u +"%Y-%m-%d %H:%M:%S")"'
    text = script("docs/use-the-data.md", "--as-of").replace('"2026-11-25 21:00"', now)
    assert "1 row" in run(loaded, text)


def test_an_acknowledged_warning(loaded: Path) -> None:
    out = run(loaded, "stock-assets backfill 2000-09-25 2000-10-03; " + script("docs/audits.md", "--reason"))
    assert "profit warning" in out


def test_an_earlier_pipeline(tmp_path: Path) -> None:
    universe = read_universe(Settings(source=SourceName.ALPHA_VANTAGE).symbols_file)
    symbols = [listing.symbol for listing in universe.listings]
    lines = [f"2026-11-20,{symbol},100,102,99,101,1000" for symbol in symbols]
    write_legacy_file(tmp_path / "old/2026/11/20/22/delivered.csv", "\n".join([HEADER, *lines]))
    out = run(tmp_path, script("docs/import.md", "--dry-run"))
    assert "Published: published.daily_prices." in out


def test_the_server_that_speaks_the_vendors_protocol(tmp_path: Path, server: VendorServer) -> None:
    file = universe_file(tmp_path, Universe((Listing("AMD", ""), Listing("MU", ""))))
    text = script("docs/ingestion.md", "vendor_server").replace("http://127.0.0.1:8910", server.url)
    out = run(tmp_path, text, STOCK_ASSETS_UNIVERSE=str(file))
    assert "2026-11-20" in out


def test_two_universes(tmp_path: Path, server: VendorServer) -> None:
    for name, symbol in (("banks", "JPM"), ("energy", "XOM")):
        (tmp_path / f"{name}.csv").write_text(f"symbol,name,first_session,last_session\n{symbol},,,\n")
    settings = script("docs/universes.md", "STOCK_ASSETS_UNIVERSES").replace("\n", "; export ")
    out = run(
        tmp_path,
        f"export {settings}STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL={server.url}; "
        + script("docs/universes.md", "--universe banks backfill"),
        ALPHAVANTAGE_API_KEY=KEY,
    )
    assert "Published   15 rows of 1 symbol, latest session 2026-11-20" in out
    assert out.count("XOM") == 1 + 15
