"""One session of many symbols after one and after twenty years of history. Run: `python -m benchmarks.one_session`.

`python -m benchmarks.one_session 500` measures 500 symbols, by default it is 10,000. Each history is loaded first, then
the next session, in a process of its own, as the median of repetitions, beside the DuckDB script, whose rows are
compared. It prints the time of the session, its ratio to the script's time and to the time after one year, and the
largest use of the disk.
"""

import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.suite import TWENTY_YEARS, YEAR, Case, compare

_POLL_SECONDS = 2.0


class DiskUse:
    """The largest size of a folder in bytes, as long as it exists; a file with two names counts once."""

    def __init__(self, folder: Path) -> None:
        self.most = 0
        self._folder = folder
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self._folder.exists():
            sizes: dict[int, int] = {}
            for file in self._folder.rglob("*"):
                with suppress(FileNotFoundError):
                    found = file.lstat()
                    sizes[found.st_ino] = found.st_blocks * 512
            self.most = max(self.most, sum(sizes.values()))
            time.sleep(_POLL_SECONDS)


def main(symbols: int = 10_000) -> None:
    """Measure both histories and print a line for each."""
    after_a_year = 0.0
    for bounds in (YEAR, TWENTY_YEARS):
        case, started = Case(symbols, *bounds, one_session=True), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            disk = DiskUse(Path(folder))
            for result in compare(case, Path(folder)):
                after_a_year = after_a_year or result.ours_s
                print(
                    f"{case.name}: {result.ours_s:.2f} s, {result.ours_mb} MB; {result.peer} {result.peer_s:.2f} s, "
                    f"ratio {result.ratio:.2f}; {result.ours_s / after_a_year:.2f} of the time after 1 year. Measured "
                    f"in {time.monotonic() - started:.0f} s with {disk.most / 1e9:.2f} GB of disk.",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
