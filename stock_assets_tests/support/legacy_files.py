"""Data of an earlier pipeline, written from a scripted source: hourly CSV files of Firehose, and a Hive Parquet table.

Both contain every bar of some sessions, with the defects of years of operation: a day delivered twice, a bar that
differs between two deliveries, lines that are not rows.
"""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stock_assets.core.calendar import closing_time
from stock_assets.legacy_import.row_selection import ImportScope
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.steps import FIVE

HEADER = "date,symbol,open,high,low,close,volume"


def legacy_bars(source: ScriptedSource, symbols: Sequence[str], sessions: Sequence[date]) -> list[list[str]]:
    """Return the source's bars of these sessions in the columns of the earlier pipeline, ordered by session."""
    wanted = set(sessions)
    rows = []
    for symbol in symbols:
        for line in source.fetch_prices(symbol, []).decode().splitlines()[1:]:
            day, *rest = line.split(",")
            if date.fromisoformat(day) in wanted:
                rows.append([day, symbol, *rest])
    return sorted(rows)


def write_legacy_file(path: Path, text: str | bytes, written_at: datetime | None = None) -> Path:
    """Write a file with the given modification time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return dated(path, written_at)


def dated(path: Path, written_at: datetime | None) -> Path:
    """Set the modification time of a file."""
    if written_at is not None:
        os.utime(path, (written_at.timestamp(), written_at.timestamp()))
    return path


def firehose(
    folder: Path, source: ScriptedSource, symbols: Sequence[str], sessions: Sequence[date], *, header: bool = True
) -> Path:
    """Write a CSV for each session to the folder of the hour after its close; twice, an hour apart."""
    for session in sessions:
        lines = [",".join(row) for row in legacy_bars(source, symbols, [session])]
        text = "".join(f"{line}\n" for line in ([HEADER, *lines] if header else lines))
        for hours in (1, 2):
            delivered_at = closing_time(session) + timedelta(hours=hours)
            write_legacy_file(
                folder / f"{delivered_at:%Y/%m/%d/%H}" / f"stocks-1-{delivered_at:%Y-%m-%d-%H}-05-00", text
            )
    return folder


def hive_table(
    folder: Path, source: ScriptedSource, symbols: Sequence[str], sessions: Sequence[date], written_at: datetime
) -> Path:
    """Write a Parquet file for each symbol to its own folder, like Athena's CTAS: doubles, texts for dates."""
    for symbol in symbols:
        rows = [row for row in legacy_bars(source, [symbol], sessions) for _ in range(2)]
        columns = list(zip(*rows, strict=True))
        table = pa.table(
            {
                "date": pa.array(columns[0], pa.string()),
                **{
                    name: pa.array([float(text) for text in columns[number]], pa.float64())
                    for number, name in enumerate(("open", "high", "low", "close", "volume"), start=2)
                },
            }
        )
        path = folder / f"symbol={symbol}" / "20120401_000000_00001_abcde"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        dated(path, written_at)
    write_legacy_file(folder / "_SUCCESS", "")
    return folder


LONG_AGO = datetime(2012, 4, 1, tzinfo=UTC)
"""When the Hive table was written: after all sessions of the scenes."""
SCOPE = ImportScope(FIVE, date(2000, 3, 1), date(2013, 3, 1), datetime(2026, 1, 5, tzinfo=UTC))
"""Which rows the tests import: five symbols, all sessions of the recording."""
