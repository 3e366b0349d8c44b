"""One more session with DuckDB: read it from new responses, look back into the stored rows, write the file again.

Usage: `python -m benchmarks.peers.duckdb_session FOLDER OUT LAST`; OUT has the rows of `duckdb_script`.
"""

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb

from benchmarks.peers.duckdb_script import BARS, METRICS

LOOKBACK = timedelta(days=40)


def main(folder: str, out: str, last: str) -> None:
    """Write all rows again; print the number of new rows and the seconds."""
    started = time.perf_counter()
    connection = duckdb.connect()
    since = date.fromisoformat(last) - LOOKBACK
    prices = ", ".join(f"{name}_price AS {name}" for name in ("open", "high", "low", "close"))
    new = BARS.format(folder=folder, first=last, last=last)
    stored = f"SELECT symbol, trade_date, {prices}, volume FROM '{out}/rows.parquet' WHERE trade_date >= DATE '{since}'"
    select = METRICS.format(bars=f"{new} UNION ALL {stored}", splits=f"{folder}.splits.csv")
    connection.execute(f"CREATE TABLE added AS SELECT * FROM ({select}) WHERE trade_date = DATE '{last}'")
    connection.execute(
        f"COPY (SELECT * FROM '{out}/rows.parquet' UNION ALL SELECT * FROM added ORDER BY symbol, trade_date) "
        f"TO '{out}/all.parquet' (COMPRESSION zstd)"
    )
    Path(out, "rows.parquet").unlink()
    [(rows,)] = connection.execute("SELECT count(*) FROM added").fetchall()
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
