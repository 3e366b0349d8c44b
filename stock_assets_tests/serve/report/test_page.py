"""The report page: values of the views, self-contained, accessible and safe; and its asset."""

import base64
import gzip
import json
import math
import re
from dataclasses import replace
from datetime import date, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import NoData
from stock_assets.core.universe import Universe
from stock_assets.orchestration.assets.report import report_asset
from stock_assets.orchestration.resources import pipeline_resource
from stock_assets.pipeline import Pipeline
from stock_assets.serve.panels import PANELS
from stock_assets.serve.report import data as report_data
from stock_assets.serve.report.data import REPORT_PANELS, ReportData, read_report
from stock_assets.serve.report.page import render_page
from stock_assets.serve.report.store import FOLDER, MAX_REPORTS, store_report, write_report
from stock_assets.settings import Settings
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.report_scene import BAD, EX_DATE, MISSING, RENDERED_AT, SCRIPT
from stock_assets_tests.support.scenes import BAD_BAR, TWO_WEEKS, Scene, wavy_source
from stock_assets_tests.support.steps import as_pipeline, parts

NO_SYMBOLS = Universe(())
ADDRESS = re.compile(r"""(?:src|href|action)=["']?([^"'\s>]+)|url\(([^)]+)\)|@import""")


def embedded(text: str) -> dict[str, Any]:
    """Return the data that the page's script reads."""
    [packed] = re.findall(r'<script type="application/octet-stream" id="data">(.*?)</script>', text)
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def without_scripts(page: Path) -> str:
    return re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_a_symbol_has_every_session_as_traded_with_its_adjustment(
    recorded_page: Path, recorded_bars: pd.DataFrame
) -> None:
    found = embedded(recorded_page.read_text(encoding="utf-8"))
    days = sessions_between(date(2000, 3, 1), date(2013, 3, 1))
    assert found["days"] == [day.isoformat() for day in days]
    apple, bars = found["series"]["AAPL"], recorded_bars.loc["AAPL"]
    assert apple["first"] == 0
    for name in ("open", "high", "low", "close", "volume"):
        assert apple[name] == list(bars[name]), name
    adjusted = [close * factor for close, factor in zip(apple["close"], apple["adjustment"], strict=True)]
    assert all(map(math.isclose, adjusted, bars["close_now"]))
    facebook = found["series"]["FB"]
    assert found["days"][facebook["first"]] == "2012-05-18"
    # FB has no 90 days of history in its first quarter, and no average of fewer days.
    assert facebook["avg_price_90d"][:60] == [None] * 60
    assert facebook["avg_price_90d"][-1] == 28.56
    assert found["splits"]["AAPL"] == {"2000-06-21": "2:1", "2005-02-28": "2:1"}
    assert found["market"]["coverage"]["2013-03-01"] == 100


def test_returns_start_from_the_last_close_before_the_period(
    recorded_data: ReportData, recorded_bars: pd.DataFrame
) -> None:
    periods = {
        "return_1w_pct": date(2013, 2, 22),
        "return_1m_pct": date(2013, 2, 1),
        "return_ytd_pct": date(2012, 12, 31),
        "return_1y_pct": date(2012, 3, 1),
    }
    for row in recorded_data.tables["board"]:
        bars = recorded_bars.loc[row["symbol"]]
        for column, day in periods.items():
            before = bars["close_now"].loc[: str(day)]
            expected = (bars["close_now"].iloc[-1] / before.iloc[-1] - 1) * 100 if len(before) else None
            assert row[column] == (None if expected is None else pytest.approx(expected)), (row["symbol"], column)
        year = bars.loc[str(date(2013, 3, 1) - timedelta(days=363)) :]
        assert (row["low_52w"], row["high_52w"]) == pytest.approx((year["low_now"].min(), year["high_now"].max()))
    assert recorded_data.tables["board"][1]["return_1y_pct"] is None, "FB is listed since 2012-05-18"


def test_correlations_equal_pandas(recorded_data: ReportData, recorded_bars: pd.DataFrame) -> None:
    closes = recorded_bars.pivot_table(values="close_now", index="trade_date", columns="symbol")
    changes = closes.pct_change(fill_method=None).loc["2012-03-02":]
    expected = changes.corr()
    rows = recorded_data.tables["correlations"]
    assert len(rows) == 10
    for row in rows:
        assert row["correlation"] == pytest.approx(expected.loc[row["symbol"], row["other_symbol"]], rel=1e-6)


def test_missing_and_quarantined_bars_are_null_and_listed_as_incomplete_sessions(gappy_data: ReportData) -> None:
    days, hole = gappy_data.days, gappy_data.series["HOLE"]
    assert [days[n + hole["first"]] for n, close in enumerate(hole["close"]) if close is None] == [MISSING, BAD]
    assert all(close is not None for close in gappy_data.series["GOOD"]["close"])
    assert [(row["symbol"], row["time"].date(), row["split_ratio"]) for row in gappy_data.tables["splits"]] == [
        ("HOLE", EX_DATE, 3.0)
    ]
    assert [row["trade_date"] for row in gappy_data.incomplete] == [BAD, MISSING]
    assert [row["audit"] for row in gappy_data.tables["quarantined_bars"]] == ["volume_not_negative"]


