"""Another emulator of AWS, ministack: made by other people than moto, so that what both say is likely to be S3's way.

Belongs here: starting and stopping it. Does not belong here: what is tested on it (`backends/aws/test_ministack`).

It pins botocore to one version, so it lives in an environment of its own (`make ministack`), and is a process. It
answers on this machine only, and what it would open besides HTTP is switched off.
"""

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "ministack"
HOW_TO_GET_IT = "needs ministack in an environment of its own: make ministack"
_PATIENCE_SECONDS = 60


@contextmanager
def running_ministack(*, asks_iam: bool = False) -> Iterator[str]:
    """Start it, empty, on a free port; gives its address.

    Args:
        asks_iam: whether it checks signatures and refuses what no policy allows.

    Raises:
        TimeoutError: it does not answer; the message has the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "AUTH": str(asks_iam).lower(),
    }
    with tempfile.TemporaryDirectory() as folder:
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


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5):  # noqa: S310 (this machine)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"ministack does not answer on {endpoint}: {log.read_text(errors='replace')[-2000:]}")
