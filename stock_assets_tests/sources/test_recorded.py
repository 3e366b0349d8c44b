"""The recorded sample: the vendor's format, the package's numbers, and typed errors for sessions outside it."""

import csv
from datetime import date
from importlib import import_module

import pytest

from stock_assets.core.errors import NotATradingSession, NotListed, NotRecorded, Outcome, SessionError, UnknownSymbol
from stock_assets.core.vendor_facts import Split
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION, SYMBOLS, RecordedSource

SOURCE = RecordedSource()
LISTED = {"AAPL": FIRST_SESSION, "FB": date(2012, 5, 18), "GOOG": date(2004, 8, 19)}


@pytest.mark.parametrize(
    ("symbol", "session", "error", "outcome", "message"),
    [
        ("IBM", date(2013, 3, 4), NotRecorded, Outcome.NOT_RECORDED, "STOCK_ASSETS_SOURCE=alpha_vantage"),
        ("IBM", date(2013, 3, 2), NotRecorded, Outcome.NOT_RECORDED, "2000-03-01 to 2013-03-01"),
        ("IBM", date(2000, 2, 29), NotRecorded, Outcome.NOT_RECORDED, "2000-03-01 to 2013-03-01"),
        ("FB", date(2024, 6, 10), NotRecorded, Outcome.NOT_RECORDED, "2013-03-01"),
        ("IBM", date(1990, 1, 2), NotRecorded, Outcome.NOT_RECORDED, "not 1990-01-02"),
        ("IBM", date(2060, 1, 2), NotRecorded, Outcome.NOT_RECORDED, "not 2060-01-02"),
        ("GOOG", date(2004, 8, 18), NotListed, Outcome.NOT_LISTED, "first listed on 2004-08-19"),
        ("FB", date(2012, 5, 17), NotListed, Outcome.NOT_LISTED, "first listed on 2012-05-18"),
        ("AAPL", date(2001, 9, 11), NotATradingSession, Outcome.CLOSED_DAY, "closed"),
        ("AAPL", date(2012, 12, 25), NotATradingSession, Outcome.CLOSED_DAY, "2012-12-25"),
        ("AAPL", date(2012, 3, 3), NotATradingSession, Outcome.CLOSED_DAY, "closed"),
        ("FB", date(2012, 1, 2), NotATradingSession, Outcome.CLOSED_DAY, "closed"),
    ],
)
def test_a_session_outside_the_recording_is_a_typed_error(
    symbol: str, session: date, error: type[SessionError], outcome: Outcome, message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        SOURCE.fetch_prices(symbol, [date(2012, 6, 1), session])
    assert (raised.value.symbol, raised.value.session) == (symbol, session)
    assert (raised.value.outcome, raised.value.transient) == (outcome, False)
    assert str(raised.value).startswith(f"{symbol}: ")


@pytest.mark.parametrize("symbol", ["NVDA", "aapl", "", "AAPL "])
def test_an_unknown_symbol_is_a_typed_error(symbol: str) -> None:
    with pytest.raises(UnknownSymbol, match="AAPL, FB, GOOG, IBM, MSFT") as raised:
        SOURCE.fetch_prices(symbol, [date(2012, 6, 1)])
    assert (raised.value.symbol, raised.value.outcome) == (symbol, Outcome.UNKNOWN_SYMBOL)
    with pytest.raises(UnknownSymbol):
        SOURCE.fetch_splits(symbol)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_first_and_last_session_are_available(symbol: str) -> None:
    first = LISTED.get(symbol, FIRST_SESSION)
    sessions = SOURCE.read_prices(SOURCE.fetch_prices(symbol, [first, LAST_SESSION]), symbol).sessions
    assert (sessions[0], sessions[-1]) == (LAST_SESSION, first)


def test_the_response_has_the_vendors_format_byte_for_byte() -> None:
    body = SOURCE.fetch_prices("IBM", [LAST_SESSION])
    assert body.startswith(
        b"timestamp,open,high,low,close,volume\r\n2013-03-01,200.6500,202.9400,199.3600,202.9100,3308300\r\n"
    )
    assert body.endswith(b"2000-03-01,102.0000,105.5000,100.0600,100.2500,10807800\r\n")
    assert body.count(b"\r\n") == body.count(b"\n") == 3270 + 1


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_response_has_the_numbers_of_the_package(symbol: str) -> None:
    """Four decimals lose nothing."""
    series = getattr(import_module("bokeh_sampledata.stocks"), symbol)
    names = ("open", "high", "low", "close")
    wanted = list(zip(series["date"], *(series[name] for name in names), series["volume"], strict=True))
    lines = csv.reader(SOURCE.fetch_prices(symbol, [LAST_SESSION]).decode().splitlines()[:0:-1])
    assert [(day, *map(float, prices), int(volume)) for day, *prices, volume in lines] == wanted


def test_splits_equal_the_public_record() -> None:
    splits = {symbol: SOURCE.read_splits(SOURCE.fetch_splits(symbol), symbol) for symbol in SYMBOLS}
    assert {symbol: [(split.ex_date, str(split.ratio)) for split in events] for symbol, events in splits.items()} == {
        "AAPL": [(date(2000, 6, 21), "2.0000"), (date(2005, 2, 28), "2.0000")],
        "FB": [],
        "GOOG": [],
        "IBM": [],
        "MSFT": [(date(2003, 2, 18), "2.0000")],
    }
    assert all(isinstance(split, Split) for events in splits.values() for split in events)


def test_the_label_names_the_sample_and_its_last_session() -> None:
    assert SOURCE.label == "recorded sample, ends 2013-03-01"
    assert (SOURCE.first_session, SOURCE.last_session) == (date(2000, 3, 1), date(2013, 3, 1))
