"""The name of the code location, which Dagster's web server, daemon and runs share.

Belongs here: the name, and a workspace file that sets it. Does not belong here: the definitions.

The UI finds runs by a tag with the label of their repository, `__repository__@<code location>`. A run without the tag,
or with another name in it, is missing in *Overview > Timeline* and on the page of its job.
"""

import json
from pathlib import Path

from stock_assets.orchestration.instance.dagster_internals import REPOSITORY_LABEL_TAG, SINGLETON_REPOSITORY_NAME

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
