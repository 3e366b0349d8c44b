"""The live client with a server that implements the vendor's protocol: every response has its type, none is guessed."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import (
    BadKey,
    DailyQuotaExhausted,
    EmptyResponse,
    MalformedResponse,
    NotEntitled,
    Redirected,
    SourceError,
    SourceUnreachable,
    Throttled,
    UnknownSymbol,
    UnrecognisedResponse,
)
from stock_assets.settings import read_api_key
from stock_assets.sources import transport
from stock_assets.sources.raw_format import parse_prices
from stock_assets.sources.redaction import REDACTED
from stock_assets_tests.fakes.vendor_server import Mischief, Reply, VendorServer, csv_body, walk
from stock_assets_tests.sources.vendor_messages import MESSAGES, Published
from stock_assets_tests.support.live_source import KEY, PATIENT, ManualDeadlines, live_source, utc

FAILURES: dict[Mischief, type[SourceError]] = {
    Mischief.BURST: Throttled,
    Mischief.DAILY_QUOTA: DailyQuotaExhausted,
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
    Mischief.GZIP_403: BadKey,
    Mischief.CUT: SourceUnreachable,
    Mischief.CHUNKS_CUT: SourceUnreachable,
    Mischief.RESET: SourceUnreachable,
    Mischief.SLOW: SourceUnreachable,
    Mischief.DRIP: SourceUnreachable,
    Mischief.DRIP_HEADER: SourceUnreachable,
    Mischief.REDIRECT: Redirected,
    Mischief.HTTP_403: BadKey,
    Mischief.HTTP_429: Throttled,
    Mischief.HTTP_500: SourceUnreachable,
    Mischief.HTTP_502: SourceUnreachable,
    Mischief.HTTP_503: SourceUnreachable,
}
GOOD = (None, Mischief.CHUNKED, Mischief.GZIP)


def request_prices(server: VendorServer, **options: object) -> list[date]:
    """Request the newest session of NVDA; return the sessions of the response."""
    source = live_source(server, now=None, **options)
    return source.read_prices(source.fetch_prices("NVDA", [server.last_session]), "NVDA").sessions


@pytest.mark.parametrize(("mischief", "failure"), FAILURES.items(), ids=str)
def test_every_failure_has_its_type(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, mischief: Mischief, failure: type[SourceError]
) -> None:
    deadlines = ManualDeadlines(monkeypatch)
    server.dripping = deadlines.expire
    server.respond("NVDA", mischief)

    with pytest.raises(SourceError) as caught:
        request_prices(server, timeouts=replace(PATIENT, read=0.2) if mischief is Mischief.SLOW else PATIENT)

    assert type(caught.value) is failure
    assert caught.value.transient == (failure in {Throttled, SourceUnreachable})
    assert KEY not in str(caught.value)
    assert len(server.received(1)) == 1


@pytest.mark.parametrize("mischief", GOOD, ids=str)
def test_a_good_response_is_returned_byte_for_byte(server: VendorServer, mischief: Mischief | None) -> None:
    server.respond("NVDA", mischief)
    source = live_source(server)

    body = source.fetch_prices("NVDA", [server.last_session])

    assert body == csv_body("NVDA", server.last_session, "compact")
    assert server.requests[-1].key == KEY
    assert server.requests[-1].accepts == "identity"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.text[:60])
def test_each_published_message_has_its_outcome(server: VendorServer, message: Published) -> None:
    text = message.text.replace("{key}", KEY)
    server.respond("NVDA", json.dumps({message.field: text}).encode())
    with pytest.raises(SourceError) as caught:
        request_prices(server)
    assert caught.value.outcome is message.outcome
    assert KEY not in str(caught.value)


def refusal(name: str = "Information", text: str = "Our standard API rate limit is 25 requests per day.") -> bytes:
    """Return a message about the daily limit."""
    return json.dumps({name: text}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + refusal(),
        refusal("  iNFORMATION "),
        json.dumps({"error": {"code": 429, "message": "Our API rate limit is 25 requests per day."}}).encode(),
        json.dumps({"errors": [{"detail": "25 requests per day"}]}).encode(),
        json.dumps("Our standard API rate limit is 25 requests per day.").encode(),
        b"Thank you for using Alpha Vantage! Our standard API rate limit is 25 requests per day.",
        json.dumps({"Information": "Thank you!", "Note": "The limit is 25 requests per day."}).encode(),
    ],
    ids=range(7),
)
def test_a_message_is_recognised_in_every_form(server: VendorServer, body: bytes) -> None:
    server.respond("NVDA", body)
    with pytest.raises(DailyQuotaExhausted):
        request_prices(server)


def test_data_in_another_format_are_no_message(server: VendorServer) -> None:
    series = {"Meta Data": {"1. Information": "Daily Prices"}, "Time Series (Daily)": {"2024-03-01": {"1. open": "1"}}}
    server.respond("NVDA", json.dumps(series).encode())
    with pytest.raises(UnrecognisedResponse, match="Time Series"):
        request_prices(server)


@pytest.mark.parametrize(("status", "failure"), [(429, DailyQuotaExhausted), (403, DailyQuotaExhausted)])
def test_the_message_of_an_error_response_says_more_than_its_status(
    server: VendorServer, status: int, failure: type[SourceError]
) -> None:
    server.retry_after = "7"
    server.respond("NVDA", Reply(status, refusal(text=f"The limit of {KEY} is 25 requests per day.")))
    with pytest.raises(failure) as caught:
        request_prices(server)
    assert KEY not in str(caught.value)
    assert KEY.encode() not in caught.value.body
    assert b"25 requests per day" in caught.value.body


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, r"Check your API key, then your proxy \(response: '{\"message\": \"Forbidden\"}'\)$"),
        (403, r"says nothing about the key\. Check your proxy, and whether the vendor blocks your network, then your"),
        (407, r" without a login\. Set user and password in its address"),
    ],
)
def test_denied_access_names_what_to_check(server: VendorServer, status: int, remedy: str) -> None:
    server.respond("NVDA", Reply(status, b'{"message": "Forbidden"}'))
    with pytest.raises(BadKey, match=rf"HTTP {status}: .* denies access.*{remedy}"):
        request_prices(server)


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_with_the_vendors_message_about_the_key_is_about_the_key_alone(
    server: VendorServer, status: int
) -> None:
    server.respond("NVDA", Reply(status, json.dumps({"message": "the apikey is invalid or missing"}).encode()))
    with pytest.raises(BadKey, match=r"^NVDA: the vendor rejects the key; set ALPHAVANTAGE_API_KEY to a valid one"):
        request_prices(server)


def test_a_web_page_that_denies_access_is_named_by_its_title(server: VendorServer) -> None:
    page = f"<html><head><title>Access denied | {KEY}</title></head><body>{'x' * 9000}</body></html>"
    server.respond("NVDA", Reply(403, page.encode()))
    with pytest.raises(BadKey, match=rf"\(response: 'Access denied \| {re.escape(REDACTED)}'\)$"):
        request_prices(server)


@pytest.mark.parametrize("location", ["", "http://[::1", "https://api.example.com/"])
def test_every_redirect_is_typed(server: VendorServer, location: str) -> None:
    server.respond("NVDA", Reply(307, b"", {"Location": location} if location else {}))
    with pytest.raises(Redirected, match=r"HTTP 307: the vendor redirects to .*, and redirects are not followed"):
        request_prices(server)


def test_a_header_that_trickles_ends_at_the_deadline(server: VendorServer) -> None:
    """The library's timeouts end only a pause, and its reading of a header has no end of its own."""
    server.respond("NVDA", Mischief.DRIP_HEADER)
    with pytest.raises(SourceUnreachable, match=r"it took longer than 0\.5 s"):
        request_prices(server, timeouts=replace(PATIENT, whole=0.5))
    # The connection is not used again.
    server.respond("NVDA", None)
    assert request_prices(server)


