"""Run commands as users type them, on one data folder, in this process."""

import gc
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_assets.cli.app import app, main
from stock_assets.core.calendar import declare_closures
from stock_assets.core.errors import StockAssetsError
from stock_assets.settings import Settings


@dataclass(frozen=True)
class Output:
    """Output of a command."""

    stdout: str
    stderr: str


class Shell:
    """Runs commands on one data folder."""

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

    def run_main(self, *arguments: str, code: int = 0, **environment: str) -> Output:
        """Run the program's entry point, check its exit code and return its output.

        Unlike `run`, this includes what the program prints about errors. An error that it does not handle fails the
        test.
        """
        stdout, stderr, collected_after = StringIO(), StringIO(), gc.get_threshold()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
            patch.setattr(sys, "argv", ["stock-assets", *arguments])
            for name, value in (self._environment | environment).items():
                patch.setenv(name, value)
            # Without a handled error, `main` ends like this too.
            with pytest.raises(SystemExit) as ended:
                main()
        # Both are settings of the whole process.
        declare_closures(())
        gc.set_threshold(*collected_after)
        assert (ended.value.code or 0) == code, stdout.getvalue() + stderr.getvalue()
        return Output(stdout.getvalue(), stderr.getvalue())
