"""The definitions load in any environment, imports have no side effects, and names do not change unnoticed."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from pydantic import HttpUrl

from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.keys import REPORT
from stock_assets.settings import BackendName, Settings, SourceName

SNAPSHOT = Path(__file__).parent / "snapshots" / "definitions.json"

# An audit hook reports every file, socket and database that Python opens, except the files of the import system.
_AUDITED_IMPORT = """
import importlib, json, pkgutil, sys

import dagster._core.storage.event_log.sqlite.sqlite_event_log
import dagster, duckdb, exchange_calendars, pyarrow.csv, pyarrow.parquet, pydantic_settings, pyiceberg.catalog.sql
import psutil, requests, rich.progress, sqlglot, typer, sqlite3, hashlib, uuid, shutil, tenacity, starlette, uvicorn
import boto3, pyathena.cursor, pyiceberg.catalog.glue, dagster_aws.secretsmanager

touched = []
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.link", "sqlite3.connect", "socket.connect", "socket.getaddrinfo",
          "subprocess.Popen", "os.system", "shutil.copyfile", "tempfile.mkstemp"}

def report(event, args):
    if event in WRITES:
        touched.append([event, str(args[:1])])
    elif event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so")):
        touched.append([event, args[0]])

import stock_assets
names = [m.name for m in pkgutil.walk_packages(stock_assets.__path__, "stock_assets.")
         if m.name not in ("stock_assets.__main__", "stock_assets.definitions")]
sys.dont_write_bytecode = True
sys.addaudithook(report)
for name in names:
    importlib.import_module(name)
print(json.dumps({"modules": len(names), "touched": touched}))
"""


def run_python(code: str, cwd: Path) -> str:
    """Run Python with an empty environment in another folder."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_every_module_has_no_side_effects(tmp_path: Path) -> None:
    report = json.loads(run_python(_AUDITED_IMPORT, tmp_path).splitlines()[-1])
    assert report["modules"] > 25
    assert report["touched"] == []
    assert list(tmp_path.iterdir()) == []


def test_definitions_load_with_an_empty_environment_and_write_nothing(tmp_path: Path) -> None:
    """The definitions of the daemon tests too: they find every function that they hold."""
    project = Path(__file__).parent.parent
    run_python(
        "import stock_assets.definitions, sys\n"
        f"sys.path.insert(0, {str(project)!r})\n"
        "import stock_assets_tests.support.gated_definitions",
        tmp_path,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_dagster_validates_the_workspace_with_an_empty_environment() -> None:
    project = Path(__file__).parent.parent
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=project, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout


def test_names_equal_the_snapshot() -> None:
    """Run `python -m stock_assets_tests.test_definitions` to accept an intended change."""
    assert describe() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_last_step_by_name_has_no_partitions() -> None:
    """Otherwise Dagster 1.13 plans every check once per session of a run; see `orchestration.assets.views`."""
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


def test_every_asset_has_an_owner_a_description_and_links_to_its_code() -> None:
    for spec in specs(Settings()):
        assert spec.group_name == spec.key.path[0]
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


def test_links_lead_to_the_code_host_if_its_address_is_set() -> None:
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


def test_cadence_follows_the_membership_in_the_daily_job() -> None:
    members = build_definitions(Settings()).resolve_job_def(JOB_NAME).asset_layer.asset_graph.materializable_asset_keys
    for settings, usual in ((Settings(source=SourceName.ALPHA_VANTAGE), "each_session"), (Settings(), "on_demand")):
        cadences = {spec.key: spec.tags["cadence"] for spec in specs(settings)}
        assert {key for key, cadence in cadences.items() if cadence == usual} == members
    assert {key for key, cadence in cadences.items() if cadence == "on_change"} == {REPORT}
    assert {key.path[0] for key, cadence in cadences.items() if cadence == "external"} == {"vendor", "grafana"}


def test_on_aws_the_report_is_materialized_on_demand() -> None:
    settings = Settings(
        source=SourceName.ALPHA_VANTAGE, backend=BackendName.AWS, aws_bucket="a-bucket", aws_region="eu-central-1"
    )
    assert {spec.key for spec in specs(settings) if spec.tags["cadence"] == "on_demand"} == {REPORT}


def test_the_resource_shows_backend_source_and_symbols_and_no_configuration() -> None:
    settings = Settings(source=SourceName.ALPHA_VANTAGE)
    resource = (build_definitions(settings).resources or {})["pipeline"]
    assert isinstance(resource, dg.ResourceDefinition)
    assert resource.description is not None
    for shown in ("LocalBackend", "Alpha Vantage", "NVDA", "docs/settings.md"):
        assert shown in resource.description
    repository = build_definitions(settings).get_repository_def()
    assert repository.get_top_level_resources()["pipeline"].config_schema.as_field().is_required is False


def test_a_run_configuration_cannot_change_the_resource() -> None:
    job = build_definitions(Settings()).resolve_job_def(JOB_NAME)
    with pytest.raises(dg.DagsterInvalidConfigError, match="data_dir"):
        job.execute_in_process(
            instance=dg.DagsterInstance.ephemeral(),
            partition_key="2013-03-01",
            run_config={"resources": {"pipeline": {"config": {"data_dir": "/elsewhere"}}}},
        )


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
    """Return the names that other systems and people depend on."""
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
