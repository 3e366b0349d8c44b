"""Commands print the first rows of a long list, the number of the others, and the option that prints all."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.errors import Outcome
from stock_assets.core.text import SYMBOLS_SHOWN
from stock_assets.loads.acknowledgements import acknowledge
from stock_assets.pipeline import Pipeline
from stock_assets_tests.support.shell import Shell

COUNT = SYMBOLS_SHOWN + 10
SYMBOLS = [f"S{number:03d}" for number in range(COUNT)]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A data folder and a universe of more symbols than a list has."""
    file = tmp_path / "universe.csv"
    lines = ["symbol,name,first_session,last_session", *(f"{symbol},Company,," for symbol in SYMBOLS)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return Shell(tmp_path / "data", STOCK_ASSETS_UNIVERSE=str(file))


def listed(text: str) -> list[str]:
    """Return the symbols of a table's rows."""
    cells = (line.strip("│ ").split(" ")[0] for line in text.splitlines() if line.startswith("│"))
    return [cell for cell in cells if cell in SYMBOLS]


def test_the_list_of_symbols(shell: Shell) -> None:
    out = shell.run("symbols", "list").stdout
    assert listed(out) == SYMBOLS[:SYMBOLS_SHOWN]
    assert "and 10 more; stock-assets symbols list --all prints all" in out
    out = shell.run("symbols", "list", "--all").stdout
    assert listed(out) == SYMBOLS
    assert "more" not in out


def test_the_last_requests(shell: Shell) -> None:
    ledger = Pipeline.from_settings(shell.settings).backend.ledger
    for symbol in SYMBOLS:
        outcome = Outcome.UNREACHABLE if symbol == SYMBOLS[-1] else Outcome.OK
        ledger.record(Fetch(symbol, FetchKind.PRICES, datetime.now(UTC), outcome, detail="no response"))
    out = shell.run("quota").stdout
    assert listed(out) == [SYMBOLS[-1], *SYMBOLS[: SYMBOLS_SHOWN - 1]], "failed requests first"
    assert "and 10 more; stock-assets quota --all prints all" in out
    assert listed(shell.run("quota", "--all").stdout) == SYMBOLS


def test_why_the_last_requests_failed_is_printed_once_for_all_symbols(shell: Shell) -> None:
    ledger = Pipeline.from_settings(shell.settings).backend.ledger
    error = "S000: the vendor reports that the calls of the day are used: " + "a long text " * 20
    details = {symbol: f"{symbol}: not requested before 2026-11-28 05:00 UTC: {error}" for symbol in SYMBOLS[1:]}
    at = datetime.now(UTC)
    for symbol, detail in {SYMBOLS[0]: error, **details}.items():
        for kind in (FetchKind.PRICES, FetchKind.SPLITS):
            ledger.record(Fetch(symbol, kind, at, Outcome.DAILY_QUOTA, detail=detail))
    out = shell.run("quota", "--all").stdout
    assert listed(out) == [symbol for symbol in SYMBOLS for _ in range(2)]
    cause, others = out.splitlines()[-2:]
    assert cause == f"daily_quota, 1 symbol (S000): {error.removeprefix('S000: ')}"
    first = "daily_quota, 59 symbols (S001, S002, S003, S004, S005 and 54 more)"
    assert others == f"{first}: not requested before 2026-11-28 05:00 UTC: see S000"
    assert shell.run("quota").stdout.count("a long text") == 20, "the whole reason, once"


def test_many_reasons_are_counted(shell: Shell) -> None:
    ledger = Pipeline.from_settings(shell.settings).backend.ledger
    for symbol in SYMBOLS:
        detail = f"{symbol}: reason {symbol}"
        ledger.record(Fetch(symbol, FetchKind.PRICES, datetime.now(UTC), Outcome.UNREACHABLE, detail=detail))
    out = shell.run("quota").stdout
    assert out.count(": reason ") == SYMBOLS_SHOWN
    assert out.endswith("\nand 10 more reasons; stock-assets quota --all prints all\n")
    assert shell.run("quota", "--all").stdout.count(": reason ") == COUNT


def test_a_rare_failure_of_requests_is_not_hidden_by_a_frequent_one(shell: Shell) -> None:
    ledger = Pipeline.from_settings(shell.settings).backend.ledger
    outcomes = dict.fromkeys(SYMBOLS, Outcome.DAILY_QUOTA) | {SYMBOLS[0]: Outcome.OK, SYMBOLS[-1]: Outcome.EMPTY}
    for symbol, outcome in outcomes.items():
        ledger.record(Fetch(symbol, FetchKind.PRICES, datetime.now(UTC), outcome, detail=f"{symbol}: reason {symbol}"))
    out = shell.run("quota").stdout
    assert listed(out) == [SYMBOLS[-1], *SYMBOLS[1:SYMBOLS_SHOWN]]
    assert next(line for line in out.splitlines() if ": reason " in line).startswith("empty, 1 symbol (S059): ")
    assert listed(shell.run("quota", "--all").stdout) == SYMBOLS


def test_findings_of_each_kind_and_steps_of_a_repair(shell: Shell) -> None:
    shell.settings.instance_dir.mkdir(parents=True)
    for number in range(COUNT):
        (shell.settings.instance_dir / f"{number:03d}.db").write_bytes(b"no database" * 1000)
    incident = shell.settings.root / "alerts" / "open" / "one.json"
    incident.parent.mkdir(parents=True)
    incident.write_text("no record", encoding="utf-8")
    shown = shell.run_main("verify", code=1)
    assert shown.stderr.count(".db: ") == SYMBOLS_SHOWN
    assert "and 10 more of the kind 'database of runs'; --json prints all" in shown.stderr
    assert f"{incident}: " in shown.stderr, "a finding of another kind is not hidden"
    assert f"{COUNT + 1} problems found: database of runs ({COUNT}), record in alerts/open/ (1)." in shown.stdout
    found = json.loads(shell.run_main("verify", "--json", code=1).stdout)
    assert [one["kind"] for one in found] == ["database of runs"] * COUNT + ["record in alerts/open/"]
    plan = shell.run_main("repair").stdout.splitlines()
    assert plan[SYMBOLS_SHOWN:] == [
        "and 11 more; stock-assets repair --all prints all",
        "To do this: stock-assets repair --apply",
    ]
    everything = shell.run_main("repair", "--all").stdout.splitlines()
    assert everything[:SYMBOLS_SHOWN] == plan[:SYMBOLS_SHOWN]
    assert everything[COUNT].startswith(f"{COUNT + 1}. move")
    assert everything[COUNT + 1 :] == ["To do this: stock-assets repair --apply"]


def test_acknowledged_warnings(shell: Shell) -> None:
    objects = Pipeline.from_settings(shell.settings).backend.objects
    for symbol in SYMBOLS:
        acknowledge(objects, "no_unexplained_jump", symbol, date(2000, 9, 29), "profit warning")

    def symbols(text: str) -> list[str]:
        return [line.split("│")[2].strip() for line in text.splitlines() if line.startswith("│")]

    out = shell.run("acknowledge").stdout
    assert symbols(out) == SYMBOLS[: -SYMBOLS_SHOWN - 1 : -1], "those that were acknowledged last"
    assert "and 10 more; stock-assets acknowledge --all prints all" in out
    out = shell.run("acknowledge", "--all").stdout
    assert symbols(out) == SYMBOLS
    assert " more" not in out
