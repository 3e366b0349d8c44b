"""The state of the vendor's quota: calls used and remaining, and the last request of each symbol.

Belongs here: reading the rate limiter and the ledger. Does not belong here: printing (`cli`), acquiring calls
(`requester`).
"""

from dataclasses import dataclass
from datetime import datetime

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.call_limits import MINUTE, SECOND, CallLimits, VendorCalls
from stock_assets.core.clock import Clock, utc_now
from stock_assets.ingest.parts import PipelineParts

_REQUESTED = (FetchKind.PRICES, FetchKind.SPLITS)


@dataclass(frozen=True)
class Allowance:
    """One limit of the plan.

    Attributes:
        per: `second`, `minute` or `day`.
        used: calls used in the current window.
        allowed: calls that the plan allows in the window, or None for any number.
    """

    per: str
    used: int
    allowed: int | None

    @property
    def remaining(self) -> int | None:
        """Calls that may still be made; None for any number."""
        return None if self.allowed is None else max(0, self.allowed - self.used)


@dataclass(frozen=True)
class Quota:
    """The state of the quota, and the newest request of each symbol.

    Attributes:
        allowances: one per limit.
        next_reset: when the next quota day starts, aware, UTC.
        blocked_until: when requests may start again after the vendor reported that no calls remain, or None.
        newest: the newest request, made or not made, by symbol and kind; None if the ledger has no entry.
    """

    allowances: tuple[Allowance, ...]
    next_reset: datetime
    blocked_until: datetime | None
    newest: dict[str, dict[FetchKind, Fetch | None]]


def read_quota(parts: PipelineParts, *, now: Clock = utc_now) -> Quota:
    """Read the state of the quota."""
    backend, at = parts.backend, now()
    vendor, limits = parts.source.vendor, parts.source.terms.limits
    with backend.ledger.read() as ledger:
        latest = {kind: ledger.latest(kind, parts.universe.symbols) for kind in _REQUESTED}
    recorded = backend.rate_limiter.recorded(vendor, VendorCalls.counted_since(limits, at - MINUTE))
    return Quota(
        allowances=_allowances(recorded, limits, at),
        next_reset=limits.next_reset(at),
        blocked_until=recorded.active_block(at),
        newest={
            symbol: {kind: next(iter(latest[kind].get(symbol, [])), None) for kind in _REQUESTED}
            for symbol in parts.universe.symbols
        },
    )


def _allowances(recorded: VendorCalls, limits: CallLimits, at: datetime) -> tuple[Allowance, ...]:
    windows = (
        ("second", at - SECOND, at + SECOND, limits.per_second),
        ("minute", at - MINUTE, at + MINUTE, limits.per_minute),
        ("day", limits.day_start(at), limits.next_reset(at), limits.per_day),
    )
    return tuple(Allowance(per, recorded.used_calls(since, before), allowed) for per, since, before, allowed in windows)
