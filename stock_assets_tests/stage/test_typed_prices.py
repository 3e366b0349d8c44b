"""From the vendor's text to types: which texts are numbers, and from which response a bar is read."""

from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.tables import RAW_COLUMNS, TYPED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.ledger_queries import responses_for
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.publish.publishing import publish
from stock_assets.sources.recorded import RecordedSource
from stock_assets.stage.staging import stage
from stock_assets_tests.support.bars import Row, deliver
from stock_assets_tests.support.scenes import Scene, calm_source
from stock_assets_tests.support.steps import parts, published_rows

ONE = Universe((Listing("CSCO", "CSCO"),))
SESSIONS = sessions_between(date(2012, 3, 1), date(2012, 3, 16))
DAY = SESSIONS[0]
NOON = datetime(2012, 6, 1, 12, tzinfo=UTC)
GOOD = "10,11,9,10.5,100"


def response(*lines: tuple[date, str]) -> bytes:
    """Return a response in the vendor's format, newest session first."""
    ordered = sorted(lines, key=lambda line: line[0], reverse=True)
    return "".join(
        f"{line}\r\n" for line in [",".join(RAW_COLUMNS), *(f"{day},{bar}" for day, bar in ordered)]
    ).encode()


def typed(backend: Backend, first: date = DAY, last: date = DAY) -> list[Row]:
    """Stage the stored responses and read the typed rows."""
    load = stage(parts(backend, RecordedSource(), ONE), sessions_between(first, last))
    with backend.warehouse.connect(load.load_id) as sql:
        return [*sql.query(f"SELECT * FROM {TYPED_PRICES.full_name} ORDER BY trade_date, close_price").to_pylist()]


PRICES = [
    ("12.5", 12.5),
    (" 12.5 ", 12.5),
    ("12", 12.0),
    ("0012.50", 12.5),
    ("0.0001", 0.0001),
    ("-1", -1.0),
    ("0", 0.0),
    ("189.96000000000001", 189.96),
    ("123456789012.3456", 123456789012.3456),
    ("", None),
    ("  ", None),
    ("1e3", None),
    ("1E3", None),
    ("inf", None),
    ("-inf", None),
    ("Infinity", None),
    ("nan", None),
    ("NaN", None),
    ("0x1", None),
    ("1_000", None),
    ("+1", None),
    (".5", None),
    ("5.", None),
    ("1.2.3", None),
    ("--1", None),
    ("$5", None),
    ("12.5 USD", None),
    ("2024/06/10", None),
    ("true", None),
    ("None", None),
    ("1" * 13, None),
    ("0." + "1" * 21, None),
    ("9" * 400, None),
    ("\u0661\u0662", None),  # digits of another script
]
VOLUMES = [
    ("100", 100),
    (" 100 ", 100),
    ("0", 0),
    ("-5", -5),
    ("00100", 100),
    ("9223372036854775807", 2**63 - 1),
    ("9223372036854775808", None),
    ("9" * 40, None),
    ("12.5", None),
    ("100.0", None),
    ("1e3", None),
    ("", None),
    ("inf", None),
    ("0x1", None),
    ("100 shares", None),
]


def unparsed(name: str, text: str) -> str | None:
    """Return the text of the column `unparsed_text`; a field without text is missing, not unparsed."""
    written = text.strip(' "')
    return f"{name}={written}" if written else None


@pytest.fixture
def columns() -> dict[str, int]:
    return {"open": 0, "high": 1, "low": 2, "close": 3}


def test_prices_are_parsed_only_from_plain_numbers(backend: Backend, columns: dict[str, int]) -> None:
    """Each text in each of the four price columns: one session per text, one symbol per column."""
    days = sessions_between(date(2012, 3, 1), date(2012, 5, 31))[: len(PRICES)]
    for name, position in columns.items():
        lines = []
        for day, (text, _) in zip(days, PRICES, strict=True):
            fields = GOOD.split(",")
            fields[position] = text
            lines.append((day, ",".join(fields)))
        deliver(backend, name.upper(), response(*lines), NOON)
    rows = typed(backend, days[0], days[-1])
    found = {(row["symbol"], row["trade_date"]): (row, row["unparsed_text"]) for row in rows}
    assert len(found) == len(PRICES) * len(columns)
    for name in columns:
        for day, (text, value) in zip(days, PRICES, strict=True):
            row, problem = found[name.upper(), day]
            assert row[f"{name}_price"] == value, text
            assert problem == (None if value is not None else unparsed(name, text))
            assert [row[f"{other}_price"] for other in columns if other != name].count(None) == 0
            assert row["volume"] == 100


