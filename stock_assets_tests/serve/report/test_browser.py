"""The report in Chromium without a network: rendering, filters, keyboard, printing, and no error in the console."""

import re
from pathlib import Path

import pytest

from stock_assets.serve.report.data import SERIES
from stock_assets.serve.report.page import NO_BAR
from stock_assets_tests.support.browser import Browser, browser, colours
from stock_assets_tests.support.recorded_backend import local_only
from stock_assets_tests.support.report_scene import BAD, EX_DATE, MISSING

pytestmark = pytest.mark.browser

ALL_CHARTS = (*SERIES, "market_breadth", "movers", "coverage")
TEXTS = "[...document.querySelectorAll('#{} svg text')].map((text) => text.textContent).filter((text) => text)"
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


def marks(page: Browser, chart: str) -> int:
    """Count the marks of a chart."""
    return int(page.run(f"return document.querySelectorAll('#{chart} svg .mark-group path, #{chart} svg line').length"))


def label(page: Browser, chart: str) -> str:
    return str(page.run(f"return document.querySelector('#{chart} .chart').getAttribute('aria-label')"))


@local_only
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_every_chart_is_drawn_and_nothing_overflows(recorded_page: Path, width: int, height: int, dark: bool) -> None:  # noqa: FBT001 (a parameter)
    with browser(width, height, dark=dark) as page:
        page.open(recorded_page)
        assert page.console() == []
        for chart in ALL_CHARTS:
            assert marks(page, chart) >= 5, chart
            box = page.run(f"return document.querySelector('#{chart} svg').getBoundingClientRect().toJSON()")
            assert box["height"] > 150
            assert 200 < box["width"] <= width - 20
        scrolled, seen = page.run(f"return {WIDTHS}")
        assert scrolled <= seen
        background = page.run("return getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(20, 23, 27)" if dark else "rgb(246, 247, 249)")
        assert colours(page.screenshot()) > 200


@local_only
def test_the_symbol_filter_changes_every_chart_of_a_symbol(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page)
        before = {chart: label(page, chart) for chart in SERIES}
        assert "Average price, 90 days, AAPL, 2012-03-02 to 2013-03-01: 250 values" in before["average_price"]
        assert "the last 495.99 (USD)" in before["average_price"]
        page.run("document.getElementById('symbol').focus()")
        page.press("GOOG")
        page.wait_for("document.body.dataset.drawn === 'GOOG year'")
        after = {chart: label(page, chart) for chart in SERIES}
        assert all("GOOG" in after[chart] and after[chart] != before[chart] for chart in SERIES)
        assert "the last 741.14 (USD)" in after["average_price"]
        axis = page.run(f"return {TEXTS.format('close_and_average')}")
        assert "800" in axis, "the axis fits the new symbol"
        page.run("document.querySelector('button[data-symbol=FB]').click()")
        page.wait_for("document.body.dataset.drawn === 'FB year'")
        newest = page.run("return document.querySelector('#candlesticks tbody tr').textContent")
        assert newest.startswith("2013-03-01")
        assert newest.endswith("27.78")
        kinds = "return [...document.querySelectorAll('#candlesticks {}')].map((cell) => cell.className)"
        heads = page.run(kinds.format("thead th"))
        assert heads == page.run(kinds.format("tbody tr:first-child td"))
        assert heads == ["", *["number"] * (len(heads) - 1)], "headers are aligned as their columns"
        assert page.console() == []


@local_only
def test_the_time_range_can_be_selected_and_splits_are_marked(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page)
        assert not [text for text in page.run(f"return {TEXTS.format('candlesticks')}") if "split" in text]
        page.run("document.querySelector('[value=all]').click()")
        page.wait_for("document.body.dataset.drawn === 'AAPL all'")
        assert page.run(f"return {TEXTS.format('candlesticks')}").count("2:1 split") == 2
        assert "2000-03-03 to 2013-03-01: 679 weeks, none missing. Each week" in page.run(
            "return document.getElementById('note').textContent"
        )
        page.run("document.querySelector('[value=quarter]').click()")
        page.wait_for("document.body.dataset.drawn === 'AAPL quarter'")
        assert "63 sessions" in page.run("return document.getElementById('note').textContent")
        assert page.console() == []


def test_missing_bars_are_marked_and_no_line_crosses_them(gappy_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(gappy_page)
        page.run("document.querySelector('button[data-symbol=HOLE]').click()")
        page.wait_for("document.body.dataset.drawn === 'HOLE year'")
        texts = page.run(f"return {TEXTS.format('close_and_average')}")
        assert texts.count(NO_BAR) == 2
        assert texts.count("3:1 split") == 1
        assert f"2 without a bar ({NO_BAR})" in page.run("return document.getElementById('note').textContent")
        lines = page.run(
            "return [...document.querySelectorAll('#close_and_average svg .mark-line path')]"
            ".map((path) => path.getAttribute('d'))"
        )
        # Two sessions without a close split the line into three parts.
        assert next(line.count("M") for line in lines if line) == 3
        table = page.run("return document.querySelector('#close_and_average .scroll').textContent")
        assert f"{MISSING}no bar" in table
        assert f"{BAD}no bar" in table
        assert str(EX_DATE) in table
        assert page.console() == []


@local_only
def test_the_keyboard_reaches_everything_in_order(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page)
        seen = []
        for _ in range(12):
            page.press("\ue004")
            seen.append(page.run("const at = document.activeElement; return at.id || at.className || at.tagName"))
        assert seen[0] == "skip"
        assert seen[1] == "scroll"
        assert seen[2:7] == ["BUTTON"] * 5
        assert seen[7:9] == ["symbol", "INPUT"]
        outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


@local_only
def test_the_page_can_be_printed(recorded_page: Path) -> None:
    with browser(1280, 900, dark=True) as page:
        page.open(recorded_page)
        printed = page.pdf()
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 5


@local_only
def test_the_tables_are_visible_without_scripts(recorded_page: Path) -> None:
    with browser(1280, 900, script=False) as page:
        page.load(recorded_page)
        assert colours(page.screenshot()) > 50
