"""Loads of more partitions than one statement may write: one part after the other, each whole, and all by a repeat."""

import os
import re
import signal
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_assets.backends.lakehouse.backend import AthenaBackend, merging
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.loads.load import SPLITS_PROPERTY
from stock_assets_tests.contracts.test_backends import PROPERTIES, publish, published
from stock_assets_tests.emulators.athena.server import AwsDouble, QueryFault
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.bars import deliver, exact
from stock_assets_tests.support.processes import fork_server
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.scenes import Scene, content, wavy_source
from stock_assets_tests.support.steps import local_backend

FEW = 2
DAYS = [date(year, 6, 3) for year in range(2008, 2014)]
SESSIONS = sessions_between(date(2011, 12, 12), date(2012, 1, 17))
"""Of two years."""
SECOND_PART = r"^MERGE[\s\S]+_published\.daily_prices AS t[\s\S]+BETWEEN DATE '2012-01-01'"


@given(st.dates(date(1700, 1, 1), date(2300, 1, 1)), st.integers(0, 150_000), st.integers(1, 100))
def test_parts_follow_each_other_and_none_is_too_long(first: date, days: int, most: int) -> None:
    last = first + timedelta(days=days)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "MOST_PARTITIONS", most)
        parts = merging.parts(first, last)

    assert (parts[0][0], parts[-1][1]) == (first, last)
    assert all(end.year - start.year < most and start <= end for start, end in parts)
    assert [start - timedelta(days=1) for start, _ in parts[1:]] == [end for _, end in parts[:-1]]
    assert len(parts) == -(-(last.year - first.year + 1) // most), "no more than are needed"


@pytest.fixture
def few(aws: AwsDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one statement write two partitions only; the double refuses more."""
    monkeypatch.setattr(merging, "MOST_PARTITIONS", FEW)
    aws.engine.most_partitions = FEW


@pytest.fixture
def backend(tmp_path: Path, aws: AwsDouble) -> AthenaBackend:
    return athena_backend(aws.endpoint, tmp_path / "backend")


def merges(aws: AwsDouble, table: str = "daily_prices") -> list[tuple[date, date]]:
    """List the ranges of the MERGEs sent for a table."""
    found = [text for text in aws.statements if re.match(rf"MERGE INTO \w+_published\.{table} ", text)]
    ranges = [re.search(r"AND t\.trade_date BETWEEN DATE '(\S+)' AND DATE '(\S+)'", text) for text in found]
    return [(date.fromisoformat(one[1]), date.fromisoformat(one[2])) for one in ranges if one]


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_a_long_range_takes_a_version_for_each_part(aws: AwsDouble, backend: AthenaBackend) -> None:
    newest = publish(backend, [price_row("IBM", day) for day in DAYS], DAYS[0], DAYS[-1])

    assert merges(aws) == [
        (date(2008, 6, 3), date(2009, 12, 31)),
        (date(2010, 1, 1), date(2011, 12, 31)),
        (date(2012, 1, 1), date(2013, 6, 3)),
    ]
    assert [day for _, day, _ in published(backend)] == DAYS
    history = backend.warehouse.history(DAILY_PRICES)
    assert [(version.rows, version.properties["part"]) for version in history] == [
        (6, "3 of 3"),
        (4, "2 of 3"),
        (2, "1 of 3"),
    ]
    assert history[0].snapshot_id == newest
    assert all(version.properties["load_id"] == PROPERTIES["load_id"] for version in history)


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_parts_without_rows_make_no_version(backend: AthenaBackend) -> None:
    publish(backend, [price_row("IBM", DAYS[-1])], DAYS[0], date(2015, 1, 2))

    assert [day for _, day, _ in published(backend)] == [DAYS[-1]]
    assert [version.properties["part"] for version in backend.warehouse.history(DAILY_PRICES)] == ["3 of 4"]


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_rows_go_in_every_part(backend: AthenaBackend) -> None:
    publish(backend, [price_row("IBM", day) for day in DAYS], DAYS[0], DAYS[-1])

    publish(backend, [price_row("IBM", DAYS[-1], 9.5)], DAYS[1], DAYS[-1])

    assert published(backend) == [("IBM", DAYS[0], 101.0), ("IBM", DAYS[-1], 9.5)]


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_a_commit_between_two_parts_is_never_built_upon(aws: AwsDouble, backend: AthenaBackend, tmp_path: Path) -> None:
    other = athena_backend(aws.endpoint, tmp_path / "backend")
    between = date(2012, 7, 2)

    def intrude() -> None:
        with other.warehouse.open("load_2") as sql:
            stage_rows(sql, [price_row("MSFT", between)])
            sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=between, last=between, properties=PROPERTIES)

    aws.query_faults.append(QueryFault(SECOND_PART, first=intrude))

    with pytest.raises(ConcurrentPublish):
        publish(backend, [price_row("IBM", day) for day in DAYS], DAYS[0], DAYS[-1])

    assert published(backend) == [*(("IBM", day, 101.0) for day in DAYS[:4]), ("MSFT", between, 101.0)]


def publish_in_parts(endpoint: str, folder: Path, symbols: Sequence[str]) -> None:
    """Publish what is staged, as a process of its own."""
    merging.MOST_PARTITIONS = 1
    Scene(athena_backend(endpoint, folder), wavy_source(symbols, SESSIONS)).publish(SESSIONS)


@pytest.mark.slow
def test_killed_between_two_parts_and_repeated_it_is_as_if_it_were_one(
    aws: AwsDouble, backend: AthenaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices double at once, so that every row changes, and those after the boundary look back over it."""
    monkeypatch.setattr(merging, "MOST_PARTITIONS", 1)
    aws.engine.most_partitions = 1
    symbols = ("AAPL", "IBM", "MSFT")
    scenes = [Scene(one, wavy_source(symbols, SESSIONS)) for one in (backend, local_backend(tmp_path / "local"))]
    for scene in scenes:
        scene.run(SESSIONS)
    old = content(backend)[0]
    doubled = [
        b"\n".join([lines[0], *(twice(line) for line in lines[1:])])
        for lines in (scenes[0].source.fetch_prices(symbol, []).splitlines() for symbol in symbols)
    ]
    for scene in scenes:
        for symbol, body in zip(symbols, doubled, strict=True):
            deliver(scene.backend, symbol, body)
        scene.stage(SESSIONS)
    scenes[1].publish(SESSIONS)
    new = content(scenes[1].backend)[0]

    context = fork_server()
    process = context.Process(target=publish_in_parts, args=(aws.endpoint, tmp_path / "backend", symbols), daemon=True)
    aws.query_faults.append(
        QueryFault(SECOND_PART, "GENERIC_INTERNAL: killed", first=lambda: os.kill(process.pid or 0, signal.SIGKILL))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL

    boundary = date(2012, 1, 1)
    assert exact(content(backend)[0]) == exact(
        sorted(
            [row for row in new if str(row["trade_date"]) < str(boundary)]
            + [row for row in old if str(row["trade_date"]) >= str(boundary)],
            key=lambda row: (str(row["symbol"]), str(row["trade_date"])),
        )
    )
    half = backend.warehouse.history(DAILY_PRICES)[0]
    assert half.properties["part"] == "1 of 2"
    assert SPLITS_PROPERTY not in half.properties, "not all rows follow the splits yet"

    aws.forget()
    aws.engine.most_partitions = 1
    scenes[0].publish(SESSIONS)

    assert exact(content(backend)[0]) == exact(new)
    assert merges(aws) == [(SESSIONS[0], date(2011, 12, 31)), (boundary, merges(aws)[-1][1])]
    assert SPLITS_PROPERTY in backend.warehouse.history(DAILY_PRICES)[0].properties


def twice(line: bytes) -> bytes:
    """Double the prices of a bar."""
    day, *prices, volume = line.decode().split(",")
    return ",".join([day, *(str(round(2 * float(price), 4)) for price in prices), volume]).encode()
