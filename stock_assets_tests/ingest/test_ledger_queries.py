"""Which response contains which bar: the same as asking every response for every session, newest first."""

from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome
from stock_assets.ingest.ledger_queries import (
    fetches_for_responses,
    known_splits,
    missing_sessions,
    newest_responses,
    responses_for,
    staged_responses,
    take_held,
)
from stock_assets.ingest.parts import PipelineParts
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.ledger_statements import recorded_statements
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.steps import LIMITS, local_backend

DAYS = sessions_between(date(2024, 1, 2), date(2024, 1, 19))
HOURS = st.sampled_from([-8, -1, 0, 1, 30, 24 * 20])
"""Hours from the market close of a response's last session to its arrival, on the same day or later."""


@st.composite
def responses(draw: st.DrawFn) -> list[Fetch]:
    """Draw responses for one symbol, in any order, some with missing sessions, some at the same time.

    Where the last session is missing, it had not closed when the response arrived: the clock was set back.
    """
    drawn = []
    for number in range(draw(st.integers(0, 8))):
        first = draw(st.integers(0, len(DAYS) - 1))
        last = draw(st.integers(first, len(DAYS) - 1))
        absent = draw(st.sets(st.integers(first, last), max_size=2)) - {first}
        drawn.append(
            Fetch(
                "IBM",
                FetchKind.PRICES,
                closing_time(DAYS[last]) + timedelta(hours=draw(HOURS)),
                draw(st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, Outcome.MALFORMED])),
                f"response {number}",
                DAYS[first],
                DAYS[last],
                tuple(DAYS[index] for index in sorted(absent)),
                calls=draw(st.integers(0, 1)),
            )
        )
    return drawn


def expected(fetches: list[Fetch], wanted: list[date], *, after_close: bool) -> dict[date, Fetch]:
    """Ask each response for each session; of two responses of the same time, the last recorded one counts."""
    numbered = sorted(enumerate(fetches), key=lambda entry: (entry[1].fetched_at, entry[0]), reverse=True)
    newest_first = [fetch for _, fetch in numbered]
    found: dict[date, Fetch] = {}
    for session in wanted:
        for fetch in (fetch for fetch in newest_first if fetch.outcome is Outcome.OK):
            arrived = fetch.fetched_at >= closing_time(session) or not after_close
            if fetch.holds(session) and arrived:
                found[session] = fetch
                break
            held = [day for day in DAYS if fetch.holds(day)]
            if after_close and held and held[-1] < session <= (fetch.last_session or date.min):
                # This response proves that the session had not closed.
                break
    return found


FOLDERS = count()


@settings(deadline=None, max_examples=60)
@given(fetches=responses(), wanted=st.lists(st.sampled_from(DAYS), max_size=len(DAYS)))
def test_the_newest_response_of_each_session(
    tmp_path_factory: pytest.TempPathFactory, fetches: list[Fetch], wanted: list[date]
) -> None:
    backend = local_backend(tmp_path_factory.mktemp(f"ledger{next(FOLDERS)}"))
    for fetch in fetches:
        backend.ledger.record(fetch)
    after_close = expected(fetches, wanted, after_close=True)
    earlier = [session for session in wanted if session not in after_close]
    used = {*after_close.values(), *expected(fetches, earlier, after_close=False).values()}

    with backend.ledger.read() as ledger:
        assert newest_responses(ledger, {"IBM": wanted}).get("IBM", {}) == after_close
        assert missing_sessions(ledger, {"IBM": wanted})["IBM"] == tuple(sorted(set(earlier)))
    assert set(responses_for(backend, wanted)) == used
    assert len(responses_for(backend, wanted)) == len(used)


def test_a_session_that_was_open_when_the_newest_response_arrived_is_missing(backend: Backend) -> None:
    """Also if an older response has it, from a time at which the clock was ahead."""
    arrived = closing_time(DAYS[4]) + timedelta(hours=1)
    older = Fetch("IBM", FetchKind.PRICES, arrived, Outcome.OK, "older", DAYS[0], DAYS[4], calls=1)
    newest = older._replace(
        fetched_at=arrived + timedelta(hours=1), response_key="newest", missing_sessions=(DAYS[1], DAYS[4])
    )
    backend.ledger.record(older, newest)
    with backend.ledger.read() as ledger:
        assert missing_sessions(ledger, {"IBM": DAYS[:5]})["IBM"] == (DAYS[4],)


