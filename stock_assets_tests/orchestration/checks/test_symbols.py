"""A run of the real definitions over 20 symbols, of which three fail: published rows and results of the checks."""

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.errors import Outcome, SettingsError
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import SYMBOLS_SHOWN
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.outcomes import MEANING, REMEDY
from stock_assets.ingest.quota import read_quota
from stock_assets.ingest.symbol_status import symbol_statuses
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.checks.symbols import SUMMARY, check_names
from stock_assets.orchestration.keys import RAW_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import AlphaVantagePlan, Settings
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer
from stock_assets_tests.support.dagster_runs import WHOLE_PATH, WiredScene, checks
from stock_assets_tests.support.live_source import live_settings, live_source, symbols, utc
from stock_assets_tests.support.steps import parts, published_rows

DOCS = Path(__file__).parents[3] / "docs" / "ingestion.md"
DAY = date(2024, 3, 1)


def live_pipeline(server: VendorServer, settings: Settings) -> WiredScene:
    """Return the real definitions, with short delays."""
    definitions = build_definitions(
        settings, pipeline=replace(Pipeline.from_settings(settings), source=live_source(server))
    )
    return WiredScene(definitions, dg.DagsterInstance.ephemeral())


def published_symbols(backend: Backend) -> set[object]:
    return {row["symbol"] for row in published_rows(backend, DAILY_PRICES)}


def test_three_of_twenty_fail_and_seventeen_are_published(server: VendorServer, tmp_path: Path) -> None:
    settings = live_settings(server, tmp_path)
    backend, pipeline = Pipeline.from_settings(settings).backend, live_pipeline(server, settings)
    session = server.last_session
    everyone = set(Pipeline.from_settings(settings).universe.symbols)
    assert len(everyone) == 20
    server.respond("QCOM", Mischief.INVALID_CALL)
    server.respond("MU", Mischief.LATE, None)
    server.respond("ARM", Mischief.BURST)

    first = pipeline.run(WHOLE_PATH, [session])

    assert first.success
    assert published_symbols(backend) == everyone - {"QCOM", "MU", "ARM"}
    shown = checks(first, RAW_PRICES)
    failing = {name for name, check in shown.items() if name.endswith("_complete") and not check.passed}
    assert failing == {"qcom_complete", "mu_complete", "arm_complete"}
    for name, outcome, remedy in (
        ("qcom_complete", "unknown_symbol", "universe file"),
        ("mu_complete", "late", "later"),
        ("arm_complete", "throttled", "later"),
    ):
        check = shown[name]
        assert check.severity is dg.AssetCheckSeverity.WARN
        assert check.metadata["outcome"].value == outcome
        assert check.metadata["missing"].value == str(session)
        assert isinstance(check.metadata["since"], dg.TimestampMetadataValue)
        assert remedy in str(check.metadata["remedy"].value)
        assert check.description is not None
        assert outcome in check.description
    assert "Invalid API call" in str(shown["qcom_complete"].description)
    assert not shown[SUMMARY].passed
    assert shown[SUMMARY].description == "QCOM: unknown_symbol; MU: late; ARM: throttled"

    requests_before = len(server.requests)
    server.respond("ARM", None)
    second = pipeline.run(WHOLE_PATH, [session])

    assert second.success
    assert published_symbols(backend) == everyone - {"QCOM"}
    # First the symbol without any response, last the one with a permanent error. Stored bars are not requested again.
    assert server.requested()[-3:] == ["ARM", "MU", "QCOM"]
    assert len(server.requests) == requests_before + 3
    assert {name for name, check in checks(second, RAW_PRICES).items() if not check.passed} >= {
        "qcom_complete",
        SUMMARY,
    }
    assert checks(second, RAW_PRICES)["mu_complete"].passed


