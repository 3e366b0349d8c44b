"""How results of queries are printed: rounded by unit, never cut, and exact where they are exported."""

import json
from datetime import date

import pyarrow as pa
import pytest
from rich.console import Console

from stock_assets.backends.interface import Backend
from stock_assets.cli import output
from stock_assets.cli.output import print_grid, print_rows, print_summary, write_json
from stock_assets.serve.units import column_units
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

NAME = "a value of forty characters and two blanks"
ROWS = pa.table(
    {
        "symbol": ["IBM", "MSFT"],
        "trade_date": [date(2013, 3, 1), date(2013, 3, 4)],
        "close_price": [202.123456, 0.001234567],
        "volume": [1234567.0, None],
        "note": [NAME, "[bold]"],
    }
)


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, limit: int | None) -> str:
    """Return what a terminal of a width shows."""
    monkeypatch.setattr(output, "out", Console(width=width))
    print_rows(ROWS, limit)
    return capsys.readouterr().out


def test_a_wide_terminal_shows_a_table_with_numbers_rounded_by_unit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(monkeypatch, capsys, 120, None)
    [first] = [line for line in text.splitlines() if "IBM" in line]
    assert [cell.strip() for cell in first.strip("│").split("│")] == ["IBM", "2013-03-01", "202.12", "1234567", NAME]
    assert "0.001235" in text
    assert "[bold]" in text
    assert "2 rows" in text


@pytest.mark.parametrize("width", [20, 60, 90])
def test_a_narrow_terminal_shows_one_column_per_line_and_every_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    lines = printed(monkeypatch, capsys, width, None).splitlines()
    assert lines[0].startswith("-[ 1 ]-")
    assert lines[1:6] == [
        "symbol      | IBM",
        "trade_date  | 2013-03-01",
        "close_price | 202.12",
        "volume      | 1234567",
        f"note        | {NAME}",
    ]
    assert lines[6].startswith("-[ 2 ]-")


def test_a_limit_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(monkeypatch, capsys, 120, 1)
    assert "MSFT" not in text
    assert "2 rows, the first 1 shown; --csv and --json print all" in text


def test_other_tables_wrap_texts_between_words_and_cut_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "out", Console(width=50))
    print_grid(("Name", "Description"), [("published.daily_prices", "one audited row per symbol and session")])
    text = capsys.readouterr().out
    assert "…" not in text
    assert "│" in text
    print_grid(("Name", "Id"), [("published.daily_prices", "4611686018427387904461168601842738790")])
    assert "Id   | 4611686018427387904461168601842738790" in capsys.readouterr().out


def test_json_has_exact_numbers_and_dates_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(ROWS)
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "symbol": "IBM",
        "trade_date": "2013-03-01",
        "close_price": 202.123456,
        "volume": 1234567.0,
        "note": NAME,
    }
    assert (second["close_price"], second["volume"]) == (0.001234567, None)
    write_json(ROWS.slice(0, 0))
    assert json.loads(capsys.readouterr().out) == []


def test_a_summary_has_the_most_traded_symbols_and_counts_the_others(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(backend, calm_source())
    for symbol, volume in (("MSFT", 9_000_000), ("ORCL", 8_000_000)):
        scene.source.set_bar(symbol, FIRST_WEEK[-1], f"100,101,99,100.5,{volume}")
    scene.source.set_bar("IBM", FIRST_WEEK[0], BAD_BAR)
    scene.run(FIRST_WEEK)

    def printed_symbols(most: int | None, *symbols: str) -> tuple[list[str], str]:
        print_summary(as_pipeline(scene), most=most, symbols=symbols)
        text = capsys.readouterr().out
        rows = [line.strip("│ ").split()[0] for line in text.splitlines() if line.startswith("│")]
        return [symbol for symbol in rows if symbol in scene.universe.symbols], text

    first, text = printed_symbols(2)
    assert first == ["MSFT", "ORCL"]
    to_see = "To see them: stock-assets summary --all, or --symbol SYMBOL"
    assert f"and 3 more symbols, 1 of them with quarantined bars. {to_see}\n" in text
    for most in (5, None):
        everything, text = printed_symbols(most)
        assert everything == list(scene.universe.symbols)
        assert " more " not in text
    chosen, text = printed_symbols(1, "IBM", "csco")
    assert chosen == ["CSCO", "IBM"]
    assert " more " not in text


def test_the_line_about_other_symbols_counts_those_without_a_bar_of_the_latest_session(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(backend, calm_source())
    scene.source.set_bar("IBM", FIRST_WEEK[-2], "100,101,99,100.5,10")
    scene.source.set_bar("IBM", FIRST_WEEK[-1], BAD_BAR)
    scene.run(FIRST_WEEK)
    print_summary(as_pipeline(scene), most=4)
    ended = f"1 of them without a bar of {FIRST_WEEK[-1]}, 1 with quarantined bars"
    assert f"and 1 more symbol, {ended}. To see them: " in capsys.readouterr().out
    print_summary(as_pipeline(scene), most=2)
    assert f"and 3 more symbols, {ended}. To see them: " in capsys.readouterr().out


def test_units_come_from_the_contracts() -> None:
    units = column_units()
    assert (units["close_price"], units["price_change_pct"], units["symbol"]) == ("USD", "%", "")
