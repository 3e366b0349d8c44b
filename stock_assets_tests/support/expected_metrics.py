"""Compute the columns of published.daily_prices in plain Python from their definitions.

The code follows the definitions alone, bar after bar, in exact fractions except for logarithms. It shares nothing with
the statements under `sql/`, so that an error there cannot be repeated here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

GUARD_DAYS = 21


@dataclass(frozen=True)
class Bar:
    """One bar as traded, exactly as the vendor wrote it."""

    session: date
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction
    volume: int


def bar(session: date, line: str) -> Bar:
    """Parse `open,high,low,close,volume`."""
    *prices, volume = line.split(",")
    open_, high, low, close = map(Fraction, prices)
    return Bar(session, open_, high, low, close, int(volume))


def expected_rows(symbol: str, bars: Sequence[Bar], splits: Mapping[date, str]) -> list[dict[str, object]]:
    """Return the published rows of one symbol, in the order of its sessions."""
    ordered = sorted(bars, key=lambda one: one.session)
    factors = [_factor(splits, one.session) for one in ordered]
    history = list(zip(ordered, factors, strict=True))
    return [{"symbol": symbol} | _row(history[max(0, end - 8) : end]) for end in range(1, len(history) + 1)]


def _row(history: Sequence[tuple[Bar, Fraction]]) -> dict[str, object]:
    """Compute the row of the last bar; `history` has it and up to 7 bars before it, each with its split factor."""
    today, factor = history[-1]
    # One share of an earlier day is now factor / then shares.
    prev_close = [one.close * then / factor for one, then in _previous(history, 1)]
    closes = [one.close * then / factor for one, then in _previous(history, 4)]
    volumes = [one.volume * factor / then for one, then in _previous(history, 7)]
    return {
        "trade_date": today.session,
        "open_price": float(today.open),
        "high_price": float(today.high),
        "low_price": float(today.low),
        "close_price": float(today.close),
        "volume": today.volume,
        "daily_return": float(today.close - today.open),
        "avg_price": float((today.open + today.high + today.low + today.close) / 4),
        "volatility": _garman_klass(today),
        "prev_close": float(prev_close[0]) if prev_close else None,
        "price_change_pct": float((today.close - prev_close[0]) / prev_close[0] * 100) if prev_close else None,
        "rolling_avg_5d": float((today.close + sum(closes)) / 5) if closes else None,
        "volume_surge_ratio": float(today.volume * 7 / sum(volumes)) if any(volumes) else None,
        "candle_type": candle(today),
        "is_market_up": today.close > today.open,
        "split_factor": float(factor),
    }


def _previous(history: Sequence[tuple[Bar, Fraction]], count: int) -> Sequence[tuple[Bar, Fraction]]:
    """Return the `count` bars before the last one, or none if there are fewer or the first is too old."""
    chosen = history[-count - 1 : -1]
    if len(chosen) < count or (history[-1][0].session - chosen[0][0].session).days > GUARD_DAYS:
        return ()
    return chosen


def _factor(splits: Mapping[date, str], session: date) -> Fraction:
    return math.prod((Fraction(ratio) for ex_date, ratio in splits.items() if ex_date <= session), start=Fraction(1))


def _garman_klass(today: Bar) -> float:
    spread, move = math.log(today.high / today.low), math.log(today.close / today.open)
    return spread**2 / 2 - (2 * math.log(2) - 1) * move**2


def candle(today: Bar) -> str:
    """Return the candle type of a bar: the first rule that applies."""
    body = abs(today.close - today.open)
    length = today.high - today.low
    above = today.high - max(today.open, today.close)
    below = min(today.open, today.close) - today.low
    rules = {
        "flat": length == 0,
        "doji": body * 10 <= length,
        "hammer": below >= 2 * body and above * 2 <= body,
        "shooting_star": above >= 2 * body and below * 2 <= body,
        "marubozu": body * 10 >= 9 * length,
        "bullish": today.close > today.open,
        "bearish": True,
    }
    return next(name for name, holds in rules.items() if holds)
