"""The same inputs give bit-identical tables and the same verdicts on both backends, and views equal to ten digits.

The whole recording runs through the real job. Generated bars add what a recording does not contain: splits that
become known late, halts, a late symbol, corrections, text that is not a number, prices and volumes at the limits of
their types.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.partitions import range_tags
from stock_assets.orchestration.runs import local_instance
from stock_assets.pipeline import Pipeline
from stock_assets.publish.publishing import Commit
from stock_assets.serve.query import run_query, summary
from stock_assets.serve.views import VIEWS
from stock_assets.settings import BackendName, Settings
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.bars import Row, deliver, exact, walk
from stock_assets_tests.support.comparison import assert_alike
from stock_assets_tests.support.scenes import Scene, content
from stock_assets_tests.support.steps import LIMITS, local_backend, parts, published_rows

pytestmark = pytest.mark.slow

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def backends(tmp_path: Path, aws: AwsEmulator) -> list[Backend]:
    return [local_backend(tmp_path / "backend"), athena_backend(aws.endpoint, tmp_path / "backend")]


def compare_served(backends: Sequence[Backend]) -> None:
    """Compare every row of every view, and the summary, except for the order in which windows and means are added."""
    for view in VIEWS.values():
        assert_alike(*(run_query(backend, f"SELECT * FROM {view.full_name}") for backend in backends))
    for of_local, of_aws in zip(*map(summary, backends), strict=True):
        assert of_aws == replace(of_local, avg_price_90d=of_aws.avg_price_90d)
        assert of_aws.avg_price_90d == pytest.approx(of_local.avg_price_90d, rel=1e-12)


def judged(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """Return the results of the checks of a run, without values that name the load."""
    return {
        check.check_name: (
            check.passed,
            check.severity,
            check.description,
            {name: of.value for name, of in check.metadata.items() if name not in ("load", "last request", "since")},
        )
        for check in result.get_asset_check_evaluations()
    }


def test_both_backends_publish_the_recording_identically(backends: list[Backend], tmp_path: Path) -> None:
    """Thirteen years of five symbols, through the job, in three runs; the run of the middle years is the last one."""
    kinds = (
        Settings(data_dir=tmp_path / "local"),
        Settings(data_dir=tmp_path / "aws", backend=BackendName.AWS, aws_bucket=BUCKET, aws_region=REGION),
    )
    jobs = [
        build_definitions(
            settings, pipeline=replace(Pipeline.from_settings(settings), backend=backend)
        ).resolve_job_def(JOB_NAME)
        for settings, backend in zip(kinds, backends, strict=True)
    ]
    ends = (FIRST_SESSION, date(2004, 12, 31), date(2008, 12, 31), LAST_SESSION)
    for number in (0, 2, 1):
        first = ends[number] + timedelta(days=1 if number else 0)
        found = []
        for settings, job in zip(kinds, jobs, strict=True):
            with local_instance(settings) as instance:
                tags = range_tags(sessions_between(first, ends[number + 1])[0], ends[number + 1])
                result = job.execute_in_process(instance=instance, tags=tags, run_config=_QUIET)
            found.append(judged(result))
        assert found[1] == found[0]

    local, aws = (content(backend) for backend in backends)
    assert len(local[0]) == 12_154
    assert exact(aws[0]) == exact(local[0])
    assert exact(aws[1]) == exact(local[1])
    compare_served(backends)


SYMBOLS = ("CALM", "CENT", "GIANT", "HALT", "LATE", "SPLIT", "TEXT", "WRONG")
SESSIONS = sessions_between(date(2011, 9, 1), date(2012, 3, 30))
LISTED_LATE = SESSIONS[60]
PARTS = (SESSIONS[:50], SESSIONS[100:], SESSIONS[50:100])
NO_NUMBERS = (
    "",
    " ",
    "n/a",
    "NaN",
    "Infinity",
    "-inf",
    "1e3",
    "1E-3",
    "+5",
    ".5",
    "5.",
    "1_000",
    "0x1F",
    "1 000",
    "--1",
    "٣",
    "½",
    "null",
    "true",
    "1000000000000000",
    "9" * 400,
    "0." + "1" * 21,
)
VOLUMES = (0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), -1, 10**30)
ENDS = ("0.0001", "0.00011", "0.1", "1", "99999999999.9999", "123456789012.3456", "999999999999.99999999", "1e15")


def generated(seed: int) -> dict[str, dict[date, str]]:
    """Return bars of which a third is unusual in some way, the same for each seed.

    No value is "-0": the UPDATE of DuckDB, which emulates Athena's, keeps the sign of a zero.
    """
    dice = random.Random(seed)  # noqa: S311 (repeatable prices, no secret)
    bars = {symbol: walk(f"{symbol}{seed}", SESSIONS) for symbol in SYMBOLS}
    for day in SESSIONS:
        scale = dice.choice((1e-4, 1e-2))
        bars["CENT"][day] = _scaled(bars["CENT"][day], scale, volume=dice.choice(VOLUMES))
        bars["GIANT"][day] = _scaled(bars["GIANT"][day], 1e9, volume=dice.choice(VOLUMES))
        if dice.random() < 0.3:
            low, open_, close, high = sorted(dice.choices(ENDS, k=4), key=float)
            bars["GIANT"][day] = f"{open_},{high},{low},{close},{dice.choice(VOLUMES)}"
        if dice.random() < 0.4:
            fields = bars["TEXT"][day].split(",")
            fields[dice.randrange(5)] = dice.choice(NO_NUMBERS)
            bars["TEXT"][day] = ",".join(fields)
        if dice.random() < 0.3:
            fields = bars["WRONG"][day].split(",")
            bars["WRONG"][day] = ",".join([*dice.sample(["0", "-1", "-2.5", "0.0", *fields[:4]], k=4), fields[4]])
        if day < LISTED_LATE:
            del bars["LATE"][day]
    for start, length in ((40, 25), (90, 8)):
        for day in SESSIONS[start : start + length]:
            del bars["HALT"][day]
    return bars


def _scaled(line: str, scale: float, *, volume: int) -> str:
    *prices, _ = line.split(",")
    return ",".join([*(f"{float(price) * scale:.8f}" for price in prices), str(volume)])


class Pair:
    """One vendor and two backends; each step runs on both."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.source = ScriptedSource()
        listings = (Listing(name, name, LISTED_LATE) if name == "LATE" else Listing(name, name) for name in SYMBOLS)
        universe = Universe(tuple(listings))
        limits = replace(LIMITS, min_coverage=0.0, max_quarantined_share=1.0)
        self.scenes = [Scene(backend, self.source, universe, limits) for backend in backends]
        self.evening = closing_time(SESSIONS[-1])

    def deliver(self, bars: Mapping[str, Mapping[date, str]]) -> None:
        """Store the same responses in both, received at the same time, one hour after the last ones."""
        self.evening += timedelta(hours=1)
        for symbol, of_symbol in bars.items():
            self.source.set_bars(symbol, of_symbol)
            for scene in self.scenes:
                deliver(scene.backend, symbol, self.source.fetch_prices(symbol, []), self.evening)

    def load(self, sessions: Sequence[date]) -> None:
        """Stage, audit and publish in both, and compare the verdicts before and the tables after."""
        for scene in self.scenes:
            fetch_splits(parts(scene.backend, self.source, scene.universe))
        local, aws = (list(self._verdicts(scene, sessions)) for scene in self.scenes)
        assert aws == local
        done = [scene.publish(sessions) for scene in self.scenes]
        local_counts, aws_counts = ([_counts(one.prices), _counts(one.quarantine)] for one in done)
        assert aws_counts == local_counts
        for table in PUBLISHED_TABLES:
            local_rows, aws_rows = (_without_load(published_rows(scene.backend, table)) for scene in self.scenes)
            assert aws_rows == local_rows

    @staticmethod
    def _verdicts(scene: Scene, sessions: Sequence[date]) -> Iterator[object]:
        load = scene.stage(sessions)
        for verdict in audit_load(scene, load):
            yield verdict.audit.name, verdict.bad_rows, verdict.blocks, verdict.sample, verdict.sessions