def test_volumes_are_parsed_only_from_whole_numbers(backend: Backend) -> None:
    days = sessions_between(date(2012, 3, 1), date(2012, 5, 31))[: len(VOLUMES)]
    lines = [(day, f"10,11,9,10.5,{text}") for day, (text, _) in zip(days, VOLUMES, strict=True)]
    deliver(backend, "CSCO", response(*lines), NOON)
    rows = typed(backend, days[0], days[-1])
    assert [row["volume"] for row in rows] == [value for _, value in VOLUMES]
    assert [row["unparsed_text"] for row in rows] == [
        None if value is not None else unparsed("volume", text) for text, value in VOLUMES
    ]


def test_unparsed_text_names_every_field(backend: Backend) -> None:
    deliver(backend, "CSCO", response((DAY, "a,b,,-,1.5")), NOON)
    [row] = typed(backend)
    assert row["unparsed_text"] == "open=a, high=b, close=-, volume=1.5"
    assert {row[name] for name in ("open_price", "high_price", "low_price", "close_price", "volume")} == {None}


def test_a_row_names_the_response_that_it_comes_from(backend: Backend) -> None:
    key = deliver(backend, "CSCO", response((DAY, GOOD)), NOON)
    [row] = typed(backend)
    assert (row["symbol"], row["payload"], row["fetched_at"]) == ("CSCO", key, NOON.replace(tzinfo=None))


def test_a_bar_comes_from_the_newest_response(backend: Backend) -> None:
    """The time of the response decides, not the order of the ledger."""
    deliver(backend, "CSCO", response((DAY, "10,11,9,10.75,100")), NOON + timedelta(microseconds=1))
    deliver(backend, "CSCO", response((DAY, "10,11,9,10.25,100")), NOON)
    assert [row["close_price"] for row in typed(backend)] == [10.75]


def test_bars_that_newer_responses_do_not_have_come_from_older_ones(backend: Backend) -> None:
    first, second, third = SESSIONS[:3]
    old = deliver(backend, "CSCO", response((first, GOOD), (second, GOOD), (third, GOOD)), NOON)
    new = deliver(backend, "CSCO", response((first, GOOD), (third, GOOD)), NOON + timedelta(days=1))
    rows = typed(backend, first, third)
    assert [(row["trade_date"], row["payload"]) for row in rows] == [(first, new), (second, old), (third, new)]


def test_a_newest_bar_that_is_broken_is_not_replaced_by_an_older_one(backend: Backend) -> None:
    """The newest value counts: it goes to quarantine, and consumers never see a value that the vendor replaced."""
    deliver(backend, "CSCO", response((DAY, GOOD)), NOON)
    deliver(backend, "CSCO", response((DAY, "10,11,9,,100")), NOON + timedelta(days=1))
    assert [row["close_price"] for row in typed(backend)] == [None]


def test_contradicting_rows_of_one_response_become_one_row_without_values(backend: Backend) -> None:
    lines = ["10,11,9,10.75,100", "10,11,9,10.25,100", "10,11,9,n/a,100", "10,11,9,10.25,100"]
    deliver(backend, "CSCO", response(*((DAY, line) for line in lines)), NOON)

    [row] = typed(backend)

    assert {row[name] for name in ("open_price", "high_price", "low_price", "close_price", "volume")} == {None}
    assert row["contradicting_rows"] == " | ".join(sorted(set(lines)))
    assert row["unparsed_text"] is None


