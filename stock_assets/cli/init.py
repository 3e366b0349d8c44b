"""The command `init`: a folder with your own settings and universe file.

Belongs here: which files are written, and their first content. Does not belong here: reading them (`settings`,
`core.universe`).
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from stock_assets.cli.output import print_line, print_warning

_SETTINGS = """\
# Settings of stock-assets in this folder and below it; a variable of the environment replaces its line.
# STOCK_ASSETS_SOURCE: recorded (a sample of real prices, no key) or alpha_vantage (needs the key).
STOCK_ASSETS_SOURCE={source}
STOCK_ASSETS_UNIVERSE={universe}
STOCK_ASSETS_DATA_DIR=data
ALPHAVANTAGE_API_KEY=
"""
_UNIVERSE, _ENV = "universe.csv", ".env"


def init(
    folder: Annotated[Path, typer.Argument(help="The folder; it is created if it is missing.")] = Path(),
) -> None:
    """Write a settings file (.env), a universe file and an empty data folder; existing ones stay as they are."""
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    symbols = settings.symbols_file.read_text(encoding="utf-8-sig")
    data, env = folder / "data", folder / _ENV
    created = not data.exists()
    data.mkdir(parents=True, exist_ok=True)
    _print(data, created=created)
    _print(folder / _UNIVERSE, created=_write(folder / _UNIVERSE, symbols, 0o644))
    written = _write(env, _SETTINGS.format(source=settings.source, universe=_UNIVERSE), 0o600)
    _print(env, created=written)
    if not written and "STOCK_ASSETS_UNIVERSE=" not in env.read_text(encoding="utf-8"):
        print_warning(f"{env} names no universe file. Add the line STOCK_ASSETS_UNIVERSE={_UNIVERSE}")
    print_line("Next: stock-assets symbols list; stock-assets backfill FIRST LAST")


def _write(file: Path, text: str, mode: int) -> bool:
    """Write a new file; return whether it did not exist. The settings file may get a key: only its owner reads it."""
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(opened, "w", encoding="utf-8") as stream:
        stream.write(text)
    return True


def _print(path: Path, *, created: bool) -> None:
    print_line(f"{'Created' if created else 'Kept   '} {path}")
