"""Statements, requests, bytes and dollars of one session on AWS. Run: `python -m benchmarks.aws [SYMBOLS ...]`.

The account is the emulator of the tests: S3 and Glue are moto's, Athena's statements run on DuckDB. A process publishes
all sessions but the newest one and creates the views; another one runs the daily job for the newest session, as on any
evening but the first. The emulator counts the requests of the latter alone, by its access key. Bytes are those of whole
files of the partitions that a statement reads, so they are an upper limit. The source has no rate: no call is denied.
With one, each denied call reads one object more. The unit prices are those of `stock_assets.deployment.costs`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.dagster_share import QUIET
from benchmarks.market import Market, MarketSource
from stock_assets.core.call_limits import CallLimits
from stock_assets.deployment.costs import SESSIONS_PER_MONTH, session_usd
from stock_assets.sources.interface import Terms

if TYPE_CHECKING:
    from stock_assets.backends.athena.backend import AthenaBackend
    from stock_assets.pipeline import Pipeline

LAST = date(2023, 12, 29)
FIRST = date(2023, 11, 1)
"""First session of the history. A session does not read more partitions after a longer one."""
_BUCKET = "benchmark"
_REGION = "us-east-1"
_PIPELINE = "pipeline"
"""Access key of the measured process; the emulator, which calls itself, has another one."""
_LISTING = ("list-type=", "prefix=", "versions", "uploads")


@dataclass(frozen=True)
class Used:
    """What one session used.

    Attributes:
        symbols: number of symbols.
        statements: statements of Athena.
        athena_requests: requests to Athena: starting a statement, its status, its result.
        s3_writes: `PUT`, `POST` and listings, which have one price.
        s3_reads: `GET` and `HEAD` of objects. `DELETE` is free.
        glue_requests: requests to the Glue Data Catalog.
        bytes_scanned: bytes that the statements read.
        usd: price of all of this.
        seconds: time of the run on the emulator, which says nothing about AWS.
        megabytes: peak memory of the process of the run.
    """

    symbols: int
    statements: int
    athena_requests: int
    s3_writes: int
    s3_reads: int
    glue_requests: int
    bytes_scanned: int
    usd: float
    seconds: float
    megabytes: int

    def result(self) -> dict[str, object]:
        """Return the object of the results file; no script does this work, so nothing is compared."""
        used = asdict(self)
        seconds, megabytes = used.pop("seconds"), used.pop("megabytes")
        compared = {"ours_s": seconds, "peer": None, "peer_s": None, "ratio": None, "ours_mb": megabytes}
        return {"name": f"AWS: one session of {self.symbols} symbols", **compared, **used}

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"AWS: one session of {self.symbols} symbols: {self.statements} statements read "
            f"{self.bytes_scanned / 1e6:.1f} MB; {self.s3_writes} writes and listings and {self.s3_reads} reads of S3, "
            f"{self.glue_requests} requests to Glue, {self.athena_requests} to Athena; {self.usd:.4f} USD, "
            f"{self.usd * SESSIONS_PER_MONTH:.2f} a month"
        )


class MeteredSource(MarketSource):
    """The market behind a rate limiter that counts each call and never waits, as a large plan does."""

    @property
    def terms(self) -> Terms:
        """Return limits that the benchmark does not reach, and the schedule of splits of a live vendor."""
        return Terms(limits=CallLimits(per_minute=1_000_000), splits_refresh=timedelta(days=7))


def backend(endpoint: str) -> "AthenaBackend":
    """Return the backend in the emulated account."""
    from stock_assets.backends.athena.backend import AthenaBackend  # noqa: PLC0415 (this process may be the emulator)

    return AthenaBackend(
        bucket=_BUCKET,
        prefix="pipeline",
        region=_REGION,
        database="benchmark",
        workgroup="primary",
        results=f"s3://{_BUCKET}/pipeline/results/",
        endpoint_url=endpoint,
        poll_seconds=0.05,
    )


def pipeline(endpoint: str, market: Market, until: date, *, compact: bool) -> "Pipeline":
    """Return a pipeline of the market's sessions up to one session."""
    from stock_assets.core.audit_limits import Limits  # noqa: PLC0415 (as above)
    from stock_assets.pipeline import Pipeline  # noqa: PLC0415 (as above)

    limits = Limits(min_coverage=0.5, max_quarantined_share=0.25)
    return Pipeline(backend(endpoint), MeteredSource(market, until, compact=compact), market.universe(), limits)


def load_history(endpoint: str, market: Market) -> None:
    """Publish all sessions but the newest one as one load, and create the views."""
    from stock_assets.serve.views import create_views  # noqa: PLC0415 (as above)

    earlier = market.sessions[:-1]
    parts = pipeline(endpoint, market, earlier[-1], compact=False)
    parts.fetch([earlier[-1]])
    parts.audit(parts.stage(earlier))
    parts.publish(earlier)
    with parts.backend.warehouse.connect() as sql:
        create_views(sql)


