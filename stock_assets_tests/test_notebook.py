"""The example notebook runs on recorded data, and its stored outputs are those of the run.

After an intended change: `python -m stock_assets_tests.test_notebook` executes the notebook and stores the outputs.
"""

import json
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from stock_assets.core.calendar import sessions_between
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

NOTEBOOK = Path(__file__).parent.parent / "examples" / "daily_prices.ipynb"
LAST_YEAR = sessions_between(date(2012, 3, 1), date(2013, 3, 1))


def execute(folder: Path) -> nbformat.NotebookNode:
    """Execute the notebook in a folder below one with the data of `make run`; return it with outputs."""
    pipeline = Pipeline.from_settings(Settings(data_dir=folder / "data"))
    pipeline.fetch(LAST_YEAR)
    pipeline.stage(LAST_YEAR)
    pipeline.publish(LAST_YEAR)
    working = folder / "examples"
    working.mkdir()
    notebook: nbformat.NotebookNode = stored()
    for cell in notebook.cells:
        cell.metadata = {}
    # Jupyter writes files of its own below these folders.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name))
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", record_timing=False, resources={"metadata": {"path": working}}
        ).execute(env=dict(os.environ))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def stored() -> nbformat.NotebookNode:
    """Read the notebook."""
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # the library's
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Return the outputs by cell."""
    code = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    found: dict[str, Any] = json.loads(json.dumps(code))
    return found


@pytest.mark.slow
def test_the_stored_outputs_are_those_of_a_run(tmp_path: Path) -> None:
    executed = outputs(execute(tmp_path))
    assert executed == outputs(stored())
    assert all(executed.values()), "each cell has a result"


def test_the_notebook_names_no_folder_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not [name for name in ("/home/", "/root/", "/tmp/", "/work/", "/Users/") if name in text]  # noqa: S108 (searched, not used)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        text = json.dumps(execute(Path(temporary)), indent=1, ensure_ascii=False)
        NOTEBOOK.write_text(f"{text}\n", encoding="utf-8")
