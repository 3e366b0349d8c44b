"""Run commands as users type them, on one data folder."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from stock_assets.cli.app import app
from stock_assets.core.errors import StockAssetsError
from stock_assets.settings import Settings


@dataclass(frozen=True)
class Output:
    """Output of a command."""

    stdout: str
    stderr: str


class Shell:
    """Runs commands on one data folder, in this process or in a separate one."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.settings = Settings(data_dir=data)
        self._environment = {"STOCK_ASSETS_DATA_DIR": str(data), **environment}

    def run(self, *arguments: str, code: int = 0) -> Output:
        """Run a command, check its exit code and return its output."""
        done = CliRunner().invoke(app, arguments, env=self._environment)
        assert done.exit_code == code, f"{done.output}{done.exception!r}"
        return Output(done.stdout, done.stderr)

    def invoke(self, *arguments: str) -> None:
        """Run a command and raise its error."""
        failure = CliRunner().invoke(app, arguments, env=self._environment).exception
        assert isinstance(failure, StockAssetsError)
        raise failure

    def run_process(self, *arguments: str, code: int = 0, **environment: str) -> Output:
        """Run a command in a separate process, check its exit code and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "stock_assets", *arguments],
            cwd=self.settings.data_dir,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return Output(done.stdout, done.stderr)
