"""Build the zip file of the Lambda function: `make lambda-zip`.

Belongs here: which files the function needs, and packing them. Does not belong here: the function (`aws_lambda`),
uploading the file (the commands `stock-assets aws`).

The file contains the modules that the function imports, found by importing it, and the wheels of
`infra/aws/lambda.lock`, whose hashes pip compares. boto3 is not among them; `aws_lambda` gives the reason. Equal inputs
give an equal file, so that a deployment can compare it with the deployed one.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from importlib.resources import as_file
from pathlib import Path

from stock_assets.core.errors import DeploymentFailed
from stock_assets.core.sql import bundled
from stock_assets.core.text import plural

PYTHON = "3.12"
PLATFORM = "manylinux2014_aarch64"
"""Version and platform of the function in `infra/aws/ingestion.yaml`."""
LARGEST_BYTES = 10_000_000
LOCK = "lambda.lock"
_ROOT = Path(__file__).parents[2]
_DATA = ("stock_assets/core/exchange_calendar.csv", "stock_assets/universes/semiconductors.csv")
_IMPORTED = """
import sys
import stock_assets.aws_lambda, stock_assets.sources.alpha_vantage, stock_assets.backends.lakehouse.secret
print(*(module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "stock_assets"), sep="\\n")
"""
_MODIFIED = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can contain."""
_PERMISSIONS = 0o644 << 16


def build(target: Path, *, python: str = PYTHON, platform: str = PLATFORM) -> int:
    """Build the zip file for a version of Python and a platform, as pip names it; return its size.

    Raises:
        DeploymentFailed: a wheel cannot be downloaded, or the file is larger than 10 MB.
    """
    content = {name: (_ROOT / name).read_bytes() for name in (*_modules(), *_DATA)} | _wheels(python, platform)
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _MODIFIED)
            entry.external_attr = _PERMISSIONS
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, content[name])
    size = target.stat().st_size
    if size > LARGEST_BYTES:
        raise DeploymentFailed(
            f"{target} has {plural(size, 'byte')}, more than {LARGEST_BYTES:,}; see infra/aws/{LOCK}"
        )
    return size


def _modules() -> list[str]:
    """Return the package's modules that the function imports, as paths below the root."""
    found = subprocess.run([sys.executable, "-c", _IMPORTED], check=True, capture_output=True, text=True)  # noqa: S603 (our own program)
    return [Path(line).relative_to(_ROOT).as_posix() for line in found.stdout.splitlines()]


def _wheels(python: str, platform: str) -> dict[str, bytes]:
    """Download the locked wheels; return their files without type stubs."""
    found: dict[str, bytes] = {}
    with as_file(bundled("infra/aws").joinpath(LOCK)) as lock, tempfile.TemporaryDirectory() as folder:
        options = ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--python-version", python]
        options += ["--platform", platform, "--implementation", "cp", "--dest", folder, "--requirement", str(lock)]
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (as above)
        if done.returncode:
            raise DeploymentFailed(
                f"The zip file of the Lambda function needs the wheels of infra/aws/{LOCK} for {platform}, and pip "
                f"cannot download them: {done.stderr.strip()}. Make pip and a package index available, or build the "
                "file elsewhere with `make lambda-zip`, upload it below artifacts/ of the bucket, and add "
                "--parameter CodeKey=KEY."
            )
        for wheel in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(wheel) as file:
                names = [name for name in file.namelist() if not name.endswith(("/", ".pyi"))]
                found |= {name: file.read(name) for name in names}
    return found


def main() -> None:
    """Build the file that the command line names."""
    arguments = argparse.ArgumentParser(description="Build the zip file of the Lambda function.")
    arguments.add_argument("target", type=Path)
    arguments.add_argument("--python", default=PYTHON)
    arguments.add_argument("--platform", default=PLATFORM)
    given = arguments.parse_args()
    size = build(given.target, python=given.python, platform=given.platform)
    sys.stdout.write(f"{given.target}: {plural(size, 'byte')}\n")


if __name__ == "__main__":
    main()
