"""The name under which Dagster's web server, daemon and runs know this project.

Belongs here: the name of the code location, and a workspace file that sets it. Does not belong here: the definitions.

The UI finds runs by a tag with the label of their repository, `__repository__@<code location>`. A run without the tag,
or with another name in it, is missing in *Overview > Timeline* and on the page of its job.
"""

import json
from pathlib import Path

from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

CODE_LOCATION = "stock_assets"
"""`workspace.yaml` and `pyproject.toml` repeat it for `dagster` and `dg`, which read no Python."""
REPOSITORY_TAGS = {REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{CODE_LOCATION}"}
"""Tags of a run that belongs to this code location."""
WORKSPACE_FILE = "workspace.yaml"
_MODULE = "stock_assets.definitions"


def write_workspace(folder: Path, module: str = _MODULE) -> Path:
    """Write a workspace file with this code location and return its path; an installed wheel has none to point to."""
    file = folder / WORKSPACE_FILE
    location = {"python_module": {"module_name": module, "location_name": CODE_LOCATION}}
    # JSON is YAML.
    file.write_text(json.dumps({"load_from": [location]}), encoding="utf-8")
    return file