@pytest.mark.parametrize("other", ["10,11,9,10.5,100", "10.0,11.00, 9 ,10.50,0100"])
def test_rows_with_the_same_values_count_once(backend: Backend, other: str) -> None:
    deliver(backend, "CSCO", response((DAY, GOOD), (DAY, other), (DAY, GOOD)), NOON)

    [row] = typed(backend)

    assert (row["close_price"], row["volume"], row["contradicting_rows"]) == (10.5, 100, None)


@pytest.mark.parametrize(
    ("line", "values", "unparsed"),
    [
        ("10,11,9", (10.0, 11.0, 9.0, None, None), None),
        ("", (None, None, None, None, None), None),
        ("10,11,9,10.5,100,7", (10.0, 11.0, 9.0, 10.5, None), "volume=100,7"),
        ("10,11,9,1,010.5,100,7", (10.0, 11.0, 9.0, 1.0, None), "volume=010.5,100,7"),
        ("10,11,9,10.5,100,", (10.0, 11.0, 9.0, 10.5, None), "volume=100,"),
    ],
)
def test_a_row_with_too_few_or_too_many_fields_affects_only_itself(
    backend: Backend, line: str, values: tuple[float | None, ...], unparsed: str | None
) -> None:
    body = response((SESSIONS[1], GOOD)).decode() + f"{DAY},{line}\r\n"
    deliver(backend, "CSCO", body.encode(), NOON)

    first, second = typed(backend, DAY, SESSIONS[1])

    assert tuple(first[name] for name in ("open_price", "high_price", "low_price", "close_price", "volume")) == values
    assert first["unparsed_text"] == unparsed
    assert second["close_price"] == 10.5


SATURDAY = SESSIONS[1] + timedelta(days=1)


def test_a_closed_day_belongs_to_the_sessions_around_it(backend: Backend) -> None:
    friday, monday = SESSIONS[1:3]
    assert (SATURDAY - friday).days == 1
    deliver(backend, "CSCO", response((DAY, GOOD), (friday, GOOD), (SATURDAY, GOOD), (monday, GOOD)), NOON)

    assert [row["trade_date"] for row in typed(backend, DAY, DAY)] == [DAY]
    assert [row["trade_date"] for row in typed(backend, friday, friday)] == [friday, SATURDAY]
    assert [row["trade_date"] for row in typed(backend, monday, monday)] == [SATURDAY, monday]


def test_a_row_of_a_closed_day_does_not_depend_on_the_other_sessions_of_the_load(backend: Backend) -> None:
    """Only the newest responses of the sessions around it count, whatever responses the load reads for others."""
    friday, monday = SESSIONS[1:3]
    old = deliver(backend, "CSCO", response((DAY, GOOD), (friday, GOOD), (SATURDAY, "1,1,1,1,1")), NOON)
    deliver(backend, "CSCO", response((friday, GOOD)), NOON + timedelta(days=1))
    new = deliver(backend, "CSCO", response((SATURDAY, "2,2,2,2,2"), (monday, GOOD)), NOON - timedelta(days=1))

    for first, last in ((DAY, friday), (friday, friday), (monday, monday), (DAY, monday)):
        rows = {row["trade_date"]: row["payload"] for row in typed(backend, first, last)}
        assert rows[SATURDAY] == new, (first, last)
        assert rows.get(DAY, old) == old


@pytest.mark.parametrize("day", ["2012-03-05", "2012-02-30", "20120301", ""])
def test_a_row_without_a_readable_date_or_of_a_later_day_is_not_typed(backend: Backend, day: str) -> None:
    body = response((DAY, GOOD), (SESSIONS[1], GOOD)) + f"{day},1,1,1,1,1\r\n".encode()
    deliver(backend, "CSCO", body, datetime(2012, 3, 2, 23, tzinfo=UTC))

    assert [row["trade_date"] for row in typed(backend, DAY, SESSIONS[4])] == SESSIONS[:2]


def test_a_session_that_is_twice_in_an_older_response_is_replaced(backend: Backend) -> None:
    deliver(backend, "CSCO", response((DAY, "10,11,9,10.25,100"), (DAY, "10,11,9,10.75,100")), NOON)
    deliver(backend, "CSCO", response((DAY, GOOD)), NOON + timedelta(days=1))
    assert [row["close_price"] for row in typed(backend)] == [10.5]