def tile(text: str, title: str) -> str:
    """Return the text of a tile below its title."""
    [found] = re.findall(rf'<div class="tile[^"]*"><h2>{title}[^<]*</h2>(.*?)</div>', text)
    return re.sub(r"<[^>]+>", " ", found).strip()


def test_tiles_count_incomplete_sessions_and_quarantined_bars(recorded_page: Path, gappy_page: Path) -> None:
    good, gappy = (page.read_text(encoding="utf-8") for page in (recorded_page, gappy_page))
    assert tile(good, "Last session").split() == ["Fri", "2013-03-01", "5", "of", "5", "symbols"]
    assert tile(good, "Coverage") == "100 %  250 of 250 sessions complete"
    assert tile(good, "Quarantine").startswith("0 bars")
    assert '<div class="tile warning">' not in good
    assert "123 of 125 sessions complete" in tile(gappy, "Coverage")
    assert tile(gappy, "Quarantine").startswith("1 bar")
    assert gappy.count('<div class="tile warning">') == 2


def test_a_rejected_session_is_named_with_its_audit(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    for symbol in ("IBM", "MSFT", "GOOG"):
        scene.source.set_bar(symbol, TWO_WEEKS[3], BAD_BAR)
    scene.run(TWO_WEEKS)
    data = read_report(scene)
    assert set(data.rejected) == {TWO_WEEKS[3]}
    page = render_page(data, RENDERED_AT)
    assert tile(page, "Audits").startswith("1 rejected session")
    assert f">{', '.join(data.rejected[TWO_WEEKS[3]])}</td>" in page


def test_complete_data_has_no_incomplete_sessions(recorded_data: ReportData) -> None:
    """The year includes 2012-10-31, the first session after the two days that Hurricane Sandy closed the exchange."""
    assert recorded_data.incomplete == []


def drawn_symbols(page: str) -> tuple[list[str], list[str], list[str]]:
    """Return the symbols of the chart's data, of the list of symbols and of the board."""
    options = re.findall(r'<option value="(\w+)">', page)
    return list(embedded(page)["series"]), options, re.findall(r'data-symbol="(\w+)"', page)


def test_of_many_symbols_the_most_traded_are_drawn_and_all_are_counted(recorded_backend: Backend) -> None:
    universe = Pipeline.from_settings(Settings()).universe
    all_parts = parts(recorded_backend, universe=universe)
    everything, data = read_report(all_parts), read_report(replace(all_parts, report_symbols=2))
    page = render_page(data, RENDERED_AT)
    # On 2013-03-01, AAPL traded for 8.5 and GOOG for 1.8 billion USD.
    assert drawn_symbols(page) == (["AAPL", "GOOG"],) * 3
    assert "5 symbols, 2000-03-01 to 2013-03-01." in page
    assert "Chart, board and correlations have 2 of 5 symbols: those with the highest value of traded shares." in page
    assert set(embedded(page)["splits"]) == set(embedded(page)["names"]) == {"AAPL", "GOOG"}
    assert len(data.tables["correlations"]) == 1
    # What describes all symbols together is read from all rows.
    same = ("market_breadth", "coverage", "volume_surges", "audit_failures", "quarantined_bars")
    assert all(data.tables[name] == everything.tables[name] for name in same)
    assert data.series == {symbol: everything.series[symbol] for symbol in ("AAPL", "GOOG")}
    exact = [row for row in everything.tables["board"] if row["symbol"] in data.series]
    for row, expected in zip(data.tables["board"], exact, strict=True):
        assert row == pytest.approx(expected), "a mean may differ in its last digit"
    assert "Chart, board and correlations have" not in render_page(everything, RENDERED_AT)


def test_the_correlation_map_has_the_most_traded_symbols(
    recorded_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "MOST_CORRELATED", 2)
    data = read_report(parts(recorded_backend, universe=Pipeline.from_settings(Settings()).universe))
    assert [(row["symbol"], row["other_symbol"]) for row in data.tables["correlations"]] == [("AAPL", "GOOG")]


def test_chosen_symbols_are_drawn_instead_and_unknown_ones_are_named(recorded_backend: Backend) -> None:
    universe = Pipeline.from_settings(Settings()).universe
    few = replace(parts(recorded_backend, universe=universe), report_symbols=2)
    page = render_page(read_report(few, ["MSFT", "fb", "IBM"]), RENDERED_AT)
    assert drawn_symbols(page) == (["FB", "IBM", "MSFT"],) * 3
    assert "have 3 of 5 symbols: those that were chosen." in page
    with pytest.raises(NoData, match=r"MSFG has no published bar\. Did you mean MSFT\?"):
        read_report(few, ["MSFG"])


def test_a_session_without_any_bar_is_listed_as_incomplete(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    scene.run(TWO_WEEKS[:3])
    scene.run(TWO_WEEKS[4:])
    [row] = read_report(scene).incomplete
    assert (row["trade_date"], row["published_symbols"], row["expected_symbols"]) == (TWO_WEEKS[3], 0, None)
    page = render_page(read_report(scene), RENDERED_AT)
    assert f">{TWO_WEEKS[3]}</td>" in page
    assert tile(page, "Coverage").split() == ["90", "%", "!", "9", "of", "10", "sessions", "complete"]


def test_ten_sessions_have_no_correlation_map_but_its_condition(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    scene.run(TWO_WEEKS)
    page = render_page(read_report(scene), RENDERED_AT)
    assert "The correlation map needs 20 common sessions of two symbols; 10 sessions published." in page
    assert 'class="scroll correlations"' not in page


def test_the_page_names_source_sessions_and_panels(recorded_page: Path) -> None:
    text = recorded_page.read_text(encoding="utf-8")
    assert text.count("recorded sample, ends 2013-03-01") == 2
    assert "5 symbols, 2000-03-01 to 2013-03-01. Rendered 2013-03-02 01:02 UTC." in text
    for name in ("board", "correlations", "market_breadth", "coverage", "volume_surges", "average_price", "volatility"):
        assert escape(PANELS[name].description) in text, name
    assert "{{" not in without_scripts(recorded_page)


def test_the_page_loads_no_other_resource(recorded_page: Path) -> None:
    addresses = [found[0] or found[1] for found in ADDRESS.findall(without_scripts(recorded_page))]
    assert set(addresses) == {"data:,", "#board-title"}
    text = recorded_page.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert recorded_page.stat().st_size < 800_000


class Outline(HTMLParser):
    """Collects the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def test_tables_and_controls_have_accessible_names(recorded_page: Path) -> None:
    page = Outline()
    page.feed(recorded_page.read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert {one["for"] for one in page.all("label") if "for" in one} == {"symbol", "search", "add"}
    assert all(one.get("scope") for one in page.all("th"))
    regions = [one for one in page.all("div") if one.get("role") == "region"]
    # A table wider than the screen is scrolled with the keyboard.
    assert all(one["aria-label"] and one["tabindex"] == "0" for one in regions)
    assert len(regions) == 4


def test_company_names_and_source_labels_are_escaped(gappy_page: Path) -> None:
    text = gappy_page.read_text(encoding="utf-8")
    assert SCRIPT not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert SCRIPT not in render_page(ReportData(SCRIPT), RENDERED_AT)


def test_a_page_without_published_bars_states_that_nothing_is_published(backend: Backend) -> None:
    page = render_page(read_report(parts(backend, universe=NO_SYMBOLS)), RENDERED_AT)
    assert "Nothing is published yet. Load sessions with: stock-assets backfill FIRST LAST." in page
    assert 'id="data"></script>' in page


def test_the_asset_keeps_the_newest_reports_and_links_to_the_newest(recorded_backend: Backend, tmp_path: Path) -> None:
    for number in range(MAX_REPORTS):
        recorded_backend.objects.put(f"{FOLDER}2013030{number}T000000000000Z.html", b"an older one")
    pipeline = as_pipeline(parts(recorded_backend, ScriptedSource()))
    done = dg.materialize(
        [report_asset(owners=["team:a"])],
        resources={"pipeline": pipeline_resource(pipeline)},
        instance=dg.DagsterInstance.ephemeral(),
    )
    [event] = done.asset_materializations_for_node("report")
    shown = {key: value.value for key, value in event.metadata.items()}
    assert (shown["symbols"], shown["latest session"], shown["source"]) == (5, "2013-03-01", "bars written by a test")
    kept = recorded_backend.objects.keys(FOLDER)
    assert len(kept) == MAX_REPORTS
    assert f"{FOLDER}20130300T000000000000Z.html" not in kept
    assert shown["dagster/uri"] == recorded_backend.objects.uri(kept[-1])
    uri = recorded_backend.objects.uri(kept[-1])
    assert shown["report"] == (uri if uri.startswith("s3://") else f"file://{uri}")
    # Dagster stores the metadata three times.
    assert len(str(shown)) < 1_000
    assert recorded_backend.objects.get(kept[-1]).startswith(b"<!doctype html>")


def test_a_report_file_is_written_without_leftovers(recorded_backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "report.html"
    size = write_report(parts(recorded_backend, universe=NO_SYMBOLS), file)
    assert file.stat().st_size == size
    assert list(file.parent.iterdir()) == [file]


def test_a_report_without_published_bars_is_stored(backend: Backend) -> None:
    stored = store_report(parts(backend, universe=NO_SYMBOLS))
    assert (stored.symbols, stored.latest) == (0, "")


def test_the_asset_depends_on_every_relation_that_the_report_reads(recorded_data: ReportData) -> None:
    assert {*recorded_data.tables, "price_history"} == set(REPORT_PANELS)
    [spec] = report_asset(owners=["team:a"]).specs
    read = {dep.asset_key.to_user_string() for dep in spec.deps}
    assert {"published/daily_prices", "published/latest_board", "published/quarantined_prices"} < read
    assert len(read) == 9