def test_a_run_without_a_key_fails_and_names_the_variable(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    definitions = build_definitions(live_settings(server, tmp_path))
    result = WiredScene(definitions, dg.DagsterInstance.ephemeral()).run(WHOLE_PATH, [server.last_session])

    assert not result.success
    messages = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert any("bad_key" in message and "set ALPHAVANTAGE_API_KEY" in message for message in messages)
    assert server.requests == []


def test_the_vendor_heads_the_lineage_and_is_never_materialized(server: VendorServer, tmp_path: Path) -> None:
    definitions = build_definitions(live_settings(server, tmp_path))
    graph = definitions.resolve_asset_graph()
    vendor = dg.AssetKey(["vendor", "alpha_vantage"])
    assert graph.get(vendor).child_keys == {dg.AssetKey(["raw", "daily_prices"]), dg.AssetKey(["raw", "splits"])}
    assert not graph.get(vendor).is_executable
    assert graph.get(vendor).parent_keys == set()


def test_each_of_at_most_fifty_symbols_has_a_check() -> None:
    assert check_names(symbols(SYMBOLS_SHOWN))["S07"] == "s07_complete"
    assert check_names(symbols(SYMBOLS_SHOWN + 1)) == {}
    dotted = Universe((Listing("BRK.B", "B"), Listing("BRK-B", "B")))
    assert list(check_names(dotted).values()) == ["brk_b_complete", "brk_b_complete_2"]


def test_more_symbols_than_calls_a_day_are_rejected_with_the_remedy(server: VendorServer, tmp_path: Path) -> None:
    universe = tmp_path / "many.csv"
    lines = ["symbol,name,first_session,last_session", *(f"S{number:02d},Stock,," for number in range(26))]
    universe.write_text("\n".join(lines) + "\n", encoding="utf-8")

    with pytest.raises(
        SettingsError, match=r"26 symbols.*25 calls per day.*Remove 2 .*STOCK_ASSETS_ALPHA_VANTAGE_PLAN"
    ):
        build_definitions(live_settings(server, tmp_path, universe=universe, alpha_vantage_plan=AlphaVantagePlan.FREE))

    build_definitions(
        live_settings(server, tmp_path, universe=universe, alpha_vantage_plan=AlphaVantagePlan.PREMIUM_75)
    )
    build_definitions(
        live_settings(server, tmp_path, universe=universe, alpha_vantage_plan=AlphaVantagePlan.FREE, calls_per_day=27)
    )


def test_a_symbol_status_has_its_start_and_reason(backend: Backend, server: VendorServer) -> None:
    source, universe = live_source(server, full_history=False), symbols(4)
    failed = [utc("2024-03-01 22:00"), utc("2024-03-01 23:00")]
    backend.ledger.record(Fetch("S01", FetchKind.PRICES, utc("2024-02-29 22:00"), Outcome.OK, calls=1))
    for timestamp in failed:
        backend.ledger.record(Fetch("S01", FetchKind.PRICES, timestamp, Outcome.EMPTY, calls=1, detail="nothing came"))
    february = Fetch(
        "S02",
        FetchKind.PRICES,
        failed[0],
        Outcome.OK,
        first_session=date(2024, 2, 1),
        last_session=date(2024, 2, 29),
        calls=1,
    )
    backend.ledger.record(february)

    now = utc("2024-03-02 00:00")
    one, two, three, _ = symbol_statuses(parts(backend, source, universe), [DAY], now=lambda: now)
    assert (one.outcome, one.since, one.last_requested_at, one.why) == (
        Outcome.EMPTY,
        failed[0],
        failed[1],
        "nothing came",
    )
    assert (two.outcome, two.since, two.missing) == (Outcome.LATE, utc("2024-03-01 21:00"), (DAY,))
    assert (three.outcome, three.last_requested_at) == (Outcome.LATE, None)

    old = date(2020, 1, 2)
    [four] = symbol_statuses(parts(backend, source, Universe(universe.listings[3:])), [old], now=lambda: now)
    assert four.outcome is Outcome.UNOBTAINABLE
    assert "2020-01-02" in four.why


def test_landing_files_with_older_sessions_do_not_hide_why_the_request_failed(
    backend: Backend, server: VendorServer
) -> None:
    source, universe = live_source(server, full_history=False), symbols(2)
    asked, old = utc("2024-03-01 22:00"), date(2024, 2, 1)
    failed = Fetch("S01", FetchKind.PRICES, asked, Outcome.UNKNOWN_SYMBOL, calls=1, detail="S01 is not known")
    # The vendor has no bar before 2 February.
    good = Fetch("S02", FetchKind.PRICES, asked, Outcome.OK, "key", date(2024, 2, 2), DAY, calls=1)
    backend.ledger.record(failed, good)
    for minutes in range(1, 6):
        at, day = asked + timedelta(minutes=minutes), date(2024, 1, 1 + minutes)
        backend.ledger.record(
            *(Fetch(symbol, FetchKind.PRICES, at, Outcome.OK, "file", day, day) for symbol in universe.symbols)
        )

    one, two = symbol_statuses(parts(backend, source, universe), [old, DAY], now=lambda: utc("2024-03-02 00:00"))

    assert one == (
        "S01",
        Outcome.UNKNOWN_SYMBOL,
        (old, DAY),
        (old, DAY),
        asked,
        asked,
        "S01 is not known",
    )
    assert (two.outcome, two.missing, two.last_requested_at) == (Outcome.UNOBTAINABLE, (old,), asked)
    assert "cannot be fetched" in two.why


def test_the_quota_has_used_and_remaining_calls(backend: Backend, server: VendorServer) -> None:
    source = live_source(server, calls_per_second=1, calls_per_day=25)
    now = utc("2024-03-01 22:00")
    clock = FakeClock(now)
    for pause in (0, 32, 31):
        clock.sleep(pause)
        assert backend.rate_limiter.acquire(source.vendor, source.terms.limits, clock.now) is None
    backend.ledger.record(Fetch("S01", FetchKind.SPLITS, now, Outcome.OK, calls=1))

    state = read_quota(parts(backend, source, symbols(2)), now=lambda: now + timedelta(seconds=64))

    assert [(limit.per, limit.used, limit.remaining) for limit in state.allowances] == [
        ("second", 1, 0),
        ("minute", 2, None),
        ("day", 3, 22),
    ]
    assert state.next_reset == utc("2024-03-02 05:00")
    # After the clock was set back to an earlier day, these calls do not count.
    earlier = read_quota(parts(backend, source, symbols(2)), now=lambda: now - timedelta(days=1))
    assert [limit.used for limit in earlier.allowances] == [0, 0, 0]
    assert state.newest["S01"][FetchKind.PRICES] is None
    assert state.newest["S01"][FetchKind.SPLITS] is not None


def test_every_outcome_is_described_in_the_code_and_in_the_docs() -> None:
    assert set(MEANING) == set(REMEDY) == set(Outcome)
    documented = re.findall(r"^\| `([a-z_]+)` \| .* \| .* \| .* \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in documented if not name.startswith("premium") and name != "free"] == [
        outcome.value for outcome in Outcome
    ]
