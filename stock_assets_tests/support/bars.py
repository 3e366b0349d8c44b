"""Generated bars: plausible, different on every day, the same in every run; and exact comparison of rows."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import is_session, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome
from stock_assets.sources.raw_format import split_rows

Row = Mapping[str, object]
EVERY_DAY = {"first": date.min, "last": date.max}
"""Arguments of `register_responses` for all rows."""


def walk(symbol: str, sessions: Iterable[date]) -> dict[date, str]:
    """Return a random walk of a symbol, as `open,high,low,close,volume`; symbol and sessions alone determine it."""
    bars, close = {}, 100.0
    for session in sessions:
        dice = random.Random(f"{symbol} {session}")  # noqa: S311 (repeatable prices, no secret)
        open_ = round(close * dice.uniform(0.97, 1.03), 4)
        close = round(open_ * dice.uniform(0.95, 1.05), 4)
        high = round(max(open_, close) * dice.uniform(1.0, 1.02), 4)
        low = round(min(open_, close) * dice.uniform(0.98, 1.0), 4)
        bars[session] = f"{open_},{high},{low},{close},{dice.randrange(1_000, 9_000_000)}"
    return bars


def deliver(backend: Backend, symbol: str, body: bytes, fetched_at: datetime | None = None) -> str:
    """Store a response as if it had been requested, also if no bar is missing; return its key.

    The body is stored unchecked, even if the response reader would not accept it: staging must not rely on the reader.
    """
    received_at = fetched_at or datetime.now(UTC)
    days = {row.day for row in split_rows(body.decode()) if row.day is not None and row.day <= received_at.date()}
    sessions = {day for day in days if is_session(day)}
    first, last = min(sessions), max(sessions)
    key = f"raw/daily_prices/ingest_date={received_at:%Y-%m-%d}/{received_at:%Y%m%dT%H%M%S%fZ}/{symbol}.csv"
    backend.objects.put(key, body)
    backend.ledger.record(
        Fetch(
            symbol,
            FetchKind.PRICES,
            received_at,
            Outcome.OK,
            response_key=key,
            first_session=first,
            last_session=last,
            missing_sessions=tuple(day for day in sessions_between(first, last) if day not in sessions),
            content_hash=content_hash(body),
        )
    )
    return key


def stored_response(backend: Backend, key: str, symbol: str = "IBM") -> Fetch:
    """Return an entry of a stored object as a response, without the sessions in it."""
    digest = content_hash(backend.objects.get(key))
    return Fetch(symbol, FetchKind.PRICES, datetime.now(UTC), Outcome.OK, response_key=key, content_hash=digest)


def exact(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return the rows with floats as text of all their bits, so that rows are equal only to the last bit."""
    return [{name: value.hex() if isinstance(value, float) else value for name, value in row.items()} for row in rows]


def rows_of(lines: Sequence[str], read: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows of the lines of one response, as staging must read them.

    If the rows that a backend has read have no texts, the texts are left out, which the lines must allow.
    """
    rows = list(map(row_of, lines))
    if any(row["bar_text"] is not None for row in read):
        return rows
    days = {row["trade_date"] for row in rows}
    assert all(row["unparsed_text"] is None and "" not in row["bar_text"].split(",") for row in rows)
    assert None not in days
    assert len(days) == len(rows)
    return [{**row, "date_text": None, "bar_text": None} for row in rows]


def row_of(line: str) -> dict[str, Any]:
    """Return the row of a line of a response."""
    fields = [*line.split(","), "", "", "", "", ""]
    texts = [field.strip(" ") for field in (*fields[1:5], ",".join(line.split(",")[5:]))]
    numbers: list[float | int | None] = [
        float(text) if re.fullmatch(r"-?[0-9]{1,12}([.][0-9]{1,20})?", text) else None for text in texts[:4]
    ]
    is_whole = re.fullmatch(r"-?[0-9]+", texts[4]) and -(2**63) <= int(texts[4]) < 2**63
    numbers.append(int(texts[4]) if is_whole else None)
    names = ("open", "high", "low", "close", "volume")
    unparsed = [
        f"{name}={text}" for name, text, number in zip(names, texts, numbers, strict=True) if text and number is None
    ]
    return {
        "trade_date": _day(fields[0].strip(" ")),
        **dict(zip((*(f"{name}_price" for name in names[:4]), "volume"), numbers, strict=True)),
        "unparsed_text": ", ".join(unparsed) or None,
        "date_text": fields[0],
        "bar_text": ",".join(texts),
    }


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None
