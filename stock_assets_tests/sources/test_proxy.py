"""A proxy on the way to the vendor's HTTPS address denies the connection before any request is sent."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest

from stock_assets.core.errors import BadKey, Outcome, SourceUnreachable
from stock_assets.ingest.price_requests import SymbolResult, fetch_prices
from stock_assets.sources import transport
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.proxy_server import LOGIN, ProxyServer, proxy
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.key_leaks import everything_logged, leaks, write_error
from stock_assets_tests.support.live_source import KEY, PATIENT, live_source, symbols, utc
from stock_assets_tests.support.steps import local_backend, parts

__all__ = ["everything_logged"]  # a fixture

VENDOR = "https://vendor.invalid"
TODAY = date(2024, 3, 1)
EVENING = utc("2024-03-01 22:00")
SECRETS = (LOGIN.partition(":")[2], base64.b64encode(LOGIN.encode()).decode())

StartProxy = Callable[[int], ProxyServer]


@pytest.fixture
def start_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartProxy]:
    """Start a proxy that answers with a status, and set it as users do."""
    for name in ("https_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as started:

        def start(status: int) -> ProxyServer:
            server = started.enter_context(proxy(status))
            monkeypatch.setenv("HTTPS_PROXY", server.url)
            return server

        yield start


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "Check your API key, then your proxy"),
        (403, "Check your proxy, and whether the vendor blocks your network, then your API key"),
        (407, "HTTPS_PROXY=http://user:password@host:port"),
    ],
)
def test_the_denial_of_a_proxy_names_what_to_check_and_no_secret(
    server: VendorServer,
    start_proxy: StartProxy,
    everything_logged: Path,
    tmp_path: Path,
    status: int,
    remedy: str,
) -> None:
    denying = start_proxy(status)
    with pytest.raises(BadKey, match=rf"^NVDA: HTTP {status}: .* denies access .*{remedy}$") as caught:
        live_source(server, base_url=VENDOR).fetch_prices("NVDA", [TODAY])

    assert denying.connects == [(f"Basic {SECRETS[1]}", "vendor.invalid:443")]
    write_error(caught.value, tmp_path / "error.txt")
    assert leaks(tmp_path) == []
    written = (tmp_path / "error.txt").read_text(encoding="utf-8") + everything_logged.read_text(encoding="utf-8")
    assert [secret for secret in SECRETS if secret in written] == []


@pytest.mark.parametrize("status", [404, 502])
def test_a_proxy_that_cannot_connect_is_no_denial(server: VendorServer, start_proxy: StartProxy, status: int) -> None:
    start_proxy(status)
    with pytest.raises(SourceUnreachable, match=r"^NVDA: no complete response \(ProxyError"):
        live_source(server, base_url=VENDOR).fetch_prices("NVDA", [TODAY])


def test_the_error_of_the_library_with_the_words_of_the_proxy_is_no_context(start_proxy: StartProxy) -> None:
    start_proxy(407)
    with pytest.raises(BadKey) as caught:
        transport.get(transport.Session(lambda: KEY), VENDOR, {}, symbol="NVDA", timeouts=PATIENT)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_denied_connection_is_tried_once_and_ends_the_requests_of_the_run(
    server: VendorServer, tmp_path: Path, start_proxy: StartProxy
) -> None:
    denying = start_proxy(407)
    first, *others = fetch(server, tmp_path, 5)
    assert len(denying.connects) == 1
    assert {result.outcome for result in (first, *others)} == {Outcome.BAD_KEY}
    assert "HTTP 407: the proxy denies access without a login" in first.detail
    assert all("not requested" in result.detail for result in others)


def test_a_connection_that_fails_for_another_reason_is_tried_again(
    server: VendorServer, tmp_path: Path, start_proxy: StartProxy
) -> None:
    failing = start_proxy(502)
    [result] = fetch(server, tmp_path, 1)
    assert len(failing.connects) == live_source(server).terms.attempts > 1
    assert result.outcome is Outcome.UNREACHABLE


def fetch(server: VendorServer, folder: Path, count: int) -> list[SymbolResult]:
    """Fetch the prices of some symbols from the vendor's HTTPS address."""
    clock = FakeClock(EVENING)
    source = live_source(server, base_url=VENDOR, now=clock.now, calls_per_second=None, calls_per_day=25)
    given = parts(local_backend(folder), source, symbols(count))
    return fetch_prices(given, [TODAY], now=clock.now, sleep=clock.sleep)