def test_a_request_that_takes_too_long_ends_no_other_request(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, deadlines = live_source(server), ManualDeadlines(monkeypatch)
    server.respond("NVDA", Mischief.DRIP)
    server.respond("AMD", Mischief.SLOW)
    with ThreadPoolExecutor(2) as threads:
        dripping = threads.submit(source.fetch_prices, "NVDA", [server.last_session])
        server.received(1)
        slow = threads.submit(source.fetch_prices, "AMD", [server.last_session])
        server.received(2)
        deadlines.expire(0)
        with pytest.raises(SourceUnreachable, match="it took longer than 60 s"):
            dripping.result()
        server.resumed.set()
        assert slow.result() == csv_body("AMD", server.last_session, "compact")


def test_a_connection_after_the_deadline_is_shut_down_too(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking up the vendor's address has no timeout."""
    deadlines, look_up = ManualDeadlines(monkeypatch), socket.getaddrinfo

    def expire_first(*arguments: Any) -> Any:  # noqa: ANN401 (the library's arguments)
        deadlines.expire()
        return look_up(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", expire_first)
    server.respond("NVDA", Mischief.SLOW)
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="it took longer than 60 s"):
        request_prices(server)
    assert time.monotonic() - began < PATIENT.read / 2


def test_requests_use_open_connections_again(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []
    process = server.process_request

    def count(*request: Any) -> None:  # noqa: ANN401 (the library's arguments)
        connected.append(request)
        process(*request)

    monkeypatch.setattr(server, "process_request", count)
    source = live_source(server)
    for symbol in ("NVDA", "AMD", "INTC"):
        source.fetch_prices(symbol, [server.last_session])
    with ThreadPoolExecutor(1) as threads:
        threads.submit(source.fetch_prices, "NVDA", [server.last_session]).result()
    assert len(connected) == 1


def test_the_error_of_an_unknown_text_shows_it(server: VendorServer) -> None:
    server.respond("NVDA", b'{"Note": "premium requests are resting"}')
    with pytest.raises(UnrecognisedResponse, match="premium requests are resting"):
        request_prices(server)


def test_an_error_message_beside_data_is_an_error(server: VendorServer) -> None:
    server.respond("NVDA", b'{"symbol": "NVDA", "data": [], "Information": "asleep"}', function="SPLITS")
    source = live_source(server)
    with pytest.raises(UnrecognisedResponse, match="asleep"):
        source.read_splits(source.fetch_splits("NVDA"), "NVDA")


def test_splits_of_another_symbol_are_malformed(server: VendorServer) -> None:
    server.respond("NVDA", json.dumps({"symbol": "AMD", "data": []}).encode(), function="SPLITS")
    source = live_source(server)
    with pytest.raises(MalformedResponse, match="AMD"):
        source.read_splits(source.fetch_splits("NVDA"), "NVDA")


def test_a_server_that_does_not_exist_is_unreachable(server: VendorServer) -> None:
    source = live_source(server, base_url="http://127.0.0.1:9")
    with pytest.raises(SourceUnreachable):
        source.fetch_prices("NVDA", [server.last_session])


def test_a_body_above_the_size_limit_is_no_response(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(csv_body("NVDA", server.last_session, "compact"))
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", size)
    assert request_prices(server)

    monkeypatch.setattr(transport, "MAX_BODY_BYTES", size - 1)
    with pytest.raises(SourceUnreachable, match=f"it has more than {size - 1} bytes"):
        request_prices(server)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (f"https://user:secret@api.example.com/query?apikey={KEY}", "api.example.com"),
        (f"/login?apikey={KEY}", "another page of the same host"),
    ],
)
def test_a_redirect_is_not_followed_and_only_its_host_is_reported(server: VendorServer, target: str, host: str) -> None:
    server.redirect_to = target
    server.respond("NVDA", Mischief.REDIRECT)
    with pytest.raises(Redirected) as caught:
        request_prices(server)
    assert str(caught.value) == (
        f"NVDA: HTTP 302: the vendor redirects to {host}, and redirects are not followed. If the vendor has a new "
        "address, set STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL to it; otherwise check your proxy"
    )
    assert len(server.requests) == 1


def test_the_error_of_denied_access_names_what_to_check(server: VendorServer) -> None:
    server.respond("NVDA", Mischief.HTTP_403)
    with pytest.raises(BadKey, match=r"^NVDA: HTTP 403: .* denies access and says nothing about the key"):
        request_prices(server)


def test_the_key_is_redacted_in_a_compressed_error_page_too(server: VendorServer) -> None:
    server.respond("NVDA", Mischief.GZIP_403)
    with pytest.raises(BadKey, match="HTTP 403") as caught:
        request_prices(server)
    assert caught.value.body == f"key {REDACTED}".encode()


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", None), ("soon", None), ("-3", None)])
def test_the_error_has_the_wait_that_the_vendor_requests(
    server: VendorServer, header: str, seconds: float | None
) -> None:
    server.retry_after = header
    server.respond("NVDA", Mischief.HTTP_429)
    with pytest.raises(Throttled) as caught:
        request_prices(server)
    assert caught.value.retry_after == seconds


def test_the_requested_wait_may_be_a_date(server: VendorServer) -> None:
    server.retry_after = format_datetime(utc_now() + timedelta(hours=1), usegmt=True)
    server.respond("NVDA", Mischief.HTTP_503)
    with pytest.raises(SourceUnreachable) as caught:
        request_prices(server)
    assert caught.value.retry_after == pytest.approx(3600, abs=300)


def test_an_error_keeps_the_body_without_the_key(server: VendorServer) -> None:
    server.respond("NVDA", Mischief.HTTP_500)
    with pytest.raises(SourceUnreachable) as caught:
        request_prices(server)
    assert caught.value.body == b"<h1>500</h1> key [redacted]"


def test_compact_is_requested_if_a_hundred_sessions_suffice(server: VendorServer) -> None:
    now = utc("2024-03-01 22:00")
    source = live_source(server, now=lambda: now)
    hundred = sessions_between(date(2023, 1, 1), date(2024, 3, 1))[-100:]
    before = sessions_between(date(2023, 1, 1), hundred[0])[-2]

    source.fetch_prices("NVDA", hundred)
    source.fetch_prices("NVDA", [before])

    assert [request.outputsize for request in server.requests] == ["compact", "full"]


def test_a_plan_without_full_history_requests_compact_and_has_a_limited_history(server: VendorServer) -> None:
    now = utc("2024-03-01 22:00")
    source = live_source(server, now=lambda: now, full_history=False)

    source.fetch_prices("NVDA", [date(2010, 1, 4), date(2024, 3, 1)])

    assert [request.outputsize for request in server.requests] == ["compact"]
    available = source.available_history(now)
    assert available is not None
    assert (
        sessions_between(available.first, date(2024, 3, 1))
        == parse_prices(csv_body("NVDA", date(2024, 3, 1), "compact"), "NVDA").sessions[::-1]
    )
    assert live_source(server).available_history(now) is None


def test_without_a_key_no_request_is_sent_and_the_error_names_the_variable(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    with pytest.raises(BadKey, match="set ALPHAVANTAGE_API_KEY"):
        request_prices(server, api_key="")
    assert server.requests == []


def test_the_key_is_read_when_a_request_is_sent(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = replace(live_source(server), read_key=read_api_key)
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", f" {KEY}\n")
    source.fetch_splits("NVDA")
    assert server.requests[-1].key == KEY


def test_the_fake_server_has_a_full_history_of_its_own_for_every_symbol() -> None:
    assert walk("NVDA") != walk("AMD")
    sessions = parse_prices(csv_body("NVDA", date(2024, 3, 1)), "NVDA").sessions
    assert sessions[::-1] == sessions_between(date(1999, 11, 1), date(2024, 3, 1))
