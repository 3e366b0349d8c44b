"""The live client against a server that speaks the vendor's protocol: every answer has its type, none is guessed."""

import json
from datetime import date, timedelta
from email.utils import format_datetime

import dagster as dg
import pytest

from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import (
    BadKey,
    DailyQuotaSpent,
    EmptyResponse,
    MalformedResponse,
    NotEntitled,
    Outcome,
    SourceError,
    SourceUnreachable,
    Throttled,
    UnknownSymbol,
    UnrecognisedResponse,
)
from stock_assets.sources.raw_format import parse_prices
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer, csv_body, walk
from stock_assets_tests.support.live_source import KEY, live_source, utc

REFUSALS: dict[Mischief, type[SourceError]] = {
    Mischief.BURST: Throttled,
    Mischief.DAILY_QUOTA: DailyQuotaSpent,
    Mischief.FULL_IS_PREMIUM: NotEntitled,
    Mischief.ENDPOINT_IS_PREMIUM: NotEntitled,
    Mischief.LEGACY_NOTE: Throttled,
    Mischief.INVALID_CALL: UnknownSymbol,
    Mischief.MISSING_KEY: BadKey,
    Mischief.EMPTY_OBJECT: EmptyResponse,
    Mischief.NEW_TEXT: UnrecognisedResponse,
    Mischief.JSON_LIST: UnrecognisedResponse,
    Mischief.HTML: UnrecognisedResponse,
    Mischief.ZERO_BYTES: EmptyResponse,
    Mischief.HEADER_ONLY: EmptyResponse,
    Mischief.INFORMATION_ROW: MalformedResponse,
    Mischief.GZIP_CUT: SourceUnreachable,
    Mischief.GZIP_BROKEN: SourceUnreachable,
    Mischief.CUT: SourceUnreachable,
    Mischief.CHUNKS_CUT: SourceUnreachable,
    Mischief.RESET: SourceUnreachable,
    Mischief.SLOW: SourceUnreachable,
    Mischief.DRIP: SourceUnreachable,
    Mischief.REDIRECT: UnrecognisedResponse,
    Mischief.HTTP_403: UnrecognisedResponse,
    Mischief.HTTP_429: Throttled,
    Mischief.HTTP_500: SourceUnreachable,
    Mischief.HTTP_502: SourceUnreachable,
    Mischief.HTTP_503: SourceUnreachable,
}
GOOD = (None, Mischief.GZIP, Mischief.CHUNKED)

# Bodies as the vendor was seen to send them, word for word, so that a wrong word in the server is not copied from it.
OBSERVED = {
    Outcome.THROTTLED: (
        '{"Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more '
        "sparingly (1 request per second). You may subscribe to any of the premium plans at "
        "https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests per day), raise the "
        'per-second burst limit, and instantly unlock all premium endpoints"}'
    ),
    Outcome.DAILY_QUOTA: (
        '{"Information": "We have detected your API key as FAKEKEY1234567890 and our standard API rate limit is 25 '
        "requests per day. Please subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
        'instantly remove all daily rate limits."}'
    ),
    Outcome.NOT_ENTITLED: (
        '{"Information": "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature '
        "for the TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at "
        'https://www.alphavantage.co/premium/ to instantly unlock all premium features"}'
    ),
    Outcome.UNKNOWN_SYMBOL: (
        '{"Error Message": "Invalid API call. Please retry or visit the documentation '
        '(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."}'
    ),
    Outcome.BAD_KEY: (
        '{"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key on '
        '(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."}'
    ),
    Outcome.EMPTY: "{}",
}


def ask(server: VendorServer, **options: object) -> list[date]:
    """Ask for the newest session of NVDA; give the sessions of the answer."""
    source = live_source(server, now=None, **options)
    return source.read_prices(source.fetch_prices("NVDA", [server.last_session]), "NVDA")


@pytest.mark.parametrize(("mischief", "failure"), REFUSALS.items(), ids=str)
def test_every_refusal_has_its_type(server: VendorServer, mischief: Mischief, failure: type[SourceError]) -> None:
    server.slowness = 0.05 if mischief is Mischief.DRIP else 1.0
    server.answer("NVDA", mischief)

    with pytest.raises(SourceError) as caught:
        ask(server)

    assert type(caught.value) is failure
    assert caught.value.transient == (failure in {Throttled, SourceUnreachable})
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mischief", GOOD, ids=str)
def test_a_good_answer_is_kept_to_the_byte(server: VendorServer, mischief: Mischief | None) -> None:
    server.answer("NVDA", mischief)
    source = live_source(server)

    body = source.fetch_prices("NVDA", [server.last_session])

    assert body == csv_body("NVDA", server.last_session, "compact")
    assert server.requests[-1].key == KEY
    assert server.requests[-1].accepts == "gzip"


