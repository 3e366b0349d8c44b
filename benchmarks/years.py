"""Size and time of 1,000 daily sessions of 20 symbols, with weekly maintenance. Run: `python -m benchmarks.years [N]`.

Each session is requested (compact responses of 100 sessions, splits as they are due), staged, audited and published on
its own day of a simulated clock; maintenance runs on Sundays with the default retention. Dagster is not part of it:
`instance_size` measures its folder. The speed of a machine changes during the minutes between the first and the last
sessions, so the session after the first 50 and the one after all are also loaded in turns, on copies of the folder.
After 250 sessions and at the end, a query of 90 days from Python is timed next to DuckDB on one file with equal rows.
"""

import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import time_machine

from benchmarks.market import COMPACT, Market
from benchmarks.ours import load, pipeline
from stock_assets.backends.local import table_reader
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

SYMBOLS = 20
FIRST = date(2027, 1, 4)
"""Files have the time of the machine's clock: in a simulated future they are as old as maintenance requires."""
EDGE = 50
QUERIED_AFTER = 250
_QUERY = "SELECT symbol, AVG(close_price) AS average FROM {} WHERE trade_date >= DATE '{}' GROUP BY symbol"
_REPETITIONS = 21
_TURNS = 15


@dataclass
class Times:
    """CPU seconds of each session: of its requests, and of staging, auditing and publishing; and of maintenance."""

    requests: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    maintenance: list[float] = field(default_factory=list)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the user and system time of a call, including its threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def retention() -> RetentionPolicy:
    """Return the default retention."""
    settings = Settings()
    return RetentionPolicy(
        staging=timedelta(days=settings.staging_retention_days),
        snapshots=timedelta(days=settings.snapshot_retention_days),
        runs=timedelta(days=settings.run_retention_days),
    )


def load_in_turns(root: Path, market: Market, copies: Mapping[date, Path]) -> list[float]:
    """Return the median CPU seconds of loading some sessions, each on a copy of the folder before it."""
    loads: dict[date, list[float]] = {session: [] for session in copies}
    for _ in range(_TURNS):
        for session, copy in copies.items():
            shutil.rmtree(root)
            shutil.copytree(copy, root)
            times = Times()
            run_session(root, market, session, times)
            loads[session] += times.loads
    return [statistics.median(values) for values in loads.values()]


def run_session(root: Path, market: Market, session: date, times: Times) -> None:
    """Request and load one session on the evening of its day; on Fridays, maintenance runs the Sunday after."""
    parts = pipeline(root, market, session, compact=True)
    with time_machine.travel(closing_time(session) + timedelta(hours=1), tick=True):
        times.requests.append(cpu_seconds(lambda: parts.fetch([session])))
        times.loads.append(cpu_seconds(lambda: load(parts, [session])))
    sunday = session + timedelta(days=7 - session.isoweekday())
    if not sessions_between(session + timedelta(days=1), sunday):
        at = datetime(sunday.year, sunday.month, sunday.day, 6, tzinfo=UTC)
        with time_machine.travel(at, tick=True):
            times.maintenance.append(cpu_seconds(lambda: maintain(parts.backend, retention(), at)))


def query_milliseconds(root: Path, parts: Pipeline, since: date) -> tuple[float, float]:
    """Return the median milliseconds of the query over the published table, and of DuckDB on one file."""
    one_file = root.parent / "one.parquet"
    files = _live_files(root)
    rows = f"SELECT * FROM read_parquet({files}) ORDER BY symbol, trade_date"  # noqa: S608 (paths)
    duckdb.execute(f"COPY ({rows}) TO '{one_file}'")
    ours = _milliseconds(lambda: parts.query(_QUERY.format("published.daily_prices", since)))

    def script() -> None:
        with duckdb.connect() as connection:
            connection.sql(_QUERY.format(f"'{one_file}'", since)).to_arrow_table()

    return ours, _milliseconds(script)


def _milliseconds(work: Callable[[], object]) -> float:
    work()
    durations = []
    for _ in range(_REPETITIONS):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return 1000 * statistics.median(durations)


def _live_files(root: Path) -> list[str]:
    stored = table_reader.read(root, DAILY_PRICES)
    return table_reader.data_files(stored) if stored else []


def print_size(root: Path) -> None:
    """Print files and bytes of each part of the data folder, and the bytes of the live rows."""
    sizes: dict[str, list[int]] = {}
    for file in root.rglob("*"):
        if file.is_file():
            sizes.setdefault(file.relative_to(root).parts[0], []).append(file.stat().st_size)
    for name in sorted(sizes):
        print(f"{name:24}{len(sizes[name]):>7} files{sum(sizes[name]) / 1e6:>9.2f} MB")
    count = sum(map(len, sizes.values()))
    live = sum(Path(file.removeprefix("file://")).stat().st_size for file in _live_files(root))
    kept = sum(sum(sizes.get(name, ())) for name in ("published", "staged"))
    print(f"{'all':24}{count:>7} files; published and staged {kept / live:.1f} x the live rows ({live / 1e6:.2f} MB)")


def main(count: int = 1_000) -> None:
    """Run all sessions and print the figures."""
    # As the command line and Dagster's processes do.
    collect_garbage_rarely()
    sessions = sessions_between(FIRST, FIRST + timedelta(days=count * 7 // 5 + count // 20 + 10))[: count + 1]
    copies: dict[date, Path] = {}
    market = Market(SYMBOLS, sessions_between(FIRST - timedelta(days=2 * COMPACT), FIRST)[0], sessions[-1])
    times = Times()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder) / "data"
        for number, session in enumerate(sessions[:count], 1):
            run_session(root, market, session, times)
            if number in {EDGE, count}:
                copies[sessions[number]] = shutil.copytree(root, root.with_name(f"after_{number}"))
            if number in {QUERIED_AFTER, count}:
                ours, script = query_milliseconds(root, pipeline(root, market, session), session - timedelta(days=90))
                print(f"90-day query after {number} sessions: {ours:.1f} ms, DuckDB on one file {script:.1f} ms")
                print_size(root)
        early, *late = load_in_turns(root, market, copies)
    if late:
        print(f"in turns: {early:.3f} s after {EDGE} sessions, {late[0]:.3f} s after {count}: {late[0] / early:.2f} x")
    for name, values in (("requests", times.requests), ("stage, audit, publish", times.loads)):
        first, last = statistics.median(values[:EDGE]), statistics.median(values[-EDGE:])
        print(f"{name:24}{first:.3f} s of CPU for the first {EDGE} sessions, {last:.3f} s for the last")
    maintenance = times.maintenance
    print(f"{'maintenance':24}{statistics.median(maintenance):.3f} s of CPU, the last time {maintenance[-1]:.3f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
