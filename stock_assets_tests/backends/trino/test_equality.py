"""For the same responses, Trino publishes and quarantines the same rows as DuckDB, bit by bit."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import sessions_between
from stock_assets.core.sql import Fragment, literal, statement
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver, exact, walk
from stock_assets_tests.support.scenes import Scene, content
from stock_assets_tests.support.steps import FIVE, local_backend, parts, published_rows
from stock_assets_tests.support.trino_backends import TrinoOnEmulator

pytestmark = pytest.mark.trino

SESSIONS = sessions_between(date(2011, 11, 1), date(2012, 3, 30))
HALVES = (SESSIONS[:50], SESSIONS[50:])
ANY_QUARANTINE = Limits(min_coverage=0.01, max_quarantined_share=1.0)
BEFORE_THE_LAST_CLOSE = {
    symbol: datetime(2012, 3, 30, 18, 0, 0, micros, tzinfo=UTC)
    for symbol, micros in (("AAPL", 0), ("IBM", 250_000), ("MSFT", 1))
}
EXTREMES = (
    "0.0001,0.0001,0.0001,0.0001,0",
    "0.0001,999999999999.9999,0.0001,0.0002,9223372036854775807",
    "999999999999.9999,999999999999.9999,999999999999.9998,999999999999.9999,1",
    "100,100.00000000000001,99.99999999999999,100,1",
    "1.10000000000000000001,1.2,1.0,1.15,3",
    "1.00015,1.00025,1.00005,1.00015,3",
    "10,11,9,10.2,10",
)
"""Extreme bars that pass the row audits."""
ODD = (
    ",,,,",
    "1,2,,1.5,10",
    "1e2,102,99,101,10",
    "+1,2,1,1.5,10",
    "1,2,1,1.5,10.0",
    "1,2,1,1.5,9223372036854775808",
    "1234567890123,1234567890124,1,2,10",
    " 1 , 2 , 1 , 1.5 , 10 ",
    "1,2,1,\t1.5,10",
    "\u0661,2,1,1.5,10",
    "NaN,Infinity,-0,1.5,10",
    "-1,2,-1,1.5,-10",
    "-1,2,,1.5,10",
    "1.00015,1.00005,1.00025,1.00035,10",
    "1,0.5,2,1.5,10",
    '"1",2,1,"1,5",10',
    "it's,2,1,1.5,10",
    "5,5,5,5,0",
    "0,0,0,0,0",
)
"""Bars that fail a row audit, and some with unusual text that is read nevertheless."""


LINES = (
    "2012-03-01",
    "2012-03-01,1,2",
    "2012-03-01,1,2,3,4,",
    "2012-03-01,1,2,3,4,5,6,,7",
    ",,,,,,,,",
    " ,1",
    "2012-03-01,\u0661,\t2,'3,\"4,\u00a05 \u2028 6",
    "a;b;c",
)
"""Lines with too few fields, too many fields, and unusual characters."""


def test_the_fields_of_a_line_are_equal_on_trino_and_duckdb(tmp_path: Path, trino: TrinoOnEmulator) -> None:
    values = ", ".join(f"({literal(line)}, 'path')" for line in LINES)
    select = statement("stage/raw_rows.sql").bind(
        {"lines": Fragment(f'(SELECT * FROM (VALUES {values}) AS v(line, "$path"))')}
    )
    found = []
    for backend in (local_backend(tmp_path / "local"), trino.backend(tmp_path / "trino")):
        with backend.warehouse.connect() as sql:
            found.append(sorted(map(str, sql.query(select).to_pylist())))

    on_duckdb, on_trino = found
    assert on_trino == on_duckdb
    assert len(on_duckdb) == len(LINES)


def rare_source(seed: str) -> ScriptedSource:
    """Return a source of five symbols with halts, splits, extreme bars, and bars whose text is no number."""
    source, dice = ScriptedSource(), random.Random(seed)  # noqa: S311 (repeatable, no secret)
    for symbol in FIVE.symbols:
        source.set_bars(symbol, walk(f"{symbol} {seed}", SESSIONS))
        for odd in (*EXTREMES, *ODD):
            source.set_bar(symbol, dice.choice(SESSIONS), odd)
        for _ in range(3):
            first = dice.choice(SESSIONS)
            for day in sessions_between(first, first + timedelta(days=dice.choice((1, 9, 30)))):
                if day <= SESSIONS[-1]:
                    source.drop_bar(symbol, day)
        source.set_splits(
            symbol, {dice.choice(SESSIONS): dice.choice(("2.0000", "3.0000", "0.1000", "1.0523")) for _ in range(3)}
        )
    return source


def differences(one: Sequence[dict[str, object]], other: Sequence[dict[str, object]]) -> list[str]:
    """List the fields that differ, with both values."""
    assert len(one) == len(other)
    return [
        f"{left.get('symbol')} {left.get('trade_date')} {name}: {left[name]!r} {right[name]!r}"
        for left, right in zip(exact(one), exact(other), strict=True)
        for name in left
        if left[name] != right[name]
    ]


def test_the_recorded_13_years_are_equal_on_trino_and_duckdb(recorded_twice: tuple[Backend, Backend]) -> None:
    local, on_trino = map(published_rows, recorded_twice)

    assert len(local) == 12_154
    assert differences(local, on_trino) == []


@pytest.mark.parametrize("seed", ["one", "two"])
def test_splits_halts_nulls_and_extreme_values_are_equal_on_trino_and_duckdb(
    tmp_path: Path, trino: TrinoOnEmulator, seed: str
) -> None:
    source = rare_source(seed)
    scenes = [
        Scene(backend, source, limits=ANY_QUARANTINE)
        for backend in (local_backend(tmp_path / "backend"), trino.backend(tmp_path / "backend"))
    ]
    for scene in scenes:
        fetch_splits(parts(scene.backend, source, FIVE))
        for symbol in FIVE.symbols:
            deliver(scene.backend, symbol, source.fetch_prices(symbol, []), BEFORE_THE_LAST_CLOSE.get(symbol))
        for half in HALVES:
            scene.stage(half)
            scene.publish(half)

    (local, local_bad), (on_trino, on_trino_bad) = (content(scene.backend) for scene in scenes)

    assert len(local) > 300
    assert len(local_bad) > 20
    assert {"session_closed_at_fetch", "text_is_numeric", "prices_positive"} <= {row["audit"] for row in local_bad}
    assert any(row["prev_close"] is None for row in local)
    assert len({row["split_factor"] for row in local}) > 5
    assert differences(local, on_trino) == []
    assert differences(local_bad, on_trino_bad) == []
