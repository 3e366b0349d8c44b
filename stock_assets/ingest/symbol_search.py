"""Search the vendor's symbols, as a counted call.

Belongs here: acquiring the call, and sending the request. Does not belong here: the vendor's format (`sources`), what
the result means for the universe (`cli.symbols`). The response is not stored: no table is computed from it.
"""

import time
from datetime import timedelta

from stock_assets.core.call_limits import CallDenied
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import DailyQuotaExhausted
from stock_assets.core.text import plural
from stock_assets.core.vendor_facts import SymbolMatch
from stock_assets.ingest.counted_calls import CountedCalls
from stock_assets.ingest.parts import PipelineParts


def search_symbols(parts: PipelineParts, text: str, *, reserve: int) -> list[SymbolMatch]:
    """Search the vendor's symbols by ticker or name, best match first; one call.

    Args:
        parts: the pipeline.
        text: what is searched.
        reserve: calls of the quota day that stay reserved for prices.

    Raises:
        SettingsError: the source has no search.
        SourceError: no call is available, or the request failed.
    """
    backend, source = parts.backend, parts.source
    calls = CountedCalls(
        backend.rate_limiter, source, reserve=reserve, may_send=lambda: True, now=utc_now, sleep=time.sleep
    )
    while isinstance(acquired := calls.acquire(), CallDenied):
        if acquired.quota_used_up:
            kept = f" ({plural(reserve, 'call')} of the day are reserved for prices)" if reserve else ""
            raise DailyQuotaExhausted(
                f"no call is available for a search before {acquired.retry_at:%Y-%m-%d %H:%M} UTC{kept}", symbol=text
            )
        time.sleep(max(0.0, (acquired.retry_at - utc_now()) / timedelta(seconds=1)))
    with calls.sending(acquired[0]):
        return source.search_symbols(text)
