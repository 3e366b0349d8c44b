"""Time and memory of the ledger's queries after years of daily runs. Run: `python -m benchmarks.ledger [SYMBOLS]`.

A made-up ledger has one request per symbol and session of 250 sessions, as the daily schedule makes them with compact
responses of 100 sessions: 2,500,000 requests of 10,000 symbols. Each query that a load and its run send is timed in a
process of its own, with the memory that it adds to that process; the sum is that of one load of the newest session. The
sensor of landing files is timed with 100,000 stored responses: the time of a tick that finds no new file.
"""

import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.market import COMPACT, Market, MarketSource
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_schema import create_table
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import closing_time
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome
from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.ledger_queries import fetches_for_responses, known_splits, responses_for
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import ALL_MISSING, symbols_to_request
from stock_assets.ingest.response_keys import response_key
from stock_assets.ingest.symbol_status import symbol_statuses

SESSIONS = 250
RESPONSES = 100_000
"""Stored files when the landing files sensor is timed."""


def market(symbols: int) -> Market:
    """Return the market, whose last sessions the ledger has."""
    return Market(symbols, date(2022, 1, 3), date(2023, 12, 29))


def parts(root: Path, symbols: int) -> PipelineParts:
    """Return a pipeline of the market."""
    made_up = market(symbols)
    source = MarketSource(made_up, made_up.last, compact=True)
    return PipelineParts(
        LocalBackend(root), source, made_up.universe(), Limits(min_coverage=0.5, max_quarantined_share=0.25)
    )


_REQUESTS = """
INSERT INTO fetches (symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions,
    content_hash, calls, detail)
SELECT symbol.value, 'daily_prices', at.stamp, 'ok', 'raw/daily_prices/' || at.stamp || '/' || symbol.value || '.csv',
    :first, :last, '[]', lower(hex(randomblob(32))), 1, '100 sessions, ' || :first || ' to ' || :last
FROM json_each(:symbols) AS symbol, (SELECT :last || 'T22:00:00.000000+00:00' AS stamp) AS at
"""


def write(root: Path, symbols: int) -> None:
    """Write the ledger, the newest splits responses, and the raw files of some sessions, without their bars."""
    made_up, backend = market(symbols), LocalBackend(root)
    backend.ledger.record(Fetch("S00000", FetchKind.RENAMES, datetime(2022, 1, 1, tzinfo=UTC), Outcome.OK))
    with sqlite3.connect(root / "ledger.db") as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'").fetchall():
            connection.execute(f"DROP INDEX {name}")
        count = len(made_up.sessions)
        for index in range(count - SESSIONS, count):
            first, last = made_up.sessions[index - COMPACT + 1], made_up.sessions[index]
            values = {"first": str(first), "last": str(last), "symbols": json.dumps(made_up.symbols)}
            connection.execute(_REQUESTS, values)
        create_table(connection)
        LedgerTable(connection).insert((None, fetch) for fetch in splits(made_up, root))
    per_session = min(RESPONSES, symbols)
    for session in made_up.sessions[-(RESPONSES // per_session) :]:
        for symbol in made_up.symbols[:per_session]:
            folder = root / f"raw/daily_prices/ingest_date={session}/{session:%Y%m%d}T{int(symbol[1:]):012d}Z"
            folder.mkdir(parents=True)
            (folder / f"{symbol}.csv").touch()


def splits(made_up: Market, root: Path) -> Iterator[Fetch]:
    """Yield one request for splits per symbol, and write its response."""
    at = closing_time(made_up.sessions[-2]) + timedelta(hours=3)
    for symbol in made_up.symbols:
        body, key = made_up.splits_response(symbol), response_key(FetchKind.SPLITS, symbol, at)
        file = root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        digest = content_hash(body)
        yield Fetch(symbol, FetchKind.SPLITS, at, Outcome.OK, key, content_hash=digest, calls=1, detail="1 split")


def queries(pipeline: PipelineParts, newest: date) -> dict[str, Callable[[], object]]:
    """Return the queries of one daily run, in their order."""
    at, backend = closing_time(newest) + timedelta(hours=5), pipeline.backend
    keys: list[str] = []

    def choose() -> None:
        keys.extend(fetch.response_key for fetch in responses_for(backend, [newest]))

    return {
        "symbols to request": lambda: symbols_to_request(pipeline, [newest], ALL_MISSING, at),
        "status of the symbols": lambda: symbol_statuses(pipeline, [newest], now=lambda: at),
        "responses of the load": choose,
        "known splits, first": lambda: known_splits(pipeline),
        "known splits, again": lambda: known_splits(pipeline),
        "responses by key (audit)": lambda: fetches_for_responses(backend, keys),
        "responses by key (publish)": lambda: fetches_for_responses(backend, keys),
    }


def tick(pipeline: PipelineParts, newest: date) -> None:
    """Scan for landing files as the sensor does two days later."""
    at = datetime.now(UTC) + timedelta(days=2)
    found = scan(pipeline, LandingScope(newest, newest), at=at, since=at - timedelta(minutes=10))
    if found.landing_files or found.waiting:
        raise SystemExit("a response counts as a landing file")


def measure(root: Path, symbols: int) -> None:
    """Print the seconds of each query, and the memory that all of them added, as JSON."""
    pipeline, newest = parts(root, symbols), market(symbols).last
    closing_time(newest)
    collect_garbage_rarely()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {}
    for name, query in queries(pipeline, newest).items():
        started = time.perf_counter()
        query()
        seconds[name] = time.perf_counter() - started
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    started = time.perf_counter()
    tick(pipeline, newest)
    print(json.dumps({"seconds": seconds, "megabytes": added, "tick": time.perf_counter() - started}))


def main(symbols: int = 10_000) -> None:
    """Write a ledger, measure it in a process of its own, and print the figures."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        write(root, symbols)
        size = (root / "ledger.db").stat().st_size / 1e6
        command = [sys.executable, "-m", "benchmarks.ledger", "measure", folder, str(symbols)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603 (fixed arguments)
    for name, seconds in found["seconds"].items():
        print(f"{name:32}{seconds:8.3f} s")
    print(f"{'all queries of a load':32}{sum(found['seconds'].values()):8.3f} s, {found['megabytes']} MB more memory")
    print(f"{'tick of landing_files':32}{found['tick']:8.3f} s with {RESPONSES:,} stored responses")
    print(f"{symbols * SESSIONS:,} requests, ledger.db {size:,.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]))
