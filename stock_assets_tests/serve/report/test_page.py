"""The report page: values of the views, self-contained, accessible and safe; and its asset."""

import json
import re
from datetime import date
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.universe import Universe
from stock_assets.orchestration.assets.report import report_asset
from stock_assets.orchestration.resources import pipeline_resource
from stock_assets.serve.panels import PANELS
from stock_assets.serve.report.charts import charts
from stock_assets.serve.report.data import OTHERS, SERIES, ReportData, read_report
from stock_assets.serve.report.page import render_page
from stock_assets.serve.report.store import FOLDER, MAX_REPORTS, store_report, write_report
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.report_scene import BAD, EX_DATE, MISSING, RENDERED_AT, SCRIPT
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, wavy_source
from stock_assets_tests.support.steps import as_pipeline, parts

NO_SYMBOLS = Universe(())
ADDRESS = re.compile(r"""(?:src|href|action)=["']?([^"'\s>]+)|url\(([^)]+)\)|@import""")


def embedded(page: Path) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_last_year_has_daily_values_and_the_history_weekly_values(
    recorded_data: ReportData, recorded_bars: pd.DataFrame
) -> None:
    days = recorded_data.daily["days"]
    assert days == [day.isoformat() for day in sessions_between(date(2012, 3, 2), date(2013, 3, 1))]
    apple = recorded_data.daily["symbols"]["AAPL"]
    assert (apple["first"], len(apple["columns"]["close_price"])) == (0, len(days))
    closes = recorded_bars.loc["AAPL"]["close_now"].loc["2012-03-02":]
    assert apple["columns"]["close_price"] == [round(close, 2) for close in closes]
    facebook = recorded_data.daily["symbols"]["FB"]
    assert days[facebook["first"]] == "2012-05-18"
    # FB has no 90 days of history in its first quarter, and no average of fewer days.
    assert facebook["columns"]["avg_price_90d"][:60] == [None] * 60
    assert facebook["columns"]["avg_price_90d"][-1] == 28.56
    weeks = recorded_data.weekly["days"]
    assert (weeks[0], weeks[-1], len(weeks)) == ("2000-03-03", "2013-03-01", 679)
    assert weeks[weeks.index("2001-09-10") :][:2] == ["2001-09-10", "2001-09-21"]
    weekly = recorded_data.weekly["symbols"]["AAPL"]["columns"]
    assert weekly["close_price"][-1] == 430.47
    # The close of 2000-03-03 as traded was 128; two 2:1 splits followed.
    assert weekly["close_price"][0] == 32.0


def test_missing_and_quarantined_bars_are_null_and_listed_as_incomplete_sessions(gappy_data: ReportData) -> None:
    days, hole = gappy_data.daily["days"], gappy_data.daily["symbols"]["HOLE"]
    closes = hole["columns"]["close_price"]
    assert [days[n + hole["first"]] for n, close in enumerate(closes) if close is None] == [str(MISSING), str(BAD)]
    assert all(close is not None for close in gappy_data.daily["symbols"]["GOOD"]["columns"]["close_price"])
    assert [(row["symbol"], row["time"].date(), row["split_ratio"]) for row in gappy_data.tables["splits"]] == [
        ("HOLE", EX_DATE, 3.0)
    ]
    assert [row["trade_date"] for row in gappy_data.tables["incomplete_sessions"]] == [BAD, MISSING]
    assert [row["audit"] for row in gappy_data.tables["quarantined_bars"]] == ["volume_not_negative"]


def test_complete_data_has_no_incomplete_sessions(recorded_data: ReportData) -> None:
    """The year includes 2012-10-31, the first session after the two days that Hurricane Sandy closed the exchange."""
    assert recorded_data.tables["incomplete_sessions"] == []


def test_a_session_without_any_bar_is_listed_as_incomplete(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    scene.run(TWO_WEEKS[:3])
    scene.run(TWO_WEEKS[4:])
    [row] = read_report(scene).tables["incomplete_sessions"]
    assert (row["trade_date"], row["published_symbols"], row["missing_symbols"]) == (TWO_WEEKS[3], 0, None)
    assert f"<td>{TWO_WEEKS[3]}</td>" in render_page(read_report(scene), RENDERED_AT)


def test_the_page_names_source_sessions_and_panels(recorded_page: Path) -> None:
    text = recorded_page.read_text(encoding="utf-8")
    assert text.count("recorded sample, ends 2013-03-01") == 2
    assert "Latest session 2013-03-01, 5 symbols, history from 2000-03-01. Rendered 2013-03-02 01:02 UTC." in text
    for name in (*SERIES, "market_breadth", "movers", "coverage", "latest_board", "volume_surges"):
        assert escape(PANELS[name].description) in text, name
    assert "{{" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_the_page_loads_no_other_resource(recorded_page: Path) -> None:
    text = re.sub(r"<script>.*?</script>", "", recorded_page.read_text(encoding="utf-8"), flags=re.DOTALL)
    addresses = [found[0] or found[1] for found in ADDRESS.findall(text)]
    assert set(addresses) == {"data:,", "#charts"}
    assert recorded_page.stat().st_size < 1_500_000


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


def test_charts_tables_and_controls_have_accessible_names(recorded_page: Path) -> None:
    page = Outline()
    page.feed(recorded_page.read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    charts_shown = [one for one in page.all("div") if one.get("role") == "img"]
    assert len(charts_shown) == len(page.all("figure")) == len(page.all("figcaption")) == 9
    assert all(one["aria-labelledby"] in ids for one in charts_shown)
    assert {one["for"] for one in page.all("label") if "for" in one} == {"symbol"}
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert all(one.get("scope") for one in page.all("th"))
    assert all(one["aria-label"] for one in page.all("div") if one.get("role") == "region")
    # A table wider than the screen is scrolled with the keyboard.
    assert all(one["tabindex"] == "0" for one in page.all("div") if one.get("class") == "scroll")


def test_company_names_and_source_labels_are_escaped(gappy_page: Path) -> None:
    text = gappy_page.read_text(encoding="utf-8")
    assert SCRIPT not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    data = render_page(ReportData(SCRIPT, {}, None, None, {}, {}, {}), RENDERED_AT)
    assert SCRIPT not in data


def test_a_page_without_published_bars_states_that_nothing_is_published(backend: Backend) -> None:
    data = read_report(parts(backend, universe=NO_SYMBOLS))
    page = render_page(data, RENDERED_AT)
    assert "Nothing is published yet. Rendered 2013-03-02 01:02 UTC." in page
    assert len(page) < 30_000


def test_charts_use_named_rows_and_colours_of_the_page() -> None:
    for name, spec in charts().items():
        text = json.dumps(spec)
        assert '"data": {"name": "rows"}' in text, name
        assert spec["width"] == "container"
        assert re.findall(r"#[0-9a-f]{3,6}\b", text) == [], name
        columns = {field.partition(":")[0] for field in re.findall(r'"field": "(\w+)"', text)}
        computed_by_the_chart = {"day", "split", "gap", "series", "kind", "direction"}
        assert columns - computed_by_the_chart <= set(PANELS[name].columns), name


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
    assert set(recorded_data.tables) == set(OTHERS)
    [spec] = report_asset(owners=["team:a"]).specs
    read = {dep.asset_key.to_user_string() for dep in spec.deps}
    assert {"published/weekly_trends", "published/candles", "published/quarantined_prices"} < read
    assert len(read) == 10