def test_only_sessions_of_the_load_are_typed(backend: Backend) -> None:
    deliver(backend, "CSCO", response(*((day, GOOD) for day in SESSIONS)), NOON)
    assert [row["trade_date"] for row in typed(backend, SESSIONS[2], SESSIONS[4])] == SESSIONS[2:5]


def test_symbols_do_not_mix(backend: Backend) -> None:
    deliver(backend, "CSCO", response((DAY, "10,11,9,10.25,100")), NOON)
    deliver(backend, "ORCL", response((DAY, "10,11,9,10.75,100")), NOON + timedelta(days=1))
    assert [(row["symbol"], row["close_price"]) for row in typed(backend)] == [("CSCO", 10.25), ("ORCL", 10.75)]


def chosen(backend: Backend, *sessions: date) -> list[str]:
    return [fetch.response_key for fetch in responses_for(backend, sessions)]


def test_responses_for_returns_only_the_needed_responses(backend: Backend) -> None:
    first, second, third, fourth = SESSIONS[:4]
    whole = deliver(backend, "CSCO", response(*((day, GOOD) for day in SESSIONS[:3])), NOON)
    hidden = deliver(backend, "CSCO", response((first, GOOD)), NOON + timedelta(days=1))
    ends = deliver(backend, "CSCO", response((first, GOOD), (third, GOOD), (fourth, GOOD)), NOON + timedelta(days=2))
    other = deliver(backend, "ORCL", response((second, GOOD)), NOON)
    assert chosen(backend, first, third) == [ends]
    assert chosen(backend, first, second, third) == [ends, whole, other]
    assert chosen(backend, second) == [whole, other]
    assert chosen(backend, fourth) == [ends]
    assert chosen(backend, SESSIONS[5]) == []
    assert hidden not in chosen(backend, *SESSIONS)


def test_a_response_from_before_the_close_is_staged_and_its_bar_quarantined(backend: Backend) -> None:
    key = deliver(backend, "CSCO", response((DAY, GOOD)), closing_time(DAY) - timedelta(minutes=1))
    assert chosen(backend, DAY) == [key]
    assert stage(parts(backend, RecordedSource(), ONE), [DAY]).quarantined == 1


def test_a_bar_from_before_the_close_is_not_staged_although_its_recorded_time_is_later(backend: Backend) -> None:
    """The clock was ahead at an earlier request, so the response is recorded after that request."""
    first, closed, still_open = SESSIONS[:3]
    scene = Scene(backend, calm_source(ONE.symbols, [first]), ONE)
    fetch_prices(scene, [first], now=lambda: NOON)
    for session in (closed, still_open):
        scene.source.set_bar("CSCO", session, GOOD)
    fetch_prices(scene, [closed], now=lambda: closing_time(still_open) - timedelta(minutes=1))
    assert [row["trade_date"] for row in typed(backend, first, still_open)] == [first, closed]


def test_the_widest_prices_pass_every_audit_without_an_overflow(backend: Backend) -> None:
    """Audits write their findings as decimals; a bar at the limit is audited like any other."""
    widest, smallest = "9" * 12 + "." + "9" * 20, "0." + "0" * 19 + "1"
    first, second, third = SESSIONS[:3]
    lines = [
        (first, ",".join([smallest] * 4 + ["1"])),
        (second, ",".join([widest] * 4 + ["1"])),
        (third, f"{widest},{smallest},{widest},{smallest},-1"),
    ]
    deliver(backend, "CSCO", response(*lines), NOON)
    deliver(backend, "ORCL", response((third, GOOD)), NOON)
    sessions = sessions_between(first, third)
    limits = Limits(min_coverage=0.5, max_quarantined_share=0.5)
    load = stage(parts(backend, RecordedSource(), ONE, limits=limits), sessions)
    publish(parts(backend, RecordedSource(), ONE, limits=limits), sessions)
    assert load.quarantined > 0
    assert [row["close_price"] for row in published_rows(backend)] == [1e-20, 1e12, 10.5]
