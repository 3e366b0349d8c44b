"""Loads of a made-up market beside scripts, Dagster's share, and the use of AWS: `make bench SIZE=small|medium|large`.

Belongs here: the cases of each size, running them in processes of their own, and comparing rows. Does not belong here:
the market (`market`), the work (`ours`, `peers`), what is measured without a script (`dagster_share`, `aws`).

Each case prints the ratio of our time to the script's time, and peak memory. Times without imports are compared; a peak
includes them. The time of one session is the median of some repetitions; scripts are measured once. All rows of a case
are compared before its figures are printed: doubles within 1e-9, everything else exactly. The results are written to
`results/<size>.json`. Times are printed and never judged.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import duckdb

from benchmarks import aws, dagster_share
from benchmarks.market import Market
from stock_assets.backends.local import table_reader
from stock_assets.core.progress_bar import hide_progress_bar
from stock_assets.core.tables import DAILY_PRICES, ColumnType

PEERS = ("duckdb", "polars", "pandas")
SESSION_PEERS = ("duckdb",)
RESULTS = Path(__file__).with_name("results")
YEAR = (date(2023, 1, 3), date(2023, 12, 29))
TWENTY_YEARS = (date(2004, 1, 2), date(2023, 12, 29))


@dataclass(frozen=True)
class Case:
    """One load: the symbols, the sessions, and whether only the last session is loaded after the others."""

    symbols: int
    first: date
    last: date
    one_session: bool = False

    @property
    def name(self) -> str:
        """Short description."""
        years = self.last.year - self.first.year + 1
        history = f"{years} {'year' if years == 1 else 'years'}"
        return (
            f"one session of {self.symbols} symbols after {history}"
            if self.one_session
            else (f"{self.symbols} symbols x {history}")
        )


CASES = {
    "small": (Case(500, *YEAR), Case(2_000, *YEAR), Case(500, *YEAR, one_session=True)),
    "medium": (Case(10_000, *YEAR), Case(2_000, *TWENTY_YEARS), Case(10_000, *YEAR, one_session=True)),
    "large": (Case(10_000, *TWENTY_YEARS), Case(10_000, *TWENTY_YEARS, one_session=True)),
}

ON_AWS = {"small": (20,), "medium": (20, 5_000), "large": (20, 5_000)}
"""Numbers of symbols of the session on AWS; the emulator needs minutes for the larger one."""


@dataclass(frozen=True)
class Measured:
    """Rows and seconds as a process printed them, and its peak memory in MB."""

    rows: int
    seconds: float
    megabytes: int


@dataclass(frozen=True)
class Result:
    """One comparison, as it is written to the file; `bytes` is the size of our data folder in bytes."""

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    ours_mb: int
    peer_mb: int
    rows: int
    bytes: int


def run(module: str, *arguments: object) -> Measured:
    """Run a module in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 (fixed arguments)
        output = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module} failed with exit code {process.returncode}")
    found = json.loads(output or b'{"rows": 0, "seconds": 0}')
    return Measured(found["rows"], found["seconds"], usage.ru_maxrss // 1024)


def compare(case: Case, folder: Path) -> Iterator[Result]:
    """Run one case and yield its comparisons."""
    market, root, files = Market(case.symbols, case.first, case.last), folder / "ours", folder / "csv"
    bounds = (case.symbols, case.first, case.last)
    market.write(files, until=market.sessions[-2] if case.one_session else case.last)
    if case.one_session:
        market.write(folder / "new", compact=True)
    run("benchmarks.ours", root, *bounds, "history" if case.one_session else "fetch")
    ours = run("benchmarks.ours", root, *bounds, "session" if case.one_session else "load")
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    for peer in SESSION_PEERS if case.one_session else PEERS:
        out = folder / peer
        measured = run(f"benchmarks.peers.{peer}_script", files, out, case.first, case.last)
        if case.one_session:
            measured = run(f"benchmarks.peers.{peer}_session", folder / "new", out, case.last)
        since = case.last if case.one_session else case.first
        # A process inherits the peak memory of the one that starts it, so this one must stay small.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            process.submit(check_equal, root, out, since).result()
        ratio = round(ours.seconds / measured.seconds, 2)
        seconds = (round(ours.seconds, 3), round(measured.seconds, 3))
        yield Result(
            case.name, seconds[0], peer, seconds[1], ratio, ours.megabytes, measured.megabytes, ours.rows, size
        )


def check_equal(root: Path, out: Path, since: date) -> None:
    """Compare our published rows with the script's.

    Raises:
        SystemExit: they differ.
    """
    differs = [
        f"abs(o.{column.name} - p.{column.name}) > 1e-9 * greatest(1, abs(o.{column.name}))"
        f" OR (o.{column.name} IS NULL) <> (p.{column.name} IS NULL)"
        if column.type is ColumnType.DOUBLE
        else f"o.{column.name} <> p.{column.name}"
        for column in DAILY_PRICES.columns
        if column.name not in DAILY_PRICES.grain
    ]
    connection = duckdb.connect()
    hide_progress_bar(connection)
    stored = table_reader.read(root, DAILY_PRICES)
    files = table_reader.data_files(stored) if stored else []
    rows, alone, unequal = connection.execute(
        "SELECT count(*), count(*) FILTER (o.symbol IS NULL OR p.symbol IS NULL), "
        f"count(*) FILTER ({' OR '.join(differs)}) "
        f"FROM (SELECT * FROM read_parquet({files}) WHERE trade_date >= DATE '{since}') AS o "
        f"FULL JOIN (SELECT * FROM '{out}/*.parquet' WHERE trade_date >= DATE '{since}') AS p "
        "ON o.symbol = p.symbol AND o.trade_date = p.trade_date"
    ).fetchall()[0]
    if alone or unequal:
        raise SystemExit(f"{out.name}: of {rows} rows, {alone} exist on one side only and {unequal} differ")


def main(size: str = "small") -> None:
    """Run the cases of a size, print a table and write the results."""
    results: list[dict[str, object]] = []
    print(f"{'':44}{'ours':>9}{'':>10}{'script':>9}{'':>10}{'ratio':>8}")
    for case in CASES[size]:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for result in compare(case, Path(folder)):
                results.append(asdict(result))
                print(
                    f"{result.name:44}{result.ours_s:>7.2f} s{result.ours_mb:>7} MB{result.peer_s:>7.2f} s"
                    f"{result.peer_mb:>7} MB{result.ratio:>8.2f}  {result.peer}, {result.rows} rows, "
                    f"{result.bytes // 1_000_000} MB in our data folder",
                    flush=True,
                )
    shares = dagster_share.measure()
    dagster_share.print_results(shares)
    results += shares
    for symbols in ON_AWS[size]:
        used = aws.measure(symbols)
        print(used, flush=True)
        results.append(used.result())
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    (RESULTS / f"{size}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