def test_taken_sessions_are_removed_and_the_others_stay() -> None:
    fetch = Fetch("IBM", FetchKind.PRICES, closing_time(DAYS[4]), Outcome.OK, "", DAYS[1], DAYS[5], (DAYS[3],))
    wanted = list(DAYS[:8])
    assert take_held(fetch, wanted) == [DAYS[1], DAYS[2], DAYS[4]]
    assert wanted == [DAYS[0], DAYS[3], *DAYS[5:8]]
    assert take_held(fetch, wanted, after_close=False) == [DAYS[5]]
    assert wanted == [DAYS[0], DAYS[3], *DAYS[6:8]]


def test_a_response_with_two_entries_is_returned_once(backend: Backend) -> None:
    fetch = Fetch("IBM", FetchKind.PRICES, closing_time(DAYS[0]), Outcome.OK, "one", DAYS[0], DAYS[0])
    for entry in (fetch, fetch, Fetch("IBM", FetchKind.PRICES, fetch.fetched_at, Outcome.EMPTY, "two")):
        backend.ledger.record(entry)
    assert fetches_for_responses(backend, ["one", "two", "three"]) == [fetch]


def test_splits_are_read_once_for_each_body(
    backend: Backend, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a later request stored the same body; a new body is read."""
    pipeline = PipelineParts(backend, live_source(server), symbols(1), LIMITS)
    source = type(pipeline.source)
    read: list[bytes] = []
    original = source.read_splits

    def counted(self: object, body: bytes, symbol: str) -> object:
        read.append(body)
        return original(self, body, symbol)  # type: ignore[arg-type]  # the source itself

    monkeypatch.setattr(source, "read_splits", counted)
    for number, ratio in enumerate(("2.125", "2.125", "3.125")):
        body = f'{{"symbol": "S01", "data": [{{"effective_date": "2024-01-05", "split_factor": "{ratio}"}}]}}'.encode()
        key = f"raw/splits/{number}/S01.json"
        backend.objects.put(key, body)
        at = closing_time(DAYS[number])
        backend.ledger.record(
            Fetch("S01", FetchKind.SPLITS, at, Outcome.OK, key, content_hash=content_hash(body), calls=1)
        )
        for _ in range(2):
            [[split]] = known_splits(pipeline).values()
            assert str(split.ratio) == ratio
    assert len(read) == 2


def test_a_response_with_bars_from_before_and_after_their_market_close_is_returned_once(backend: Backend) -> None:
    arrived = closing_time(DAYS[3]) - timedelta(hours=1)
    fetch = Fetch("IBM", FetchKind.PRICES, arrived, Outcome.OK, "early", DAYS[0], DAYS[3], calls=1)
    backend.ledger.record(fetch)
    assert responses_for(backend, DAYS[2:4]) == [fetch]
    with backend.ledger.read() as ledger:
        staged = staged_responses(ledger, DAYS[2:4])
    assert staged["IBM"] == [(fetch, [DAYS[2]]), (fetch, [DAYS[3]])]


def test_the_next_responses_of_all_symbols_are_read_with_one_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load searches older responses only for sessions that the newest ones do not contain and older ones may."""
    backend = local_backend(tmp_path)
    arrived = closing_time(DAYS[-2]) + timedelta(hours=1)
    full = Fetch("", FetchKind.PRICES, arrived, Outcome.OK, "", DAYS[0], DAYS[-2], calls=1)
    compact = full._replace(fetched_at=arrived + timedelta(hours=1), first_session=DAYS[-3])
    names = [f"S{number:02}" for number in range(9)]
    backend.ledger.record(*(full._replace(symbol=name, response_key=f"full {name}") for name in names))
    backend.ledger.record(*(compact._replace(symbol=name, response_key=f"compact {name}") for name in names))
    sent = recorded_statements(monkeypatch)

    assert [fetch.response_key for fetch in responses_for(backend, DAYS[-3:-1])] == [f"compact {one}" for one in names]
    assert len(sent) == 2, "the purges and the newest requests"
    sent.clear()
    assert len(responses_for(backend, DAYS[-4:])) == 2 * len(names)
    assert len(sent) == 3, "and the older responses; the last session was later than all requests"
