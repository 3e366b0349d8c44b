"""Errors of arguments, printed as all other errors are: one sentence, and exit code 2.

Belongs here: the text of an error that Typer finds in the arguments. Does not belong here: what a command checks
itself, which raises `typer.BadParameter` with its text.

Typer prints such errors in a box that breaks sentences at the width of the terminal, below two lines about the usage.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from stock_assets.cli.output import print_error

_USAGE = 2
_NO_DATE = re.compile(r"('.*') does not match the formats '%Y-%m-%d'\.?")
_NO_NUMBER = re.compile(r"Input should be a valid integer.*")


class Commands(TyperGroup):
    """The commands of the program."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 (as in Typer)
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 (as in Typer)
        **extra: Any,  # noqa: ANN401 (as in Typer)
    ) -> Any:  # noqa: ANN401 (as in Typer)
        """Run a command and end the process; print an error of the arguments as one sentence."""
        given = (args, prog_name, complete_var, False, windows_expand_args)
        if not standalone_mode:
            return super().main(*given, **extra)
        try:
            code = super().main(*given, **extra)
        except TyperException as error:
            if text := usage_error(error):
                print_error(text)
            sys.exit(error.exit_code)
        except typer.Abort:
            print_error("Cancelled.")
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def usage_error(error: TyperException) -> str:
    """Return what is wrong and what to do; empty if the help was printed instead."""
    message = error.format_message().strip()
    if error.exit_code != _USAGE or not message:
        return message
    if message.startswith("Invalid value: "):
        # Of a command's own check, which says what to do.
        return message.removeprefix("Invalid value: ")
    message = _NO_DATE.sub(r"\1 is no date of the form YYYY-MM-DD.", message.replace("Value error, ", ""))
    message = _NO_NUMBER.sub("it is no whole number", message)
    return message if message.endswith("?") else f"{message.partition(' (Poss')[0].removesuffix('.')}. {_remedy(error)}"


def _remedy(error: TyperException) -> str:
    context, option, closest = (getattr(error, name, None) for name in ("ctx", "option_name", "possibilities"))
    if context is None:
        return "To see what is possible: stock-assets --help"
    root = context.find_root()
    if any(option in parameter.opts for parameter in root.command.params):
        # Such as `stock-assets status --universe banks`.
        command = context.command_path.removeprefix(root.command_path)
        return f"Write it before the command: {root.command_path} {option} ...{command}"
    if closest:
        return f"Did you mean {' or '.join(sorted(closest))}?"
    if error.format_message().startswith(("Missing", "Got unexpected")):
        return " ".join(context.get_usage().split())
    return f"To see what is possible: {context.command_path} --help"
