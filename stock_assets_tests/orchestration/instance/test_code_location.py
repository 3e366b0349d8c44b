"""Every way to start Dagster uses the same name for the code location, and tags runs with it."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from stock_assets.cli.app import app
from stock_assets.orchestration.instance.code_location import CODE_LOCATION
from stock_assets.orchestration.instance.dagster_internals import REPOSITORY_LABEL_TAG
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.runs import local_instance, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.support.dagster_internals import (
    PyProjectFileTarget,
    WorkspaceFileTarget,
    WorkspaceProcessContext,
    location_origins_from_yaml_paths,
)

PROJECT = Path(__file__).parents[3]
WORKSPACE = PROJECT / "workspace.yaml"
SESSION = date(2013, 3, 1)


def names(workspace: Path) -> list[str]:
    """Names of the code locations that Dagster reads from a workspace file."""
    return [origin.location_name for origin in location_origins_from_yaml_paths([str(workspace)])]


def test_the_command_line_and_the_workspace_have_the_same_label(tmp_path: Path) -> None:
    """The page of a job finds its runs by this label, and the timeline by the origin."""
    settings = Settings(data_dir=tmp_path)
    run = run_sessions(settings, Pipeline.from_settings(settings), SESSION, SESSION, on_event=lambda _: None)
    assert run.success
    with local_instance(settings) as instance:
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(WORKSPACE)])) as process:
            [location] = process.create_request_context().code_locations
            [repository] = location.get_repositories().values()
            assert repository.has_job(JOB_NAME)
            origin = repository.get_remote_origin()
        [found] = instance.get_runs(dg.RunsFilter(job_name=JOB_NAME, tags={REPOSITORY_LABEL_TAG: origin.get_label()}))
    assert found.run_id == run.run_id
    assert found.is_success
    assert found.remote_job_origin is not None
    assert found.remote_job_origin.job_name == JOB_NAME
    assert found.remote_job_origin.repository_origin.get_label() == origin.get_label()


def test_the_files_that_name_the_code_location_agree() -> None:
    assert names(WORKSPACE) == [CODE_LOCATION]
    [by_pyproject] = PyProjectFileTarget(str(PROJECT / "pyproject.toml")).create_origins()
    assert by_pyproject.location_name == CODE_LOCATION
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    assert project["code_location_name"] == CODE_LOCATION


def test_the_ui_is_started_with_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Sequence[str]] = []
    links: list[str | None] = []
    pages: list[Sequence[str]] = []

    def execve(_: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        started.append(command)
        links.append(environment.get("STOCK_ASSETS_UI_URL"))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(subprocess, "Popen", pages.append)

    done = CliRunner().invoke(
        app, ["ui", "--port", "3001", "--page-port", "3002"], env={"STOCK_ASSETS_DATA_DIR": str(tmp_path)}
    )

    assert done.exit_code == 0, done.output
    [command] = started
    assert command[0] == sys.executable
    assert command[3:6] == ["-m", "dagster", "dev"]
    assert pages == [[sys.executable, "-m", "stock_assets", "--universe=", "live-page", "--port", "3002"]]
    assert names(Path(command[command.index("-w") + 1])) == [CODE_LOCATION]
    assert links == ["http://localhost:3001"], "alerts link to the page that was started"

    # This process is still the UI of the first folder.
    address = {"STOCK_ASSETS_DATA_DIR": str(tmp_path / "other"), "STOCK_ASSETS_UI_URL": "https://dagster.example"}
    assert CliRunner().invoke(app, ["ui", "--port", "3001"], env=address).exit_code == 0
    assert links[1] == "https://dagster.example"