def run_job(endpoint: str, market: Market) -> None:
    """Run the daily job for the newest session; print its statements, seconds and memory as JSON."""
    import dagster as dg  # noqa: PLC0415 (only this process needs it)

    from stock_assets.orchestration.build import build_definitions  # noqa: PLC0415 (as above)
    from stock_assets.orchestration.jobs.daily_prices import JOB_NAME  # noqa: PLC0415 (as above)
    from stock_assets.settings import BackendName, Settings, SourceName  # noqa: PLC0415 (as above)

    settings = Settings(
        source=SourceName.ALPHA_VANTAGE,
        first_session=market.first,
        backend=BackendName.AWS,
        aws_bucket=_BUCKET,
        aws_region=_REGION,
    )
    parts = pipeline(endpoint, market, LAST, compact=True)
    job = build_definitions(settings, pipeline=parts).resolve_job_def(JOB_NAME)
    started = time.perf_counter()
    with dg.DagsterInstance.ephemeral() as instance:
        # The freshness check fails: the market's newest session is in the past.
        result = job.execute_in_process(
            instance=instance, partition_key=str(LAST), run_config=QUIET, raise_on_error=False
        )
    seconds = time.perf_counter() - started
    if failed := [event for event in result.all_events if event.is_step_failure]:
        raise SystemExit(f"the run failed: {failed}")
    log = parts.backend.take_statement_log()
    sent = log.total if log is not None else ()
    found = {
        "statements": len(sent),
        "bytes_scanned": sum(run.scanned_bytes for run in sent),
        "athena_usd": sum(run.cost or 0.0 for run in sent),
        "seconds": round(seconds, 1),
        "megabytes": own_peak() // 1024,
    }
    print(json.dumps(found))


def own_peak() -> int:
    """Return the peak memory of this process in kB; that of `getrusage` includes the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [line] = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


def step(name: str, endpoint: str, market: Market) -> dict[str, Any]:
    """Run a step in a process of its own, with the access key by which its calls are counted."""
    command = [sys.executable, "-m", "benchmarks.aws", "step", name, endpoint, str(market.count)]
    done = subprocess.run(  # noqa: S603 (fixed arguments)
        command, env=os.environ | {"AWS_ACCESS_KEY_ID": _PIPELINE}, check=True, stdout=subprocess.PIPE
    )
    found: dict[str, Any] = json.loads(done.stdout or b"{}")
    return found


@contextmanager
def account() -> Iterator[Any]:
    """Start the emulator with an empty bucket and yield it."""
    from stock_assets_tests.emulators.athena.names import CREDENTIALS  # noqa: PLC0415 (needs the tests)
    from stock_assets_tests.emulators.athena.server import running_emulator  # noqa: PLC0415 (imports moto)

    os.environ.update(CREDENTIALS)

    with tempfile.TemporaryDirectory() as cache, running_emulator() as emulator:
        # The processes are on one machine, whose mirror of the ledger is not the user's.
        os.environ["XDG_CACHE_HOME"] = cache
        emulator.engine.s3.create_bucket(Bucket=_BUCKET)
        yield emulator


def measure(symbols: int) -> Used:
    """Run the steps for a number of symbols, and return what the newest session used."""
    market = Market(symbols, FIRST, LAST)
    with account() as emulator:
        step("history", emulator.endpoint, market)
        emulator.forget()
        found = step("session", emulator.endpoint, market)
        calls = [call for call in emulator.calls if call.access_key == _PIPELINE]
    athena_usd = found.pop("athena_usd")
    counted = Counter(map(kind, calls))
    used = {name: counted[name] for name in ("s3_writes", "s3_reads", "glue_requests")}
    usd = round(session_usd(**used) + athena_usd, 6)
    return Used(symbols=symbols, athena_requests=counted["athena_requests"], usd=usd, **used, **found)


def kind(call: Any) -> str:  # noqa: ANN401 (imported where the emulator runs)
    """Return what a request counts as."""
    if call.service != "s3":
        return f"{call.service}_requests"
    method, _, query = call.request.partition(" ")
    if method in {"PUT", "POST"} or any(word in query.partition("?")[2] for word in _LISTING):
        return "s3_writes"
    return "s3_reads" if method in {"GET", "HEAD"} else "free"


def main(*numbers: str) -> None:
    """Measure each number of symbols and print a line."""
    for symbols in map(int, numbers or ("20",)):
        print(measure(symbols), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        name, endpoint, count = sys.argv[2:]
        market = Market(int(count), FIRST, LAST)
        if name == "history":
            load_history(endpoint, market)
        else:
            run_job(endpoint, market)
    else:
        main(*sys.argv[1:])
