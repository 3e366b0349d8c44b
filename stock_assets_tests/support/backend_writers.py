"""What processes of the contract tests do to a backend they share."""

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

PATIENCE_SECONDS = 60

Job = Callable[[Backend, int], str]


def at_once(
    make: Callable[[Path], Backend], folder: Path, number: int, job: Job, barrier: Barrier, results: Connection
) -> None:
    """Do one job at the same moment as the other processes, and send what came of it."""
    backend = make(folder)
    barrier.wait(PATIENCE_SECONDS)
    results.send(job(backend, number))


def put_the_same_key(backend: Backend, number: int) -> str:
    """Store a body of one's own under the key that all want."""
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
    """Open a session in a backend that may be new."""
    with backend.warehouse.open() as sql:
        return f"{sql.query(f'SELECT COUNT(*) AS n FROM {DAILY_PRICES.full_name}').to_pylist()[0]['n']} rows"


WRITERS = {symbol: [date(2012, 6, 4), date(2012, 6, 5), date(2013, 6, 4)] for symbol in ("ONE", "TWO")}
"""What the first two processes publish; each day of a year of its own for each of them."""


def publish_or_maintain(backend: Backend, number: int) -> str:
    """Publish some days, one commit each, or maintain again and again meanwhile, with nothing old kept."""
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
    """Add one row to each of some days that the others replace too; give how many tries it took."""
    tries = 0
    for day in SAME_DAYS:
        added = False
        while not added:
            tries += 1
            added = _published_a_row(backend, f"P{number}", day)
    return str(tries)


def publish_range(backend: Backend, number: int) -> str:
    """Stage, audit and publish one's sessions; the answers are stored already."""
    scene = Scene(backend, wavy_source())
    scene.stage(PUBLISHERS[number])
    scene.publish(PUBLISHERS[number])
    return "published"


def _published_a_row(backend: Backend, symbol: str, day: date) -> bool:
    """Add one row to what is published; not if somebody else was faster."""
    with backend.warehouse.open(f"load_{symbol.lower()}") as sql:
        name = sql.name(DAILY_PRICES).value
        names = ", ".join(DAILY_PRICES.column_names)
        # A writer that was told of a conflict may have committed after all: its own row must not come twice.
        present = f"SELECT {names} FROM {name} WHERE trade_date = DATE '{day}' AND symbol <> '{symbol}'"
        stage_rows(sql, [present, price_row(symbol, day)])
        try:
            sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=day, last=day, properties={"load_id": symbol})
        except ConcurrentPublish:
            return False
    return True
