"""Jobs that processes of the contract tests run on one shared backend."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.errors import ConcurrentPublish, ObjectExists, Outcome
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, wavy_source

PATIENCE_SECONDS = 180

Job = Callable[[Backend, int], str]


def at_once(
    make: Callable[[Path], Backend], folder: Path, number: int, job: Job, barrier: Barrier, results: Connection
) -> None:
    """Run one job at the same time as the other processes, and send its result."""
    backend = make(folder)
    barrier.wait(PATIENCE_SECONDS)
    results.send(job(backend, number))


def put_the_same_key(backend: Backend, number: int) -> str:
    """Store a different body under the same key as the other processes."""
    try:
        backend.objects.put("raw/contested", str(number).encode() * 100_000)
    except ObjectExists:
        return "lost"
    return f"won {number}"


def record_twenty(backend: Backend, number: int) -> str:
    """Record twenty requests."""
    for second in range(20):
        at = datetime(2012, 3, 1, number, 0, second, tzinfo=UTC)
        backend.ledger.record(Fetch(f"P{number}", FetchKind.PRICES, at, Outcome.OK))
    return "recorded"


def open_the_warehouse(backend: Backend, number: int) -> str:
    """Connect to a backend that may be new."""
    with backend.warehouse.connect() as sql:
        return f"{sql.query(f'SELECT COUNT(*) AS n FROM {DAILY_PRICES.full_name}').to_pylist()[0]['n']} rows"


WRITERS = {symbol: [date(2012, 6, 4), date(2012, 6, 5), date(2013, 6, 4)] for symbol in ("ONE", "TWO")}
"""What the first two processes publish."""


def publish_or_maintain(backend: Backend, number: int) -> str:
    """Publish some days, one commit each, or maintain repeatedly at the same time, keeping no old snapshot."""
    if number < len(WRITERS):
        symbol = list(WRITERS)[number]
        for day in WRITERS[symbol]:
            while not _published_a_row(backend, symbol, day):
                pass
        return "published"
    for _ in range(3):
        now = datetime.now(UTC)
        backend.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now)
    return "maintained"


SAME_DAYS = [date(2012, 6, 4), date(2012, 6, 5)]
"""Days that every process of `publish_the_same_days` replaces."""
PUBLISHERS = (TWO_WEEKS[:4], TWO_WEEKS[2:8], TWO_WEEKS[6:])
"""Sessions that each process of `publish_range` loads."""


def publish_the_same_days(backend: Backend, number: int) -> str:
    """Add one row to each of some days that the other processes replace too; return the number of attempts."""
    attempts = 0
    for day in SAME_DAYS:
        added = False
        while not added:
            attempts += 1
            added = _published_a_row(backend, f"P{number}", day)
    return str(attempts)


def publish_range(backend: Backend, number: int) -> str:
    """Stage, audit and publish the sessions of this process; the responses are stored already."""
    scene = Scene(backend, wavy_source())
    scene.stage(PUBLISHERS[number])
    scene.publish(PUBLISHERS[number])
    return "published"


def _published_a_row(backend: Backend, symbol: str, day: date) -> bool:
    """Add one published row; return False if another process has committed first."""
    with backend.warehouse.connect(f"load_{symbol.lower()}") as sql:
        name = sql.name(DAILY_PRICES).value
        names = ", ".join(DAILY_PRICES.column_names)
        # A writer that received a conflict may have committed nevertheless: its row must not be published twice.
        present = f"SELECT {names} FROM {name} WHERE trade_date = DATE '{day}' AND symbol <> '{symbol}'"
        stage_rows(sql, [present, price_row(symbol, day)])
        try:
            sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=day, last=day, properties={"load_id": symbol})
        except ConcurrentPublish:
            return False
    return True
