"""What processes of the contract tests do to a home they share."""

from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from stock_assets.errors import ObjectExists, Outcome
from stock_assets.homes.interfaces import Fetch, FetchKind, Home
from stock_assets.tables import DAILY_PRICES

PATIENCE_SECONDS = 60

Job = Callable[[Home, int], str]


def at_once(
    make: Callable[[Path], Home], folder: Path, number: int, job: Job, barrier: Barrier, results: Connection
) -> None:
    """Do one job at the same moment as the other processes, and send what came of it."""
    home = make(folder)
    barrier.wait(PATIENCE_SECONDS)
    results.send(job(home, number))


def put_the_same_key(home: Home, number: int) -> str:
    """Store a body of one's own under the key that all want."""
    try:
        home.objects.put("raw/contested", str(number).encode() * 100_000)
    except ObjectExists:
        return "lost"
    return f"won {number}"


def record_twenty(home: Home, number: int) -> str:
    """Record twenty requests."""
    for second in range(20):
        at = datetime(2012, 3, 1, number, 0, second, tzinfo=UTC)
        home.ledger.record(Fetch(f"P{number}", FetchKind.PRICES, at, Outcome.OK))
    return "recorded"


def open_the_warehouse(home: Home, number: int) -> str:
    """Open a session in a home that may be new."""
    with home.warehouse.open() as sql:
        return f"{sql.query(f'SELECT COUNT(*) AS n FROM {DAILY_PRICES.full_name}').to_pylist()[0]['n']} rows"
