"""The Makefile lists its targets, and the set-up checks the hash of every package except pip and uv."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


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


def test_every_pin_has_a_hash_and_no_package_index_is_named() -> None:
    assert "://" not in LOCK
    pins = re.split(r"\n(?=\S)", LOCK.strip())
    assert all(re.match(r"[a-z0-9.-]+(\[[a-z0-9, -]+\])?==", pin) and "--hash=sha256:" in pin for pin in pins)


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
