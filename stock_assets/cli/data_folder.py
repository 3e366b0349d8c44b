"""Commands that check, repair and copy stored data: `verify`, `repair`, `relocate`, `migrate`, `backup`, `restore`.

Belongs here: arguments and printing. Does not belong here: what a command does (`backends.local`, `maintenance`).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import err, print_error, print_left_out, print_line, print_warning
from stock_assets.core.text import plural

if TYPE_CHECKING:
    from rich.progress import TaskID

    from stock_assets.maintenance.findings import Finding
    from stock_assets.maintenance.verify import Progress


def verify(
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every data file too, and compare the ledger with the responses.")
    ] = False,
    recompute: Annotated[
        int | None,
        typer.Option(min=1, help="Compute rows again from the responses: 1 for all, N for one month in N."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check all stored data: databases, raw responses, tables, records. Exit code 1 if anything is damaged."""
    from stock_assets.maintenance.recompute import Sample
    from stock_assets.maintenance.verify import Depth
    from stock_assets.maintenance.verify import verify as find
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    depth = Depth(deep=deep, recompute=Sample(recompute) if recompute is not None else None)
    with _progress() as progress:
        findings = [*_run_history(settings.instance_dir)]
        findings += find(Pipeline.from_settings(settings), depth, progress=progress)
    if as_json:
        print_line(json.dumps([_as_json(finding) for finding in findings], indent=1))
    else:
        _print_findings(findings)
    if findings:
        raise typer.Exit(code=1)


def _print_findings(findings: "Sequence[Finding]") -> None:
    """Print the first findings of each kind, so that many of one kind do not hide another, and the number of each."""
    from stock_assets.core.text import SYMBOLS_SHOWN

    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    for kind, found in kinds.items():
        for finding in found[:SYMBOLS_SHOWN]:
            print_error(str(finding))
        if len(found) > SYMBOLS_SHOWN:
            print_error(f"and {len(found) - SYMBOLS_SHOWN:,} more of the kind '{kind}'; --json prints all")
    counts = ", ".join(f"{kind} ({len(found):,})" for kind, found in kinds.items())
    print_line(f"{plural(len(findings), 'problem')} found: {counts}." if findings else "No problem found.")


def repair(
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this, only print the steps.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Print all steps, not only the first 50.")] = False,
) -> None:
    """Repair damaged files of the data folder: from copies, the vendor and the raw responses. Nothing is deleted."""
    from stock_assets.backends.local.backend import LocalBackend
    from stock_assets.core.errors import SettingsError
    from stock_assets.maintenance.repair import Repair
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    if not isinstance(pipeline.backend, LocalBackend):
        raise SettingsError(
            f"Only a data folder on this machine can be repaired, and STOCK_ASSETS_BACKEND is {settings.backend}. "
            "S3 keeps its objects intact. Request bars again with stock-assets backfill FIRST LAST --again, or roll a "
            "table back with stock-assets rollback."
        )
    runs = [Path(finding.file) for finding in _run_history(settings.instance_dir)]
    with _progress() as progress:
        work = Repair(pipeline, pipeline.backend, lambda step: print_line(f"Now: {step}."), progress)
        if not apply:
            steps = [*(f"move {file} aside; Dagster starts a new one" for file in runs), *(s.what for s in work.plan())]
            _print_plan(steps, every=every)
            return
        if runs:
            work.move_run_history(runs)
        repaired = work.apply()
    if repaired:
        _refresh_views()
    for note in work.notes:
        print_warning(note)
    print_line("Nothing is damaged now." if repaired else "Some damage is left: stock-assets verify shows it.")
    if not repaired:
        raise typer.Exit(code=1)


