"""ministack, an AWS emulator of other authors than moto's: where both agree, S3 probably behaves the same way.

Belongs here: starting and stopping it. Does not belong here: the tests on it (`backends/lakehouse/test_ministack`).

ministack pins botocore to one version, so it has a separate virtual environment (`make ministack`) and is a separate
process. It listens on the loopback interface only, and its services besides HTTP are switched off.
"""

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from stock_assets_tests.support.ledger_cache import own_ledger_cache
from stock_assets_tests.support.ports import free_port

PROGRAM = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "ministack"
HOW_TO_INSTALL = "ministack is not installed; run `make ministack`"
_PATIENCE_SECONDS = 180


@contextmanager
def running_ministack(*, checks_policies: bool = False) -> Iterator[str]:
    """Start an empty ministack on a free port; yield its address.

    Args:
        checks_policies: whether it checks signatures and rejects calls that no policy allows.

    Raises:
        TimeoutError: it does not respond; the message contains the end of its log.
    """
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "AUTH": str(checks_policies).lower(),
    }
    with own_ledger_cache(), tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [PROGRAM],
                env={**environment, "HOME": folder, "TMPDIR": folder},
                cwd=folder,
                stdout=written,
                stderr=written,
            )
        endpoint = f"http://127.0.0.1:{port}"
        try:
            _wait(process, endpoint, log)
            yield endpoint
        finally:
            process.terminate()
            process.wait(_PATIENCE_SECONDS)


def runtime_of_lambda(folder: Path) -> Path:
    """Fill a folder with boto3 and what it needs, and nothing else, as Lambda's runtime has it."""
    folder.mkdir(exist_ok=True)
    installed = Path(boto3.__file__).parents[1]
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py"):
        (folder / name).symlink_to(installed / name)
    return folder


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5):  # noqa: S310 (this machine)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"ministack does not respond on {endpoint}: {log.read_text(errors='replace')[-2000:]}")
