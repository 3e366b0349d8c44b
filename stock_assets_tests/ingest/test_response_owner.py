"""Whose bars a response contains: the stored histories confirm it, or show that it belongs to another symbol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import Outcome, RevisedHistory, WrongSymbol
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest import response_owner
from stock_assets.ingest.bar_index import Bars
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.ledger_queries import listings
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_owner import MIN_BARS
from stock_assets.ingest.response_reader import PriceReader, ResponseReader
from stock_assets_tests.fakes.vendor_server import VendorServer, walk
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.steps import LIMITS, local_backend

NOW = utc("2024-03-01 22:00")
DAYS = sessions_between(date(2024, 1, 2), date(2024, 3, 1))
TWO = symbols(2)
NUMBERS = count()
ORDINARY = st.sampled_from(["S01", "S02"])


@pytest.fixture
def pipeline(backend: Backend, server: VendorServer) -> PipelineParts:
    return PipelineParts(backend, live_source(server), TWO, LIMITS)


def bars(symbol: str, days: Sequence[date] = DAYS) -> dict[date, str]:
    """Return the lines of a symbol without the dates."""
    return {day: line for day, line in walk(symbol) if day in set(days)}


def csv(lines: Mapping[date, str]) -> bytes:
    """Write a response."""
    return "\r\n".join([",".join(RAW_COLUMNS), *(f"{day},{line}" for day, line in lines.items()), ""]).encode()


def store(parts: PipelineParts, symbol: str, body: bytes, at: datetime = NOW) -> Fetch:
    """Read, settle and store a response, as a run of its own."""
    key = f"raw/daily_prices/{next(NUMBERS)}/{symbol}.csv"
    parts.backend.objects.put(key, body)
    with parts.backend.ledger.read() as ledger:
        reader = ResponseReader(parts, ledger)
        fetch = reader.read(symbol, body, key, at)
        if fetch.kind is FetchKind.PRICES:
            parts.backend.ledger.record(fetch)
        return reader.settle().get(symbol, fetch)


@pytest.fixture
def reader(pipeline: PipelineParts) -> Iterator[ResponseReader]:
    """A reader of one run."""
    with pipeline.backend.ledger.read() as ledger:
        yield ResponseReader(pipeline, ledger)


def revised(lines: Mapping[date, str], changed: int, column: int = 3) -> dict[date, str]:
    """Change one field of the first bars."""
    found = dict(lines)
    for day in list(found)[:changed]:
        fields = found[day].split(",")
        fields[column] = "17.25" if column < 4 else "4711"
        found[day] = ",".join(fields)
    return found


def test_the_data_of_another_symbol_are_rejected_whatever_symbol_comes_first(pipeline: PipelineParts) -> None:
    for symbol in TWO.symbols:
        assert store(pipeline, symbol, csv(bars(symbol))).outcome is Outcome.OK
    for symbol, other in (TWO.symbols, TWO.symbols[::-1]):
        with pytest.raises(WrongSymbol, match=f"{symbol}: the response is byte for byte the response of {other}"):
            store(pipeline, symbol, csv(bars(other)))
        longer = csv(bars(other, [date(2023, 12, 29), *DAYS]))
        with pytest.raises(WrongSymbol, match=f"{symbol}: the response belongs to {other}: 42 of 42 bars equal the st"):
            store(pipeline, symbol, longer)
        with pytest.raises(WrongSymbol, match=f"belongs to {other}: 41 of 42 bars"):
            store(pipeline, symbol, csv(revised(revised(bars(other), 42, column=4), 1)))
        assert store(pipeline, symbol, csv(bars(symbol))).outcome is Outcome.OK


def test_a_symbol_without_history_cannot_take_the_bars_of_a_symbol_with_history(pipeline: PipelineParts) -> None:
    store(pipeline, "S01", csv(bars("S01")))
    with pytest.raises(WrongSymbol, match="S02: the response belongs to S01"):
        store(pipeline, "S02", csv(bars("S01", DAYS[3:])))
    assert store(pipeline, "S02", csv(bars("S02"))).outcome is Outcome.OK


def test_both_responses_with_the_same_bars_are_rejected_if_neither_symbol_has_history(
    pipeline: PipelineParts, reader: ResponseReader
) -> None:
    first = reader.read("S01", csv(bars("S01")), "one", NOW)
    second = reader.read("S02", csv(revised(bars("S01"), 3)), "two", NOW)
    assert {(fetch.kind, fetch.first_session) for fetch in (first, second)} == {(FetchKind.LANDING_FILES, None)}
    settled = reader.settle()
    assert {fetch.outcome for fetch in settled.values()} == {Outcome.MALFORMED}
    assert settled["S01"].detail.startswith("S01: the response has the same bars as the response of S02, and neither")
    assert pipeline.backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK) == []
    # The next responses of the same run are judged alone.
    reader.read("S01", csv(bars("S01")), "three", NOW)
    reader.read("S02", csv(bars("S02")), "four", NOW)
    assert {fetch.outcome for fetch in reader.settle().values()} == {Outcome.OK}


def test_a_file_is_rejected_if_it_has_the_bars_of_another_symbol_of_the_same_scan(pipeline: PipelineParts) -> None:
    with pipeline.backend.ledger.read() as ledger:
        read = PriceReader(pipeline, ledger)
        assert read("S01", csv(bars("S01")), "one", NOW).outcome is Outcome.OK
        assert not read.is_ambiguous("S01")
        with pytest.raises(WrongSymbol, match="S02: the response has the same bars as the response of S01"):
            read("S02", csv(bars("S01")), "two", NOW)
        assert read.is_ambiguous("S01")
        with pytest.raises(WrongSymbol, match="S01: the response has the same bars as the response of S02"):
            read("S01", csv(bars("S01")), "one", NOW)
        assert read("S02", csv(bars("S02")), "three", NOW).outcome is Outcome.OK
        assert read("S01", csv(bars("S01")), "one", NOW).outcome is Outcome.OK


def test_landing_files_with_the_same_bars_for_two_new_symbols_are_both_rejected(pipeline: PipelineParts) -> None:
    for symbol in TWO.symbols:
        pipeline.backend.objects.put(f"raw/daily_prices/{symbol}.csv", csv(bars("S01")))
    pipeline.backend.objects.put("raw/daily_prices/more/S03.csv", csv(bars("S03")))
    three = replace(pipeline, universe=symbols(3))
    later = datetime.now(UTC) + timedelta(hours=1)
    found = scan(three, LandingScope(DAYS[0], DAYS[-1]), at=later)
    assert [file.entry.key for file in found.landing_files] == ["raw/daily_prices/more/S03.csv"]
    assert sorted(file.why.partition(":")[0] for file in found.unreadable) == ["S01", "S02"]


@pytest.mark.parametrize(("changed", "accepted"), [(0, True), (14, True), (20, True), (22, False), (42, False)])
def test_a_response_that_changes_most_prices_replaces_nothing(
    pipeline: PipelineParts, changed: int, *, accepted: bool
) -> None:
    store(pipeline, "S01", csv(bars("S01")))
    body = csv(revised(bars("S01"), changed))
    if accepted:
        assert store(pipeline, "S01", body).outcome is Outcome.OK
        return
    with pytest.raises(RevisedHistory, match=rf"S01: the response changes {changed} of 42 stored bars.*S01.csv.*=S01"):
        store(pipeline, "S01", body)
    accepting = PipelineParts(pipeline.backend, pipeline.source, TWO, LIMITS, frozenset({"S01"}))
    assert store(accepting, "S01", body).outcome is Outcome.OK
    # From now on the new history counts.
    assert store(pipeline, "S01", body).outcome is Outcome.OK


def test_the_setting_does_not_accept_the_bars_of_another_symbol(pipeline: PipelineParts) -> None:
    for symbol in TWO.symbols:
        store(pipeline, symbol, csv(bars(symbol)))
    accepting = PipelineParts(pipeline.backend, pipeline.source, TWO, LIMITS, frozenset(TWO.symbols))
    with pytest.raises(WrongSymbol):
        store(accepting, "S01", csv(bars("S02")))


def test_revised_volumes_and_formats_of_numbers_are_normal(pipeline: PipelineParts) -> None:
    store(pipeline, "S01", csv(bars("S01")))
    assert store(pipeline, "S01", csv(revised(bars("S01"), 42, column=4))).outcome is Outcome.OK
    long = {day: ",".join(f"{float(field):.9f}" for field in line.split(",")) for day, line in bars("S01").items()}
    assert store(pipeline, "S01", csv(long)).outcome is Outcome.OK
    with pytest.raises(WrongSymbol):
        store(pipeline, "S02", csv(long))


def test_few_common_bars_decide_nothing(pipeline: PipelineParts) -> None:
    few = DAYS[: MIN_BARS - 1]
    store(pipeline, "S01", csv(bars("S01")))
    assert store(pipeline, "S01", csv(revised(bars("S01", few), len(few)))).outcome is Outcome.OK


def test_share_classes_are_similar_and_not_equal(pipeline: PipelineParts) -> None:
    store(pipeline, "S01", csv(bars("S01")))
    class_b = {
        day: ",".join(f"{float(field) * 1.0015:.4f}" for field in line.split(",")[:4]) + ",1000"
        for day, line in bars("S01").items()
    }
    assert store(pipeline, "S02", csv(class_b)).outcome is Outcome.OK


def test_bars_without_movement_may_be_equal(pipeline: PipelineParts) -> None:
    """Two companies that wait for a merger trade at 10.00 for days."""
    for number, symbol in enumerate(TWO.symbols):
        flat = {day: f"10.00,10.00,10.00,10.00,{1000 + 7 * number + index}" for index, day in enumerate(DAYS)}
        assert store(pipeline, symbol, csv(flat)).outcome is Outcome.OK


def test_a_renamed_ticker_has_the_bars_of_the_old_one(backend: Backend, server: VendorServer) -> None:
    before = PipelineParts(backend, live_source(server), Universe((Listing("OLD", ""), Listing("S02", ""))), LIMITS)
    store(before, "OLD", csv(bars("OLD")))
    store(before, "S02", csv(bars("S02")))
    new = Listing("NEW", "", date(2024, 2, 20))
    for rows in ((new, Listing("S02", "")), (Listing("OLD", "", None, date(2024, 2, 16)), new, Listing("S02", ""))):
        after = PipelineParts(backend, before.source, Universe(rows), LIMITS)
        assert store(after, "NEW", csv(bars("OLD"))).outcome is Outcome.OK
        table = {(row["symbol"], row["last_session"]) for row in listings(after).to_pylist()}
        assert len(table) == 3
        assert ("OLD", date(2024, 2, 19 if len(rows) == 2 else 16)) in table
    overlapping = PipelineParts(backend, before.source, Universe((Listing("OLD", ""), Listing("XYZ", ""))), LIMITS)
    with pytest.raises(WrongSymbol, match="XYZ: the response is byte for byte the response of OLD"):
        store(overlapping, "XYZ", csv(bars("OLD")))


def test_many_symbols_without_history_are_not_compared_with_each_other(
    backend: Backend, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    compare = response_owner._compare  # noqa: SLF001 (counted: pairs of 1,000 symbols would take 40 s)

    def count_comparison(one: Bars, other: Bars) -> tuple[int, int]:
        compared.append("")
        return compare(one, other)

    monkeypatch.setattr(response_owner, "_compare", count_comparison)
    universe = symbols(40)
    bodies = {symbol: csv(bars("S07" if symbol == "S33" else symbol)) for symbol in universe.symbols}
    with backend.ledger.read() as ledger:
        reader = ResponseReader(PipelineParts(backend, live_source(server), universe, LIMITS), ledger)
        for symbol, body in bodies.items():
            reader.read(symbol, body, f"raw/daily_prices/{next(NUMBERS)}/{symbol}.csv", NOW)
        settled = reader.settle()

    assert {symbol for symbol, fetch in settled.items() if fetch.outcome is not Outcome.OK} == {"S07", "S33"}
    assert len(compared) <= len(bodies) + 2


def test_a_symbol_that_left_the_universe_without_a_rename_has_no_listing(
    backend: Backend, server: VendorServer
) -> None:
    universe = Universe((Listing("S02", "", date(2024, 2, 20)),))
    store(PipelineParts(backend, live_source(server), TWO, LIMITS), "S01", csv(bars("S01")))
    after = PipelineParts(backend, live_source(server), universe, LIMITS)
    store(after, "S02", csv(bars("S02")))
    assert [row["symbol"] for row in listings(after).to_pylist()] == ["S02"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.tuples(ORDINARY, ORDINARY, st.integers(0, 20), st.integers(0, 15)), min_size=1, max_size=8))
def test_no_accepted_response_ever_has_the_bars_of_another_symbol(
    plan: list[tuple[str, str, int, int]], server: VendorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both symbols have history; then any symbol receives the data of any symbol, cut and a little revised."""
    folder: Path = tmp_path_factory.mktemp("owner")
    parts = PipelineParts(local_backend(folder), live_source(server), TWO, LIMITS)
    for symbol in TWO.symbols:
        store(parts, symbol, csv(bars(symbol)))
    for symbol, sent, skipped, changed in plan:
        days = DAYS[skipped:]
        body = csv(revised(bars(sent, days), min(changed, len(days) // 8)))
        try:
            assert store(parts, symbol, body).outcome is Outcome.OK
        except WrongSymbol:
            assert sent != symbol
        else:
            assert sent == symbol
