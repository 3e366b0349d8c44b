"""Private names of Dagster are imported in two modules only, and each exists in the installed version."""

import ast
import importlib
from pathlib import Path

import dagster as dg
import pytest

from stock_assets_tests.support.dagster_internals import DefsStateStorage

PROJECT = Path(__file__).parents[3]
INTERNALS = {
    PROJECT / "stock_assets" / "orchestration" / "instance" / "dagster_internals.py",
    PROJECT / "stock_assets_tests" / "support" / "dagster_internals.py",
}
PRIVATE = ("dagster._", "dagster_shared")


def private_names(file: Path) -> list[tuple[str, str, str]]:
    """Return module, name and reason of each private name that a module imports."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(PRIVATE):
            above = [line for line in reversed(lines[: node.lineno - 1]) if not line.startswith("from ")]
            reason = above[0].removeprefix("# ") if above and above[0].startswith("#") else ""
            found += [(str(node.module), alias.name, reason) for alias in node.names]
    return found


NAMES = [name for file in sorted(INTERNALS) for name in private_names(file)]


@pytest.mark.parametrize(("module", "name", "reason"), NAMES, ids=[f"{module}.{name}" for module, name, _ in NAMES])
def test_the_installed_dagster_has_each_private_name(module: str, name: str, reason: str) -> None:
    try:
        exists = hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        exists = False
    assert exists, (
        f"Dagster {dg.__version__} has no {module}.{name} ({reason}). Find its successor: dagster_internals.py"
    )


def test_each_private_name_has_a_reason() -> None:
    assert len(NAMES) > 30
    assert [f"{module}.{name}" for module, name, reason in NAMES if not reason] == []


def test_the_installed_dagster_has_each_method_that_is_called_or_overridden() -> None:
    from stock_assets.orchestration.instance.dagster_internals import USED_METHODS  # noqa: PLC0415 (the test above first)

    missing = [
        f"{cls.__name__}.{name}" for cls, names in USED_METHODS.items() for name in names if not hasattr(cls, name)
    ]
    assert missing == [], f"Dagster {dg.__version__} has no {', '.join(missing)}; see dagster_internals.py"


def uses_of_private_names(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(PRIVATE):
            found.append(str(node.module))
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith(PRIVATE)]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"dg", "dagster"}:
            found += [f"dg.{node.attr}"] if node.attr.startswith("_") and not node.attr.endswith("__") else []
    return found


def test_no_other_module_uses_private_names() -> None:
    files = [file for folder in ("stock_assets", "stock_assets_tests") for file in (PROJECT / folder).rglob("*.py")]
    found = {str(file): names for file in files if file not in INTERNALS and (names := uses_of_private_names(file))}
    assert found == {}


never_left: list[dg.DagsterInstance] = []


@pytest.mark.parametrize("test", ["first", "second"])
def test_a_test_does_not_use_the_storage_of_an_instance_of_an_earlier_test(test: str, tmp_path: Path) -> None:
    assert DefsStateStorage.get() is None
    never_left.append(dg.DagsterInstance.local_temp(str(tmp_path)).__enter__())
    assert DefsStateStorage.get() is not None
