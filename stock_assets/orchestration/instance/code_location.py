"""The name of the code location, which Dagster's web server, daemon and runs share.

Belongs here: the name, a workspace file that sets it, and what makes a run belong to it. Does not belong here: the
definitions.

The page of a job finds runs by a tag with the label of their repository, `__repository__@<code location>`. *Overview >
Timeline* shows only runs that have a job origin, which Dagster gives to runs of the UI and the daemon alone.
"""

import json
from pathlib import Path

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import (
    REPOSITORY_LABEL_TAG,
    SINGLETON_REPOSITORY_NAME,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

CODE_LOCATION = "stock_assets"
"""`workspace.yaml` and `pyproject.toml` repeat the name, because `dagster` and `dg` read it from there."""
REPOSITORY_TAGS = {REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{CODE_LOCATION}"}
"""Tags of a run that belongs to this code location."""
WORKSPACE_FILE = "workspace.yaml"
_MODULE = "stock_assets.definitions"


def write_workspace(folder: Path, module: str = _MODULE) -> Path:
    """Write a workspace file with this code location and return its path; a wheel contains no workspace file."""
    file = folder / WORKSPACE_FILE
    location = {"python_module": {"module_name": module, "location_name": CODE_LOCATION}}
    # JSON is YAML.
    file.write_text(json.dumps({"load_from": [location]}), encoding="utf-8")
    return file


def add_job_origin(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give an ended run the origin of its job, so that the timeline of the UI shows it.

    A run in progress gets none: Dagster's daemon would retry it if its process were killed.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.remote_job_origin is None:
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), SINGLETON_REPOSITORY_NAME)
        instance.run_storage.replace_job_origin(run, RemoteJobOrigin(repository, run.job_name))
