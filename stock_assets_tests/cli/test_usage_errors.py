"""Errors of arguments: one line with what is wrong and what to do, and exit code 2."""

from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from stock_assets.cli.app import app
from stock_assets.cli.usage_errors import Commands

SEE = "To see what is possible: stock-assets"


def commands(group: TyperGroup, *before: str) -> Iterator[tuple[str, ...]]:
    """Return the words of every command."""
    for name, command in group.commands.items():
        yield (*before, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, *before, name)


def error_of(*words: str) -> str:
    """Run a command and return its only line."""
    done = CliRunner().invoke(app, words, env={"COLUMNS": "40"}, prog_name="stock-assets")
    assert done.exit_code == 2, done.output
    [line] = done.stderr.splitlines()
    assert done.stdout == ""
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("querry",), "No such command 'querry'. Did you mean 'query'?"),
        (("symbols", "ad"), "No such command 'ad'. Did you mean 'add'?"),
        (("xyz",), f"No such command 'xyz'. {SEE} --help"),
        (("--univers", "banks"), "No such option: --univers. Did you mean --universe?"),
        (("query", "SELECT 1", "--csvv"), "No such option: --csvv. Did you mean --csv?"),
        (
            ("symbols", "list", "--universe", "banks"),
            "No such option: --universe. Write it before the command: stock-assets --universe ... symbols list",
        ),
        (("rollback",), "Missing argument 'snapshot'. Usage: stock-assets rollback [OPTIONS] {snapshot} [table]"),
        (
            ("history", "published.daily_prices", "more"),
            "Got unexpected extra argument(s) (more). Usage: stock-assets history [OPTIONS] [table]",
        ),
        (
            ("backfill", "2012", "2013-01-02"),
            f"Invalid value for 'first': '2012' is no date of the form YYYY-MM-DD. {SEE} backfill --help",
        ),
        (
            ("rollback", "newest"),
            f"Invalid value for 'snapshot': it is no whole number. {SEE} rollback --help",
        ),
        (
            ("aws", "deploy", "--form", "large"),
            f"Invalid value for '--form': 'large' is not one of 'single', 'fargate'. {SEE} aws deploy --help",
        ),
        (
            ("backfill", "2012-03-05", "2012-03-01"),
            "2012-03-01 is before 2012-03-05. Write the earlier day first: 2012-03-01 2012-03-05.",
        ),
    ],
)
def test_an_error_of_arguments_says_what_to_do_in_one_line(words: tuple[str, ...], message: str) -> None:
    assert error_of(*words) == message


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)  # type: ignore[arg-type]  # of the class TyperGroup
def test_every_command_rejects_an_unknown_option_in_one_line(words: tuple[str, ...]) -> None:
    assert error_of(*words, "--no-such-option-of-any") == (
        f"No such option: --no-such-option-of-any. {SEE} {' '.join(words)} --help"
    )


@pytest.mark.parametrize("words", [(), ("aws",), ("symbols",)])
def test_a_group_without_a_command_prints_its_commands(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "Commands" in done.output
    assert "No such" not in done.output


def test_an_answer_no_ends_a_command_without_a_box() -> None:
    asking = typer.Typer(cls=Commands)
    asking.command()(lambda: typer.confirm("Continue?", abort=True))
    asking.callback()(lambda: None)
    done = CliRunner().invoke(asking, ["<lambda>"], input="n\n")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "Cancelled.")
