"""An upgrade of pyiceberg that moves a private name fails here, with the reason why the project needs the name."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import stock_assets
import stock_assets_tests

MODULE = Path(stock_assets.__path__[0]) / "backends" / "pyiceberg_internals.py"
IMPORTED = (
    "pyiceberg.io.pyarrow:_dataframe_to_data_files",
    "pyiceberg.table.update.snapshot:_FastAppendFiles",
    "pyiceberg.table.update.snapshot:_OverwriteFiles",
)


def private_imports(file: Path) -> Iterator[str]:
    """Yield the private names of pyiceberg that a file imports, as `module:name`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyiceberg"):
            for alias in node.names:
                if alias.name.startswith("_") or "._" in (node.module or ""):
                    yield f"{node.module}:{alias.name}"


def overridden() -> dict[str, str]:
    """Read the list without importing the module, which an upgrade may have broken."""
    for node in ast.parse(MODULE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OVERRIDDEN":
            return dict(ast.literal_eval(node.value))
    raise AssertionError(f"{MODULE} has no OVERRIDDEN")


def require(name: str) -> object:
    """Return the object of `module:name`, or fail with a message with the remedy."""
    module, _, path = name.partition(":")
    try:
        found: object = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(
            f"This version of pyiceberg has no {name} ({error}). Read in {MODULE} why the project needs it, find its "
            "new name or a public replacement, and adapt that module"
        )
    return found


@pytest.mark.parametrize("name", IMPORTED)
def test_pyiceberg_has_every_private_name_that_is_imported(name: str) -> None:
    assert callable(require(name))


@pytest.mark.parametrize("name", overridden())
def test_pyiceberg_has_every_private_member_that_is_overridden(name: str) -> None:
    assert require(name) is not None


def test_only_one_module_imports_private_names_of_pyiceberg() -> None:
    roots = [Path(package.__path__[0]) for package in (stock_assets, stock_assets_tests)]
    importing = {file: set(private_imports(file)) for root in roots for file in root.rglob("*.py")}

    assert {file: names for file, names in importing.items() if names} == {MODULE: set(IMPORTED)}
