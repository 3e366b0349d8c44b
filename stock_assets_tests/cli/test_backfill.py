"""The command `backfill`: missing, rejected, quarantined and unavailable bars, and stored bars requested again."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer, csv_body, newest_closed_session
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.shell import Shell
from stock_assets_tests.support.steps import local_backend

LIVE_SYMBOLS = ("AMD", "INTC", "NVDA", "QCOM", "TXN")
NEWEST = newest_closed_session()
LAST_FIVE = sessions_between(NEWEST - timedelta(days=20), NEWEST)[-5:]
LONG_AGO = sessions_between(NEWEST - timedelta(days=400), NEWEST)[0]


def published_days(shell: Shell, symbol: str) -> list[str]:
    """Return the published sessions of a symbol."""
    select = f"select trade_date from published.daily_prices where symbol = '{symbol}' order by 1"
    return shell.run("query", select, "--csv").stdout.split()[1:]


def newest_response(backend: Backend, symbol: str) -> str:
    """Return the key of the newest response for a symbol."""
    return backend.ledger.fetches(FetchKind.PRICES, symbol=symbol)[0].response_key


def spoil(shell: Shell, session: date, symbols: Sequence[str]) -> None:
    """Deliver a newer response with a negative volume for each symbol."""
    backend = Pipeline.from_settings(shell.settings).backend
    for symbol in symbols:
        lines = backend.objects.get(newest_response(backend, symbol)).decode().splitlines()
        bad = [line.rpartition(",")[0] + ",-1" if line.startswith(str(session)) else line for line in lines]
        deliver(backend, symbol, "".join(f"{line}\r\n" for line in bad).encode())


@pytest.fixture
def recorded(tmp_path: Path) -> Shell:
    """An empty data folder of the recorded sample."""
    return Shell(tmp_path)


@pytest.fixture
def live(tmp_path: Path, server: VendorServer) -> Callable[[str], Shell]:
    """Return a function that opens one data folder of the live source with a plan."""
    universe = tmp_path / "universe.csv"
    lines = ["symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in LIVE_SYMBOLS)]
    universe.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def shell(plan: str) -> Shell:
        return Shell(
            tmp_path / "data",
            ALPHAVANTAGE_API_KEY="any",
            STOCK_ASSETS_SOURCE="alpha_vantage",
            STOCK_ASSETS_FIRST_SESSION=str(LONG_AGO),  # few partitions, which Dagster lists often
            STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL=server.url,
            STOCK_ASSETS_ALPHA_VANTAGE_PLAN=plan,
            STOCK_ASSETS_UNIVERSE=str(universe),
            STOCK_ASSETS_CALLS_PER_SECOND="100",
        )

    return shell


def with_volume(body: bytes, session: date, volume: str) -> bytes:
    """Return a response in which one bar has another volume."""
    lines = body.decode().splitlines()
    changed = [line.rpartition(",")[0] + f",{volume}" if line.startswith(str(session)) else line for line in lines]
    return "".join(f"{line}\r\n" for line in changed).encode()


def test_missing_loads_only_sessions_with_missing_bars(recorded: Shell) -> None:
    recorded.run("backfill", "2013-02-05", "2013-02-07")
    recorded.run("backfill", "2013-02-25", "2013-02-25")
    warehouse = Pipeline.from_settings(recorded.settings).backend.warehouse
    before = len(warehouse.history(DAILY_PRICES))

    out = recorded.run("backfill", "2013-02-04", "2013-02-27", "--missing").stdout

    assert "Missing: 2013-02-04, 2013-02-08 to 2013-02-22, 2013-02-26 to 2013-02-27 (13 sessions, 1 run)." in out
    assert len(warehouse.history(DAILY_PRICES)) == before + 1
    count = "select count(*) as n from published.daily_prices"
    assert recorded.run("query", count, "--csv").stdout.split() == ['"n"', "85"]

    again = recorded.run("backfill", "2013-02-04", "2013-02-27", "--missing").stdout
    assert "Missing: no sessions." in again
    assert "AAPL" in again


def test_the_recorded_sample_can_be_requested_again_and_nothing_changes(recorded: Shell) -> None:
    recorded.run("backfill", "2013-02-05", "2013-02-07")
    backend = Pipeline.from_settings(recorded.settings).backend
    before = len(backend.ledger.fetches(FetchKind.PRICES))

    out = recorded.run("backfill", "2013-02-05", "2013-02-07", "--again", "--symbol", "ibm", "--symbol", "AAPL").stdout

    assert "Requested again: IBM, AAPL. The older responses are kept." in out
    assert "Nothing changed: the same rows are published already, and no snapshot was added." in out
    assert len(backend.ledger.fetches(FetchKind.PRICES)) == before + 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--again", "--missing"), "--missing and --again exclude each other"),
        (("--symbol", "IBM"), "--symbol needs --again"),
        (("--again", "--symbol", "MSTF"), "MSTF is not in the universe. Did you mean MSFT?"),
        (("--again", "--symbol", "ZZZ"), "ZZZ is not in the universe. Choose one of AAPL, FB, GOOG, IBM, MSFT."),
    ],
)
def test_options_that_contradict_each_other_are_rejected(
    recorded: Shell, options: tuple[str, ...], message: str
) -> None:
    error = recorded.run("backfill", "2013-02-05", "2013-02-07", *options, code=2).stderr
    assert message in error


def test_a_revised_bar_replaces_the_stored_one_and_a_failed_request_changes_nothing(
    live: Callable[[str], Shell], server: VendorServer
) -> None:
    shell, bounds = live("premium_1200"), (str(LAST_FIVE[0]), str(LAST_FIVE[-1]))
    shell.run("backfill", *bounds)
    server.respond("NVDA", with_volume(csv_body("NVDA", NEWEST, "compact"), LAST_FIVE[2], "4711"))
    server.respond("AMD", Mischief.INVALID_CALL)

    shell.run("backfill", *bounds, "--again", "--symbol", "NVDA")

    select = f"select volume from published.daily_prices where symbol = 'NVDA' and trade_date = date '{LAST_FIVE[2]}'"
    assert shell.run("query", select, "--csv").stdout.split() == ['"volume"', "4711"]

    failed = shell.run("backfill", *bounds, "--again", "--symbol", "AMD", code=1)
    assert "Not replaced: AMD: the vendor does not know this symbol" in failed.stderr
    assert "What to do: correct or remove the symbol in the universe file" in failed.stderr
    assert published_days(shell, "AMD") == [str(day) for day in LAST_FIVE]


def test_sessions_that_the_plan_cannot_return_are_not_requested_again(
    live: Callable[[str], Shell], server: VendorServer
) -> None:
    old = sessions_between(LONG_AGO, LONG_AGO + timedelta(days=10))[:3]
    bounds = (str(old[0]), str(old[-1]))
    live("premium_1200").run("backfill", *bounds)
    requests = len(server.requested())

    refused = live("free").run("backfill", *bounds, "--again", code=1).stderr

    assert f"Not requested again: {old[0]} to {old[-1]} (3 sessions) cannot be fetched: the vendor's history" in refused
    assert "earlier bars need a premium plan (STOCK_ASSETS_ALPHA_VANTAGE_PLAN) or a landing file" in refused
    assert len(server.requested()) == requests


def test_missing_requests_quarantined_bars_again_once_and_says_so(
    live: Callable[[str], Shell], server: VendorServer
) -> None:
    shell, bounds, bad = live("premium_1200"), (str(LAST_FIVE[0]), str(LAST_FIVE[-1])), LAST_FIVE[1]
    server.respond("NVDA", with_volume(csv_body("NVDA", NEWEST, "compact"), bad, "-7"))
    first = shell.run("backfill", *bounds)
    assert f"volume_not_negative: 1 bad row\n  NVDA {bad}: volume -7\n  What to do: " in first.stderr

    requests = len(server.requested())
    still_bad = shell.run("backfill", *bounds, "--missing")
    assert f"Missing: {bad} (1 session, 1 run)." in still_bad.stdout
    assert "Requested again, because bars are in quarantine: NVDA." in still_bad.stdout
    assert "1 bar stays in quarantine: volume_not_negative." in still_bad.stderr
    assert f"  NVDA {bad}: quarantined by volume_not_negative (volume -7)" in still_bad.stderr
    assert server.requested()[requests:] == ["NVDA"]

    server.respond("NVDA", None)
    fixed = shell.run("backfill", *bounds, "--missing")
    assert "quarantine" not in fixed.stderr
    assert published_days(shell, "NVDA") == [str(day) for day in LAST_FIVE]
    assert "Missing: no sessions." in shell.run("backfill", *bounds, "--missing").stdout


def test_bars_that_stay_missing_are_listed_by_reason_and_the_exit_code_is_one(
    live: Callable[[str], Shell], server: VendorServer
) -> None:
    shell, old = live("free"), sessions_between(LONG_AGO, LONG_AGO + timedelta(days=10))[0]
    server.respond("TXN", Mischief.LATE)

    ran = shell.run("backfill", str(LAST_FIVE[3]), str(LAST_FIVE[4]), "--missing", code=1)

    assert f"Missing: {LAST_FIVE[3]} to {LAST_FIVE[4]} (2 sessions, 1 run)." in ran.stdout
    assert f"Still missing: TXN: {LAST_FIVE[4]}: the vendor has no bar yet of the session" in ran.stderr
    assert published_days(shell, "NVDA") == [str(day) for day in LAST_FIVE[3:]]

    lost = shell.run("backfill", str(old), str(old), "--missing", code=1)
    assert "Missing: only sessions and bars that cannot be loaded now; the reasons follow." in lost.stdout
    assert f"Still missing: AMD, INTC, NVDA, QCOM, TXN: {old}: the session cannot be fetched: the vendor" in lost.stderr
    assert "premium plan (STOCK_ASSETS_ALPHA_VANTAGE_PLAN) or a landing file" in lost.stderr


def test_excluded_sessions_are_listed_as_ranges_and_the_others_are_published(recorded: Shell) -> None:
    recorded.run("backfill", "2013-02-01", "2013-02-01")
    bad = sessions_between(date(2013, 2, 6), date(2013, 2, 11))
    for session in bad:
        spoil(recorded, session, ["AAPL", "IBM"])

    first = recorded.run("backfill", "2013-02-05", "2013-02-14", code=1)

    listed = first.stderr[first.stderr.index("Not published: ") :].splitlines()
    assert listed[0] == (
        "Not published: 2013-02-06 to 2013-02-11 (4 sessions), rejected by quarantined_share_within_limit."
    )
    assert [line[:56] for line in listed[1:4]] == [
        f"  quarantined_share_within_limit: {session}: 2 of 5 sym" for session in bad[:3]
    ]
    key = newest_response(Pipeline.from_settings(recorded.settings).backend, "AAPL")
    assert f"AAPL volume_not_negative: volume -1, response {key}" in listed[1]
    assert listed[4] == "  and 1 more"
    assert listed[5].startswith("  What to do: ")
    assert "STOCK_ASSETS_MAX_QUARANTINED_SHARE" in listed[5]
    assert "Traceback" not in first.stderr
    good = [day for day in sessions_between(date(2013, 2, 5), date(2013, 2, 14)) if day not in bad]
    assert published_days(recorded, "MSFT") == ["2013-02-01", *map(str, good)]


def test_missing_never_prints_that_nothing_is_missing_while_sessions_are_rejected(
    live: Callable[[str], Shell], server: VendorServer
) -> None:
    shell, bounds, bad = live("premium_1200"), (str(LAST_FIVE[0]), str(LAST_FIVE[-1])), LAST_FIVE[2]
    for symbol in ("AMD", "INTC"):
        server.respond(symbol, with_volume(csv_body(symbol, NEWEST, "compact"), bad, "-7"))
    shell.run("backfill", *bounds, code=1)
    requests = len(server.requested())

    again = shell.run("backfill", *bounds, "--missing", code=1)
    assert "Missing: no sessions." not in again.stdout
    assert "Requested again, because bars are in quarantine: AMD, INTC." in again.stdout
    assert sorted(server.requested()[requests:]) == ["AMD", "INTC"]
    assert f"Not published: {bad}, rejected by quarantined_share_within_limit." in again.stderr

    server.respond("AMD", None)
    assert f"volume_not_negative: 1 bad row\n  INTC {bad}" in shell.run("backfill", *bounds, "--missing").stderr
    assert published_days(shell, "AMD") == [str(day) for day in LAST_FIVE]
    assert published_days(shell, "INTC") == [str(day) for day in LAST_FIVE if day != bad]


def test_a_limit_of_the_remedy_publishes_the_rejected_session(
    live: Callable[[str], Shell], server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, day = live("premium_1200"), str(LAST_FIVE[-1])
    for symbol in LIVE_SYMBOLS[:3]:
        server.respond(symbol, Mischief.INVALID_CALL)

    rejected = shell.run("backfill", day, day, code=1)
    assert f"Not published: {day}, rejected by minimum_coverage." in rejected.stderr
    assert "Error: " not in rejected.stderr
    assert "Traceback" not in rejected.stderr
    assert "minimum_coverage: " in rejected.stderr
    assert "missing: AMD, INTC, NVDA" in rejected.stderr
    assert "lower STOCK_ASSETS_MIN_COVERAGE" in rejected.stderr

    monkeypatch.setenv("STOCK_ASSETS_MIN_COVERAGE", "0.3")
    ran = shell.run("backfill", day, day, "--missing", code=1)
    assert f"Still missing: AMD, INTC, NVDA: {day}: the vendor does not know this symbol" in ran.stderr
    assert published_days(shell, "TXN") == [day]


def test_a_run_that_needs_more_calls_than_are_left_says_so_before_it_starts(
    live: Callable[[str], Shell], server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCK_ASSETS_CALLS_PER_DAY", "6")
    shell = live("free")
    backend, limits = local_backend(shell.settings.data_dir / "alpha_vantage"), CallLimits()
    for _ in range(3):
        assert backend.rate_limiter.acquire("alpha_vantage", limits, utc_now) is None

    out = shell.run("backfill", str(NEWEST), str(NEWEST))

    assert "This run requests 5 symbols, and 3 of today's 6 calls are left: 2 symbols cannot be requested before" in (
        " ".join(out.stderr.split())
    )
    assert len(server.requests) == 3
