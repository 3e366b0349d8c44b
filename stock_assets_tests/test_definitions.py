"""What Dagster sees: the definitions load anywhere, importing touches nothing, and no name changes unnoticed."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from pydantic import HttpUrl

from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.serve.views import VIEWS
from stock_assets.settings import Settings, SourceName

SNAPSHOT = Path(__file__).parent / "snapshots" / "definitions.json"

# An audit hook sees every file, socket and database Python touches. It must not report what the import system does.
_WATCHED_IMPORT = """
import importlib, json, pkgutil, sys

import dagster._core.storage.event_log.sqlite.sqlite_event_log
import dagster, duckdb, exchange_calendars, pyarrow.csv, pyarrow.parquet, pydantic_settings, pyiceberg.catalog.sql
import psutil, requests, rich.progress, sqlglot, typer, sqlite3, hashlib, uuid, shutil, tenacity, altair, vl_convert
import boto3, pyathena.cursor, pyiceberg.catalog.glue, dagster_aws.secretsmanager

touched = []
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.link", "sqlite3.connect", "socket.connect", "socket.getaddrinfo",
          "subprocess.Popen", "os.system", "shutil.copyfile", "tempfile.mkstemp"}

def watch(event, args):
    if event in WRITES:
        touched.append([event, str(args[:1])])
    elif event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so")):
        touched.append([event, args[0]])

import stock_assets
names = [m.name for m in pkgutil.walk_packages(stock_assets.__path__, "stock_assets.")
         if m.name not in ("stock_assets.__main__", "stock_assets.definitions")]
sys.dont_write_bytecode = True
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(json.dumps({"modules": len(names), "touched": touched}))
"""


def run_python(code: str, cwd: Path) -> str:
    """Run Python with an empty environment, elsewhere."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_every_module_touches_nothing(tmp_path: Path) -> None:
    report = json.loads(run_python(_WATCHED_IMPORT, tmp_path).splitlines()[-1])
    assert report["modules"] > 25
    assert report["touched"] == []
    assert list(tmp_path.iterdir()) == []


def test_definitions_load_with_an_empty_environment_and_write_nothing(tmp_path: Path) -> None:
    run_python("import stock_assets.definitions", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_dagster_validates_the_workspace_with_an_empty_environment() -> None:
    project = Path(__file__).parent.parent
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=project, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout


def test_names_are_as_they_were() -> None:
    """Run `python -m stock_assets_tests.test_definitions` to accept a wanted change."""
    assert describe() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_last_step_by_name_has_no_partitions() -> None:
    """Otherwise Dagster 1.13 plans every check once per session of a run; see `stock_assets.orchestration.assets.views`."""
    job = build_definitions(Settings()).resolve_job_def(JOB_NAME)
    last = max(node.name for node in job.nodes)
    partitioned = {
        job.asset_layer.get(key).assets_def.op.name
        for key in job.asset_layer.asset_graph.materializable_asset_keys
        if job.asset_layer.get(key).partitions_def
    }
    assert partitioned
    assert last not in partitioned


@pytest.mark.parametrize("table", ["staged/daily_prices", "published/daily_prices", "published/quarantined_prices"])
def test_tables_show_their_columns_with_descriptions(table: str) -> None:
    spec = build_definitions(Settings()).resolve_asset_graph().get(dg.AssetKey.from_user_string(table))
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert schema.columns
    assert all(column.description for column in schema.columns)


def specs(settings: Settings) -> list[dg.AssetSpec]:
    return list(build_definitions(settings).resolve_all_asset_specs())


def test_every_asset_says_whose_it_is_what_it_is_and_where_its_code_is() -> None:
    for spec in specs(Settings()):
        is_served = spec.key.path[-1] in VIEWS or spec.key.path[0] == "grafana"
        assert spec.group_name == ("served" if is_served else spec.key.path[0])
        assert spec.owners
        assert spec.kinds
        assert spec.description
        assert {"source", "cadence", "sensitivity"} <= spec.tags.keys()
        references = spec.metadata["dagster/code_references"].code_references
        assert all(isinstance(reference, dg.LocalFileCodeReference) for reference in references)
        python, *sql = [Path(reference.file_path) for reference in references]
        line = python.read_text(encoding="utf-8").splitlines()[references[0].line_number - 1]
        assert "@dg." in line or line.startswith(("def vendor_asset", "def dashboard_specs"))
        assert bool(sql) == (spec.key.path[0] in {"staged", "published", "grafana"})
        assert all(file.suffix == ".sql" and file.exists() for file in sql)


def test_where_the_code_has_an_address_links_lead_there() -> None:
    base = "https://code.example/prices/blob/main"
    project = Path(__file__).parent.parent
    found = {
        reference.url
        for spec in specs(Settings(code_url=HttpUrl(f"{base}/")))
        for reference in spec.metadata["dagster/code_references"].code_references
    }
    assert f"{base}/sql/serve/adjusted_prices.sql" in found
    for url in found:
        assert url.startswith(f"{base}/")
        assert (project / url.removeprefix(f"{base}/").partition("#")[0]).is_file()


@pytest.mark.parametrize("source", list(SourceName))
def test_every_check_job_schedule_and_sensor_is_described(source: SourceName) -> None:
    definitions = build_definitions(Settings(source=source))
    repository = definitions.get_repository_def()
    specs = [spec for check in definitions.asset_checks or [] for spec in check.check_specs]
    assert len(specs) > 20
    assert [spec.name for spec in specs if not spec.description] == []
    for job in repository.get_all_jobs():
        assert job.description or job.name.startswith("__"), job.name
    assert [schedule.name for schedule in repository.schedule_defs if not schedule.description] == []
    assert [sensor.name for sensor in repository.sensor_defs if not sensor.description] == []


def describe() -> dict[str, object]:
    """List what other systems and people know by name."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "group": graph.get(key).group_name,
                "kinds": sorted(graph.get(key).kinds),
                "owners": sorted(graph.get(key).owners),
                "partitioned": graph.get(key).is_partitioned,
                "described": bool(graph.get(key).description),
            }
            for key in sorted(graph.get_all_asset_keys())
        },
        "checks": sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in graph.asset_check_keys),
        "schedules": {
            schedule.name: f"{schedule.cron_schedule} {schedule.execution_timezone}"
            for schedule in build_definitions(Settings()).schedules or []
            if isinstance(schedule, dg.ScheduleDefinition)
        },
        "sensors": {
            sensor.name: f"every {sensor.minimum_interval_seconds} s, {sensor.default_status.value}"
            for sensor in build_definitions(Settings()).get_repository_def().sensor_defs
        },
        "jobs": sorted(
            job.name for job in build_definitions(Settings()).resolve_all_job_defs() if not job.name.startswith("__")
        ),
    }


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(describe(), indent=1) + "\n", encoding="utf-8")
