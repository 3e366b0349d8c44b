"""Universe files: the listings that are read, and the errors of a malformed file."""

from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import SettingsError
from stock_assets.core.universe import Listing, Universe, read_universe
from stock_assets.sources.recorded import SYMBOLS, RecordedSource

HEADER = "symbol,name,first_session,last_session"


def write_universe(folder: Path, *lines: str) -> Path:
    file = folder / "universe.csv"
    file.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return file


def test_listings_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = write_universe(
        tmp_path, "MSFT,Microsoft,,", 'BRK.B, "Berkshire" ,1996-05-09,', 'X,"United, States",,2025-06-18', "Z"
    )
    universe = read_universe(file)
    assert universe.listings == (
        Listing("MSFT", "Microsoft"),
        Listing("BRK.B", '"Berkshire"', date(1996, 5, 9)),
        Listing("X", "United, States", None, date(2025, 6, 18)),
        Listing("Z", ""),
    )
    assert universe.symbols == ("MSFT", "BRK.B", "X", "Z")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("aapl,Apple,,", "line 2: 'aapl' is not a symbol. A symbol is a capital"),
        ("aapl ,Apple,,", "A-Z 0-9 . -. Write AAPL."),
        ("brk/b,Berkshire,,", "Write BRK.B."),
        ("Bf-b,Brown-Forman,,", "Write BF-B."),
        ("X,One,,2020-01-02\nX,Two,2020-01-02,", "has X twice: line 2 (the beginning to 2020-01-02) and line 3 (2020"),
        ("X,Two,2019-01-02,2019-02-01\nX,One,,", "so that they do not overlap"),
        (",Apple,,", "line 2: '' is not a symbol"),
        ("1A,Apple,,", "is not a symbol"),
        ("ABCDEFGHIJK,Apple,,", "up to 9 characters of A-Z 0-9 . -"),
        ("AA'PL,Apple,,", "is not a symbol"),
        ("../AAPL,Apple,,", "is not a symbol"),
        ("AAPL,Apple,01.03.2012,", "line 2: write the dates of AAPL as YYYY-MM-DD"),
        ("AAPL,Apple,2012-02-30,", "YYYY-MM-DD"),
        ("AAPL,Apple,,today", "YYYY-MM-DD"),
        (
            "AAPL,Apple,2012-03-02,2012-03-01",
            "the first session of AAPL, 2012-03-02, is after its last session, 2012-03-01",
        ),
        (
            "MSFT,Microsoft,,\nAAPL,Apple,,\nMSFT,Microsoft,,",
            "has MSFT twice: line 2 (the beginning to today) and line 4 (the beginning to today). Remove one",
        ),
        ("AAPL,Apple, Inc.,,", "line 2: 'AAPL' has more fields than symbol,name,first_session,last_session. Put"),
        ('MSFT,Microsoft,,\nAAPL,"Apple,,', "line 3: fix the quotes or commas"),
        ('AAPL,"Apple"s,,', "fix the quotes or commas"),
        ("", "has no symbols. Add one line per symbol"),
    ],
)
def test_the_error_of_an_invalid_line_names_the_line_and_the_remedy(tmp_path: Path, line: str, message: str) -> None:
    file = write_universe(tmp_path, line)
    with pytest.raises(SettingsError) as raised:
        read_universe(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c", "\x1e"])
def test_only_line_breaks_end_a_line(tmp_path: Path, separator: str) -> None:
    file = write_universe(tmp_path, f"AAPL,Apple{separator}MSFT,,")
    assert read_universe(file).listings == (Listing("AAPL", f"Apple{separator}MSFT"),)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_file_of_a_spreadsheet_program_is_read(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "universe.csv"
    file.write_bytes(b"\xef\xbb\xbf" + ending.join([HEADER, "AAPL,Apple,,", "MSFT,Microsoft,,", ""]).encode())
    assert read_universe(file).symbols == ("AAPL", "MSFT")


def test_spaces_blank_lines_quotes_and_empty_fields_at_the_end_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "universe.csv"
    header = '"symbol", name ,first_session,last_session,,'
    lines = [header, "", '"AAPL", Apple\u2028Inc. , 2012-03-01 ,,,', "  ", ",,,", "MSFT\u00a0", ""]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_universe(file).listings == (
        Listing("AAPL", "Apple\u2028Inc.", date(2012, 3, 1)),
        Listing("MSFT", ""),
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_the_error_of_a_file_in_utf_16_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "universe.csv"
    text = f"{HEADER}\nAAPL,Apple,,\n"
    file.write_bytes(text.encode(encoding) if encoding == "utf-16" else f"\ufeff{text}".encode(encoding))
    with pytest.raises(
        SettingsError, match=r"its encoding is UTF-16. Set STOCK_ASSETS_UNIVERSE to a CSV file in UTF-8"
    ):
        read_universe(file)


def test_a_ticker_of_two_companies_has_two_listings_and_one_symbol(tmp_path: Path) -> None:
    second, first = Listing("ON", "Second", date(2020, 1, 3)), Listing("ON", "First", None, date(2019, 6, 28))
    file = write_universe(tmp_path, "ON,Second,2020-01-03,", "KLAC,KLA,,", "ON,First,,2019-06-28")
    universe = read_universe(file)
    assert universe.listings == (second, Listing("KLAC", "KLA"), first)
    assert universe.symbols == ("ON", "KLAC")
    assert universe.listings_of("ON") == (first, second)
    assert universe.listings_of("TXN") == ()
    assert (universe.name_of("ON"), universe.name_of("TXN")) == ("Second", "")
    days = [date(2019, 6, 28), date(2019, 7, 1), date(2020, 1, 2), date(2020, 1, 3)]
    assert [universe.covers("ON", day) for day in days] == [True, False, False, True]
    assert not universe.covers("TXN", days[0])
    assert universe.table().num_rows == 3


_DAYS = st.none() | st.dates(date(2020, 1, 1), date(2020, 1, 12))


@given(st.tuples(_DAYS, _DAYS), st.tuples(_DAYS, _DAYS))
def test_listings_overlap_if_both_cover_a_day(
    one: tuple[date | None, date | None], other: tuple[date | None, date | None]
) -> None:
    listings = [Listing("X", "", *period) for period in (one, other)]
    assume(all(first is None or last is None or first <= last for first, last in (one, other)))
    # A day before and after all dates of the strategy stand for all days without limit.
    days = [date(2019, 12, 31) + timedelta(days=number) for number in range(14)]
    both = any(all(listing.covers(day) for listing in listings) for day in days)
    assert listings[0].overlaps(listings[1]) == listings[1].overlaps(listings[0]) == both


def test_a_quoted_name_keeps_its_line_break(tmp_path: Path) -> None:
    file = write_universe(tmp_path, 'AAPL,"Apple\r\nInc.",,', "MSFT,Microsoft,,")
    assert read_universe(file).listings == (Listing("AAPL", "Apple\r\nInc."), Listing("MSFT", "Microsoft"))


@pytest.mark.parametrize("text", ["", "symbol\nAAPL\n", "AAPL,Apple,,\n", '"symbol\n'])
def test_the_error_of_a_missing_header_names_the_header(tmp_path: Path, text: str) -> None:
    file = tmp_path / "universe.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"{HEADER}|fix the quotes"):
        read_universe(file)


def test_the_error_of_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SettingsError, match=r"cannot be read.*Set STOCK_ASSETS_UNIVERSE"):
            read_universe(file)


def test_the_error_of_a_binary_file_names_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "universe.xlsx"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"cannot be read.*Set STOCK_ASSETS_UNIVERSE"):
        read_universe(file)


@pytest.mark.parametrize(
    ("session", "covered"),
    [
        (date(2012, 2, 29), False),
        (date(2012, 3, 1), True),
        (date(2012, 3, 5), True),
        (date(2012, 3, 9), True),
        (date(2012, 3, 12), False),
    ],
)
def test_a_listing_covers_its_sessions_and_no_others(session: date, covered: bool) -> None:  # noqa: FBT001 (a table of cases)
    assert Listing("A", "A", date(2012, 3, 1), date(2012, 3, 9)).covers(session) == covered
    assert Listing("A", "A").covers(session)


def test_the_number_of_listed_symbols_is_that_of_each_session_alone() -> None:
    days = sessions_between(date(2024, 1, 2), date(2024, 1, 12))
    bounds = [None, date(2023, 12, 1), days[0], days[3], date(2024, 1, 6), days[-1], date(2024, 2, 1)]
    periods = [(first, last) for first in bounds for last in bounds if not first or not last or first <= last]
    twice = (Listing("TWO", "", None, days[2]), Listing("TWO", "", days[5], None))
    universe = Universe((*(Listing(f"S{number}", "", *period) for number, period in enumerate(periods)), *twice))
    assert universe.listed_counts(days) == {
        day: sum(universe.covers(symbol, day) for symbol in universe.symbols) for day in days
    }
    assert universe.listed_counts([]) == {}


def test_first_session_is_never_null_in_the_relation_of_listings() -> None:
    table = Universe((Listing("A", "A"), Listing("B", "B", date(2012, 3, 1), date(2012, 3, 9)))).table()
    assert table.schema == pa.schema({"symbol": pa.string(), "first_session": pa.date32(), "last_session": pa.date32()})
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("A", date.min, None),
        ("B", date(2012, 3, 1), date(2012, 3, 9)),
    ]


def test_the_recorded_universe_equals_the_recording() -> None:
    universe = read_universe(files("stock_assets").joinpath("universes", "recorded.csv"))
    assert universe.symbols == SYMBOLS
    source = RecordedSource()
    for listing in universe.listings:
        assert listing.first_session
        assert listing.last_session
        held = source.read_prices(source.fetch_prices(listing.symbol, [listing.last_session]), listing.symbol).sessions
        assert (held[-1], held[0]) == (listing.first_session, listing.last_session)


def test_the_live_universe_leaves_calls_of_the_free_plan_for_splits_and_retries() -> None:
    universe = read_universe(files("stock_assets").joinpath("universes", "semiconductors.csv"))
    assert len(universe.symbols) == 20
    assert all(listing.last_session is None for listing in universe.listings)
