"""The report as a file: one data set with the values of the views, labelled, self-contained, safe; and its pictures."""

import base64
import json
import re
import struct
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
from stock_assets.serve.panels import PANELS
from stock_assets.serve.report.charts import charts
from stock_assets.serve.report.data import OTHERS, SERIES, ReportData, gather
from stock_assets.serve.report.page import draw, previews
from stock_assets.serve.report.store import FOLDER, KEPT, store_report, write_report
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.serve.report.conftest import BAD, DRAWN_AT, EX_DATE, MISSING, SCRIPT
from stock_assets_tests.support.steps import parts

NOBODY = Universe(())
ADDRESS = re.compile(r"""(?:src|href|action)=["']?([^"'\s>]+)|url\(([^)]+)\)|@import""")


def embedded(page: Path) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_last_year_is_by_session_and_the_history_by_week(
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
    # No 90 days of history in its first quarter; not a value of fewer.
    assert facebook["columns"]["avg_price_90d"][:60] == [None] * 60
    assert facebook["columns"]["avg_price_90d"][-1] == 28.56
    weeks = recorded_data.weekly["days"]
    assert (weeks[0], weeks[-1], len(weeks)) == ("2000-03-03", "2013-03-01", 679)
    assert weeks[weeks.index("2001-09-10") :][:2] == ["2001-09-10", "2001-09-21"]
    weekly = recorded_data.weekly["symbols"]["AAPL"]["columns"]
    assert weekly["close_price"][-1] == 430.47
    # The close of 2000-03-03 as traded was 128; two 2:1 splits followed.
    assert weekly["close_price"][0] == 32.0


def test_a_session_without_a_bar_is_null_and_one_in_quarantine_too(gappy_data: ReportData) -> None:
    days, hole = gappy_data.daily["days"], gappy_data.daily["symbols"]["HOLE"]
    closes = hole["columns"]["close_price"]
    assert [days[n + hole["first"]] for n, close in enumerate(closes) if close is None] == [str(MISSING), str(BAD)]
    assert all(close is not None for close in gappy_data.daily["symbols"]["GOOD"]["columns"]["close_price"])
    assert [(row["symbol"], row["time"].date(), row["split_ratio"]) for row in gappy_data.tables["splits"]] == [
        ("HOLE", EX_DATE, 3.0)
    ]
    assert [row["trade_date"] for row in gappy_data.tables["incomplete_sessions"]] == [BAD, MISSING]
    assert [row["audit"] for row in gappy_data.tables["quarantined_bars"]] == ["volume_not_negative"]


def test_the_page_says_what_it_shows(recorded_page: Path) -> None:
    text = recorded_page.read_text(encoding="utf-8")
    assert text.count("recorded sample, ends 2013-03-01") == 2
    assert "Latest session 2013-03-01, 5 symbols, history from 2000-03-01. Drawn 2013-03-02 01:02 UTC." in text
    for name in (*SERIES, "market_breadth", "movers", "coverage", "latest_board", "volume_surges"):
        assert escape(PANELS[name].description) in text, name
    assert "{{" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_the_page_needs_nothing_but_itself(recorded_page: Path) -> None:
    text = re.sub(r"<script>.*?</script>", "", recorded_page.read_text(encoding="utf-8"), flags=re.DOTALL)
    addresses = [found[0] or found[1] for found in ADDRESS.findall(text)]
    assert set(addresses) == {"data:,", "#charts"}
    assert recorded_page.stat().st_size < 1_500_000


class Outline(HTMLParser):
    """Collects what assistive technology needs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def test_everything_has_a_name_for_who_cannot_see_it(recorded_page: Path) -> None:
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
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert all(one.get("scope") for one in page.all("th"))
    assert all(one["aria-label"] for one in page.all("div") if one.get("role") == "region")
    # A table wider than the screen is scrolled with the keyboard.
    assert all(one["tabindex"] == "0" for one in page.all("div") if one.get("class") == "scroll")


def test_texts_from_elsewhere_are_only_texts(gappy_page: Path) -> None:
    text = gappy_page.read_text(encoding="utf-8")
    assert SCRIPT not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    data = draw(ReportData(SCRIPT, {}, None, None, {}, {}, {}), DRAWN_AT)
    assert SCRIPT not in data


def test_an_empty_table_gives_a_page_that_says_so(backend: Backend) -> None:
    data = gather(parts(backend, universe=NOBODY))
    page = draw(data, DRAWN_AT)
    assert "Nothing is published yet. Drawn 2013-03-02 01:02 UTC." in page
    assert len(page) < 30_000
    assert previews(data) == {}


def test_every_chart_takes_its_rows_by_name_and_its_colours_from_the_page() -> None:
    for name, spec in charts().items():
        text = json.dumps(spec)
        assert '"data": {"name": "rows"}' in text, name
        assert spec["width"] == "container"
        assert re.findall(r"#[0-9a-f]{3,6}\b", text) == [], name
        columns = {field.partition(":")[0] for field in re.findall(r'"field": "(\w+)"', text)}
        made_in_the_chart = {"day", "split", "gap", "series", "kind", "direction"}
        assert columns - made_in_the_chart <= set(PANELS[name].columns), name


def test_pictures_are_small_pngs(recorded_data: ReportData) -> None:
    pictures = previews(recorded_data)
    assert list(pictures) == [
        "AAPL: Average price, 90 days",
        "AAPL: Daily return",
        "AAPL: Volatility",
        "Movers",
    ]
    for picture in pictures.values():
        found = re.fullmatch(r"!\[[^]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", picture)
        assert found
        png = base64.b64decode(found[1])
        width, height = struct.unpack(">II", png[16:24])
        assert png.startswith(b"\x89PNG")
        assert 300 < width < 520
        assert 100 < height < 250
        assert len(png) < 40_000
    # Not four times the same, and not blank: a blank one of this size takes under 2 kB.
    assert len({len(picture) for picture in pictures.values()}) == 4
    assert min(map(len, pictures.values())) > 5_000


def test_the_asset_keeps_the_last_reports_and_shows_pictures(recorded_backend: Backend, tmp_path: Path) -> None:
    for number in range(KEPT):
        recorded_backend.objects.put(f"{FOLDER}2013030{number}T000000000000Z.html", b"an older one")
    source = dg.ResourceDefinition.hardcoded_resource(ScriptedSource())
    done = dg.materialize(
        [report_asset(owners=["team:a"])],
        resources={"backend": recorded_backend, "source": source},
        instance=dg.DagsterInstance.ephemeral(),
    )
    [event] = done.asset_materializations_for_node("report")
    shown = {key: value.value for key, value in event.metadata.items()}
    assert (shown["symbols"], shown["latest session"], shown["source"]) == (5, "2013-03-01", "bars written by a test")
    assert "data:image/png;base64," in str(shown["AAPL: Volatility"])
    kept = recorded_backend.objects.list(FOLDER)
    assert len(kept) == KEPT
    assert f"{FOLDER}20130300T000000000000Z.html" not in kept
    assert shown["dagster/uri"] == recorded_backend.objects.uri(kept[-1])
    assert recorded_backend.objects.get(kept[-1]).startswith(b"<!doctype html>")


def test_a_report_is_written_whole(recorded_backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "report.html"
    size = write_report(parts(recorded_backend, universe=NOBODY), file)
    assert file.stat().st_size == size
    assert list(file.parent.iterdir()) == [file]


def test_a_report_of_nothing_is_stored_too(backend: Backend) -> None:
    stored = store_report(parts(backend, universe=NOBODY))
    assert (stored.symbols, stored.latest, stored.previews) == (0, "", {})


def test_the_lineage_names_all_that_is_read(recorded_data: ReportData) -> None:
    assert set(recorded_data.tables) == set(OTHERS)
    [spec] = report_asset(owners=["team:a"]).specs
    read = {dep.asset_key.to_user_string() for dep in spec.deps}
    assert {"published/weekly_trends", "published/candles", "published/quarantined_prices"} < read
    assert len(read) == 10
