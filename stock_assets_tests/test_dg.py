"""Dagster's newer command line, `dg`, recognises the project: it checks, lists and launches the definitions."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.orchestration.runs import local_instance
from stock_assets.pipeline import Pipeline
from stock_assets.serve.query import summary
from stock_assets.settings import Settings

PROJECT = Path(__file__).parent.parent
FIRST, LAST = date(2013, 2, 27), date(2013, 3, 1)


def run_dg(folder: Path, *arguments: str) -> str:
    """Run `dg` in the project, with an instance and data in a folder; return its output."""
    settings = Settings(data_dir=folder)
    with local_instance(settings):
        pass
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "VIRTUAL_ENV": sys.prefix,
        "DAGSTER_HOME": str(settings.instance_dir),
        "STOCK_ASSETS_DATA_DIR": str(folder),
    }
    command = [str(Path(sys.executable).parent / "dg"), *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_dg_checks_the_definitions(tmp_path: Path) -> None:
    assert "All definitions loaded successfully." in run_dg(tmp_path, "check", "defs")


@pytest.mark.slow
def test_dg_lists_every_asset_and_job(tmp_path: Path) -> None:
    listed = json.loads(run_dg(tmp_path, "list", "defs", "--json"))
    specs = build_definitions(Settings()).resolve_all_asset_specs()
    assert {asset["asset_key"] for asset in listed["assets"]} == {spec.key.to_user_string() for spec in specs}
    assert JOB_NAME in {job["name"] for job in listed["jobs"]}


def test_every_step_of_the_job_accepts_a_range_in_one_run() -> None:
    """Steps without partitions too: `dg launch --partition-range` rejects the job otherwise."""
    layer = build_definitions(Settings()).resolve_job_def(JOB_NAME).asset_layer
    policies = {key.to_user_string(): layer.get(key).backfill_policy for key in layer.executable_asset_keys}
    assert policies == dict.fromkeys(policies, dg.BackfillPolicy.single_run())
    assert {"raw/splits", "published/price_trends"} <= policies.keys()


@pytest.mark.slow
def test_dg_launches_a_range_as_one_run(tmp_path: Path) -> None:
    check_one_run(tmp_path, "--job", JOB_NAME)


@pytest.mark.slow
def test_dg_launches_all_assets_for_a_range_as_one_run(tmp_path: Path) -> None:
    """*Materialize all* of the UI starts several runs, because some assets have no partitions."""
    check_one_run(tmp_path, "--assets", "*")


def check_one_run(tmp_path: Path, *selection: str) -> None:
    """Launch a selection for a range; it must be one run, which publishes every session."""
    run_dg(tmp_path, "launch", *selection, "--partition-range", f"{FIRST}...{LAST}")
    settings = Settings(data_dir=tmp_path)
    with local_instance(settings) as instance:
        [run] = instance.get_runs()
    assert run.is_success
    assert tagged_sessions(run.tags) == sessions_between(FIRST, LAST)
    assert {row.symbol: row.row_count for row in summary(Pipeline.from_settings(settings).backend)} == dict.fromkeys(
        ("AAPL", "FB", "GOOG", "IBM", "MSFT"), 3
    )