def _counts(commit: Commit) -> tuple[int, int]:
    return commit.added, commit.removed


def _without_load(rows: Sequence[Row]) -> list[dict[str, object]]:
    return exact([{name: value for name, value in row.items() if name != "load_id"} for row in rows])


@pytest.mark.parametrize("seed", [1, 2])
def test_both_backends_publish_generated_bars_identically(backends: list[Backend], seed: int) -> None:
    pair, bars = Pair(backends), generated(seed)
    pair.deliver(bars)
    for part in PARTS:
        pair.load(part)
    # Splits that become known late, one of each kind, and an unusual ratio; then corrections, with
    # another response per symbol.
    pair.source.set_splits("SPLIT", {SESSIONS[30]: "2.0000", SESSIONS[80]: "0.1000", SESSIONS[120]: "1.0500"})
    pair.load(SESSIONS[-3:])
    corrected = generated(seed + 100)
    pair.deliver({symbol: {**bars[symbol], **dict(list(corrected[symbol].items())[40:90])} for symbol in SYMBOLS})
    pair.load(SESSIONS[45:75])

    rows = published_rows(backends[1])
    volumes = {row["volume"] for row in rows}
    assert {0, 2**53 + 1, 2**63 - 1} <= volumes
    closes = [float(str(row["close_price"])) for row in rows]
    assert min(closes) < 0.01
    assert max(closes) > 1e11
    audits = {row["audit"] for row in published_rows(backends[1], QUARANTINED_PRICES)}
    assert {"text_is_numeric", "ohlcv_complete", "prices_positive", "volume_not_negative"} <= audits
    assert {row["split_factor"] for row in rows if row["symbol"] == "SPLIT"} == {1.0, 2.0, 0.2, 0.21}
    assert {row["symbol"] for row in published_rows(backends[1], DAILY_PRICES)} == set(SYMBOLS)
    compare_served(backends)
