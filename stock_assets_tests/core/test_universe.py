"""Universe files: what they say about a symbol, and what is said about a file that is not one."""

from datetime import date
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest

from stock_assets.core.errors import SettingsError
from stock_assets.core.universe import Listing, Universe, read_universe
from stock_assets.sources.recorded import SYMBOLS, RecordedSource

HEADER = "symbol,name,first_session,last_session"


def written(folder: Path, *lines: str) -> Path:
    file = folder / "universe.csv"
    file.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return file


def test_a_file_in_its_order(tmp_path: Path) -> None:
    file = written(
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
    ("line", "says"),
    [
        ("aapl,Apple,,", "line 2: 'aapl' is not a symbol (a capital"),
        (",Apple,,", "line 2: '' is not a symbol"),
        ("1A,Apple,,", "is not a symbol"),
        ("ABCDEFGHIJK,Apple,,", "up to 9 of A-Z 0-9 . -"),
        ("AA'PL,Apple,,", "is not a symbol"),
        ("../AAPL,Apple,,", "is not a symbol"),
        ("AAPL,Apple,01.03.2012,", "line 2: AAPL needs dates as YYYY-MM-DD or nothing"),
        ("AAPL,Apple,2012-02-30,", "YYYY-MM-DD"),
        ("AAPL,Apple,,today", "YYYY-MM-DD"),
        ("AAPL,Apple,2012-03-02,2012-03-01", "AAPL has its first session 2012-03-02 after its last 2012-03-01"),
        ("MSFT,Microsoft,,\nAAPL,Apple,,\nMSFT,Microsoft,,", "names MSFT twice; remove one"),
        ("AAPL,Apple, Inc.,,", "line 2: 'AAPL' has more fields than symbol,name,first_session,last_session; quote"),
        ('MSFT,Microsoft,,\nAAPL,"Apple,,', "line 3: mend the quotes or commas"),
        ('AAPL,"Apple"s,,', "mend the quotes or commas"),
        ("", "has no symbol; add one line for each"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, line: str, says: str) -> None:
    file = written(tmp_path, line)
    with pytest.raises(SettingsError) as raised:
        read_universe(file)
    assert says in str(raised.value)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize("text", ["", "symbol\nAAPL\n", "AAPL,Apple,,\n", '"symbol\n'])
def test_a_file_without_the_header_says_which_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "universe.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"{HEADER}|mend the quotes"):
        read_universe(file)


def test_a_file_that_is_not_there_says_what_to_set(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SettingsError, match=r"cannot be read.*; set STOCK_ASSETS_UNIVERSE"):
            read_universe(file)


def test_a_file_that_is_not_text_says_what_to_set(tmp_path: Path) -> None:
    file = tmp_path / "universe.xlsx"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"cannot be read.*; set STOCK_ASSETS_UNIVERSE"):
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


def test_the_relation_of_listings_never_has_an_open_beginning() -> None:
    table = Universe((Listing("A", "A"), Listing("B", "B", date(2012, 3, 1), date(2012, 3, 9)))).table()
    assert table.schema == pa.schema({"symbol": pa.string(), "first_session": pa.date32(), "last_session": pa.date32()})
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("A", date.min, None),
        ("B", date(2012, 3, 1), date(2012, 3, 9)),
    ]


def test_the_recorded_universe_is_what_the_recording_has() -> None:
    universe = read_universe(files("stock_assets").joinpath("universes", "recorded.csv"))
    assert universe.symbols == SYMBOLS
    source = RecordedSource()
    for listing in universe.listings:
        assert listing.first_session
        assert listing.last_session
        held = source.read_prices(source.fetch_prices(listing.symbol, [listing.last_session]), listing.symbol)
        assert (held[-1], held[0]) == (listing.first_session, listing.last_session)


def test_the_live_universe_leaves_calls_of_the_free_plan_for_splits_and_retries() -> None:
    universe = read_universe(files("stock_assets").joinpath("universes", "semiconductors.csv"))
    assert len(universe.symbols) == 20
    assert all(listing.last_session is None for listing in universe.listings)
