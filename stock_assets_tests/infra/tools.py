"""Tools that only `make test-infra` needs: checkov, hadolint and a simulator of IAM, outside the repository.

Belongs here: where they are and how they are installed. Does not belong here: what the tests do with them.

`python -m stock_assets_tests.infra.tools` installs them into the user's cache, in a folder named after the lock files,
so that all checkouts share it. The simulator has the licence AGPL: it is a separate process of the tests and is never
distributed. If a tool cannot be installed, the reason is kept and its tests are skipped with it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
_FILES = ("checkov.lock", "hadolint.lock", "package.json", "package-lock.json", ".npmrc")
_REASON = "reason"


def folder() -> Path:
    """Return the folder of the tools, which may not exist yet."""
    digest = hashlib.sha256(b"".join((LOCKS / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "stock_assets" / f"infra-tools-{digest}"


def checkov() -> Path:
    """Return the program checkov."""
    return folder() / "checkov" / "bin" / "checkov"


def hadolint() -> Path:
    """Return the program hadolint."""
    return folder() / "hadolint" / "bin" / "hadolint"


def simulator() -> Path:
    """Return the folder in which the simulator of IAM is installed."""
    return folder() / "node"


def missing(tool: Path) -> str:
    """Return why a tool is not installed; empty if it is."""
    if tool == simulator():
        tool /= "node_modules/.package-lock.json"
    if tool.exists():
        return ""
    reason = folder() / _REASON
    why = f": {reason.read_text(encoding='utf-8')}" if reason.exists() else ""
    return f"{tool} is not installed{why}; run `make test-infra`"


def install() -> None:
    """Install what is not installed yet; keep the reason if a tool cannot be installed."""
    there = folder()
    there.mkdir(parents=True, exist_ok=True)
    (there / _REASON).unlink(missing_ok=True)
    reasons = []
    for tool in (checkov(), hadolint(), simulator()):
        if missing(tool):
            try:
                if tool == simulator():
                    _install_simulator()
                else:
                    _install_program(tool)
            except (OSError, subprocess.CalledProcessError) as error:
                output = getattr(error, "stderr", None) or error
                reasons.append(f"{tool.name}: {str(output).strip()[-500:]}")
    if reasons:
        (there / _REASON).write_text("; ".join(reasons), encoding="utf-8")
        sys.stderr.write(f"The tests of these tools are skipped: {'; '.join(reasons)}\n")


def _install_program(program: Path) -> None:
    """Install a program with its lock file into an environment of its own."""
    place = program.parents[1]
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    lock = ["--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCKS / f"{program.name}.lock")]
    uv = Path(sys.executable).with_name("uv")
    try:
        _run(str(uv), "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *lock)
    except (OSError, subprocess.CalledProcessError):
        # uv does not read pip's settings, so that it may find no package index.
        _run(str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *lock)


def _install_simulator() -> None:
    place = simulator()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in _FILES[2:]:
        shutil.copy(LOCKS / name, place)
    _run("npm", "ci", "--silent", cwd=place)


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    install()
