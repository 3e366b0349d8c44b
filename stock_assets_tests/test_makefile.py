"""The Makefile lists its targets, and the set-up checks the hash of every package except pip and uv."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCK, LOCK_DEV, LOCK_SERVER = (
    (ROOT / f"requirements{kind}.lock").read_text(encoding="utf-8") for kind in ("", "-dev", "-server")
)


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_help_lists_every_target_with_its_description() -> None:
    listed = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in make("help").splitlines()}
    [targets] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(listed) == set(targets.split())


def test_the_continuous_integration_calls_only_targets_of_the_makefile() -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    for file in [ROOT / ".ci" / "run", *sorted((ROOT / ".github" / "workflows").glob("*.yaml"))]:
        text = file.read_text(encoding="utf-8")
        called = re.findall(r"^ *(?:- run: |nice )?make ([a-z -]+?)(?: >.*)?$", text, re.MULTILINE)
        called += [target.replace(",", " ") for target in re.findall(r"target: \[(.*)\]", text)]
        names = {name for line in called for name in line.split()}
        assert names, file
        assert names <= set(targets.split()), file


def pins(lock: str) -> dict[str, str]:
    """Version and hashes per package."""
    return {
        re.split(r"[\[=]", pin)[0]: pin.split("==", 1)[1].split(" ;")[0] for pin in re.split(r"\n(?=\S)", lock.strip())
    }


@pytest.mark.parametrize("lock", [LOCK, LOCK_DEV, LOCK_SERVER], ids=["run", "dev", "server"])
def test_every_pin_has_a_hash_and_no_package_index_is_named(lock: str) -> None:
    assert "://" not in lock
    texts = re.split(r"\n(?=\S)", lock.strip())
    assert all(re.match(r"[a-z0-9.-]+(\[[a-z0-9, -]+\])?==", text) and "--hash=sha256:" in text for text in texts)


def test_the_tests_run_with_the_versions_that_make_run_installs() -> None:
    assert pins(LOCK).items() <= pins(LOCK_DEV).items()


def test_servers_run_with_the_tested_versions_a_driver_for_postgres_and_apprise() -> None:
    assert pins(LOCK_SERVER).items() <= pins(LOCK_DEV).items()
    assert pins(LOCK_SERVER).keys() - pins(LOCK).keys() == {
        "dagster-postgres",
        "psycopg2-binary",
        *("apprise", "markdown", "oauthlib", "requests-oauthlib"),
    }


def test_make_run_installs_no_tool_of_the_tests() -> None:
    tools = {"pytest", "moto", "mypy", "ruff", "cfn-lint", "selenium", "hypothesis", "polars", "trino"}
    assert tools - {"polars"} <= pins(LOCK_DEV).keys()
    assert not tools & pins(LOCK).keys()
    assert "requirements-dev.lock" not in make("--dry-run", "--always-make", "run")
    assert "requirements-dev.lock" in make("--dry-run", "--always-make", "test")


def test_the_build_backend_is_locked_and_nothing_is_built_in_isolation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in [*project["build-system"]["requires"], "editables"]:
        name = re.split(r"[^a-z-]", requirement)[0]
        assert re.search(rf"^{name}==", LOCK, re.MULTILINE), name
    steps = re.split(r"&&|\|\||\n", make("--dry-run", "--always-make", "run").replace("\\\n", " "))
    installs = [step.split() for step in steps if "pip install" in step]
    assert len(installs) == 4
    for words in installs:
        # pip would download the build backend of a source distribution without checking a hash.
        only_wheels = {"--only-binary", ":all:"} <= set(words)
        assert only_wheels == ("--editable" not in words)
        allowed = (
            words[-1] == "uv" or "--require-hashes" in words or {"--no-deps", "--no-build-isolation"} <= set(words)
        )
        assert allowed, words


def test_the_function_contains_the_versions_of_the_lock_file() -> None:
    lock = pins((ROOT / "infra" / "aws" / "lambda.lock").read_text(encoding="utf-8"))
    assert {"pydantic", "requests", "dagster-pipes"} <= lock.keys()
    assert lock.items() <= pins(LOCK).items()
    assert not lock.keys() & {"boto3", "botocore", "dagster", "pandas", "pyarrow", "numpy"}