@pytest.mark.parametrize(("outcome", "body"), OBSERVED.items(), ids=str)
def test_observed_texts_are_told_apart(server: VendorServer, outcome: Outcome, body: str) -> None:
    server.answer("NVDA", body.encode())
    with pytest.raises(SourceError) as caught:
        ask(server)
    assert caught.value.outcome is outcome


def test_an_unknown_text_is_shown(server: VendorServer) -> None:
    server.answer("NVDA", b'{"Note": "premium requests are resting"}')
    with pytest.raises(UnrecognisedResponse, match="premium requests are resting"):
        ask(server)


def test_a_refusal_beside_data_is_a_refusal(server: VendorServer) -> None:
    server.answer("NVDA", b'{"symbol": "NVDA", "data": [], "Information": "asleep"}', function="SPLITS")
    source = live_source(server)
    with pytest.raises(UnrecognisedResponse, match="asleep"):
        source.read_splits(source.fetch_splits("NVDA"), "NVDA")


def test_splits_of_another_symbol_are_refused(server: VendorServer) -> None:
    server.answer("NVDA", json.dumps({"symbol": "AMD", "data": []}).encode(), function="SPLITS")
    source = live_source(server)
    with pytest.raises(MalformedResponse, match="AMD"):
        source.read_splits(source.fetch_splits("NVDA"), "NVDA")


def test_no_server_is_unreachable(server: VendorServer) -> None:
    source = live_source(server, base_url="http://127.0.0.1:9")
    with pytest.raises(SourceUnreachable):
        source.fetch_prices("NVDA", [server.last_session])


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", None), ("soon", None), ("-3", None)])
def test_the_wait_the_vendor_asks_for_is_passed_on(server: VendorServer, header: str, seconds: float | None) -> None:
    server.retry_after = header
    server.answer("NVDA", Mischief.HTTP_429)
    with pytest.raises(Throttled) as caught:
        ask(server)
    assert caught.value.retry_after == seconds


def test_the_wait_may_be_a_date(server: VendorServer) -> None:
    server.retry_after = format_datetime(utc_now() + timedelta(seconds=30), usegmt=True)
    server.answer("NVDA", Mischief.HTTP_503)
    with pytest.raises(SourceUnreachable) as caught:
        ask(server)
    assert caught.value.retry_after == pytest.approx(30, abs=3)


def test_the_body_of_an_error_comes_with_it_and_without_the_key(server: VendorServer) -> None:
    server.answer("NVDA", Mischief.HTTP_500)
    with pytest.raises(SourceUnreachable) as caught:
        ask(server)
    assert caught.value.body == b"<h1>500</h1> key [redacted]"


def test_compact_is_asked_for_whenever_a_hundred_sessions_suffice(server: VendorServer) -> None:
    now = utc("2024-03-01 22:00")
    source = live_source(server, now=lambda: now)
    hundred = sessions_between(date(2023, 1, 1), date(2024, 3, 1))[-100:]
    before = sessions_between(date(2023, 1, 1), hundred[0])[-2]

    source.fetch_prices("NVDA", hundred)
    source.fetch_prices("NVDA", [before])

    assert [request.outputsize for request in server.requests] == ["compact", "full"]


def test_a_plan_without_full_history_never_asks_for_it_and_says_how_far_it_reaches(server: VendorServer) -> None:
    now = utc("2024-03-01 22:00")
    source = live_source(server, now=lambda: now, full_history=False)

    source.fetch_prices("NVDA", [date(2010, 1, 4), date(2024, 3, 1)])

    assert [request.outputsize for request in server.requests] == ["compact"]
    reach = source.available_history(now)
    assert reach is not None
    assert (
        sessions_between(reach.first, date(2024, 3, 1))
        == parse_prices(csv_body("NVDA", date(2024, 3, 1), "compact"), "NVDA")[::-1]
    )
    assert live_source(server).available_history(now) is None


def test_without_a_key_nothing_is_asked_and_the_variable_is_named(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    with pytest.raises(BadKey, match="set ALPHAVANTAGE_API_KEY"):
        ask(server, api_key="")
    assert server.requests == []


def test_the_key_comes_from_the_environment_when_a_run_asks(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = live_source(server, api_key="")
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", f" {KEY}\n")
    source.fetch_splits("NVDA")
    assert server.requests[-1].key == KEY
    assert isinstance(source, dg.ConfigurableResource)


def test_the_server_serves_every_symbol_its_own_whole_history() -> None:
    assert walk("NVDA") != walk("AMD")
    sessions = parse_prices(csv_body("NVDA", date(2024, 3, 1)), "NVDA")
    assert sessions[::-1] == sessions_between(date(1999, 11, 1), date(2024, 3, 1))