def _print_plan(steps: Sequence[str], *, every: bool) -> None:
    from stock_assets.core.text import SYMBOLS_SHOWN

    most = len(steps) if every else SYMBOLS_SHOWN
    for number, step in enumerate(steps[:most], start=1):
        print_line(f"{number}. {step}")
    print_left_out(len(steps) - most, "stock-assets repair --all")
    print_line("To do this: stock-assets repair --apply" if steps else "Nothing to repair.")


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Show which step runs, on a terminal only."""
    from rich.progress import Progress as Bar

    with Bar(console=err, transient=True, disable=not err.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total or None)
            bar.update(tasks[step], completed=done)

        yield show


def _run_history(folder: Path) -> "Iterator[Finding]":
    """Check the databases of the Dagster instance."""
    from stock_assets.backends.local.database import database_problem
    from stock_assets.maintenance.findings import Finding

    for file in sorted(folder.rglob("*.db")):
        if why := database_problem(file):
            yield Finding(
                "database of runs", str(file), why, "runs cannot be started or displayed; no prices are in this file"
            )


def _as_json(finding: "Finding") -> dict[str, str]:
    return {name: getattr(finding, name) for name in ("kind", "file", "problem", "consequence", "command")}


def relocate() -> None:
    """Use a copied or moved data folder at its new place; the folder that it was copied from is not touched."""
    from stock_assets.backends.local.data_folder import DataFolder
    from stock_assets.backends.local.relocation import relocate as rewrite

    root = _local_root()
    done = rewrite(DataFolder(root).root)
    _refresh_views()
    for table in done:
        print_line(f"{table.table}: moved from {table.earlier}; {plural(table.files, 'metadata file')} written.")
    if not done:
        print_line(f"Nothing to do: every table of {root} was created in this folder.")


def migrate() -> None:
    """Replace a data folder of an earlier layout version by a new one; the earlier folder stays as a backup."""
    from stock_assets.core.clock import utc_now
    from stock_assets.maintenance.migrate import migrate as replace
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    root, settings = _local_root(), Settings.from_env()
    done = replace(
        Pipeline.from_settings(settings), root, settings.instance_dir, utc_now(), lambda step: print_line(f"{step}.")
    )
    if done is None:
        print_line(f"Nothing to do: {root} has the current layout.")
        return
    _refresh_views()
    for note in done.notes:
        print_warning(note)
    print_line(f"{root}: {plural(done.sessions, 'session')} loaded again. The earlier folder is {done.backup}.")


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder outside the data folder.")],
) -> None:
    """Copy the data folder, also while loads run: one snapshot of each table, the ledger, responses and run history."""
    from stock_assets.backends.local.backup import back_up
    from stock_assets.backends.local.data_folder import DataFolder
    from stock_assets.settings import Settings

    root = DataFolder(_local_root()).root
    back_up(root, folder, Settings.from_env().instance_dir)
    print_line(f"Copied {root} to {folder.absolute()}. To use it: stock-assets restore {folder.absolute()}")


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `stock-assets backup` wrote.")],
) -> None:
    """Copy a backup to the data folder, which must be missing or empty, and relocate its tables."""
    from stock_assets.backends.local.backup import restore as copy_back

    root = _local_root()
    copy_back(folder, root)
    _refresh_views()
    print_line(f"Restored {root} from {folder.absolute()}. To check it: stock-assets verify --deep")


def _refresh_views() -> None:
    """Write the views for other tools again: they name the files of the tables."""
    from stock_assets.pipeline import Pipeline
    from stock_assets.serve.views import refresh_views
    from stock_assets.settings import Settings

    refresh_views(Pipeline.from_settings(Settings.from_env()).backend)


def _local_root() -> Path:
    """Return the data folder.

    Raises:
        SettingsError: the backend has no data folder.
    """
    from stock_assets.core.errors import SettingsError
    from stock_assets.settings import BackendName, Settings

    settings = Settings.from_env()
    if settings.backend is not BackendName.LOCAL:
        raise SettingsError(
            f"The command needs a data folder on this machine, and STOCK_ASSETS_BACKEND is {settings.backend}. "
            "Set it to local."
        )
    return settings.root
