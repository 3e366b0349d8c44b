"""The report in Chromium without a network: charts, ranges, address, board, keyboard, printing and accessibility."""

import csv
import re
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.serve.query import run_query
from stock_assets_tests.support.browser import Browser, browser, colours
from stock_assets_tests.support.real_daemon import wait_for
from stock_assets_tests.support.recorded_backend import local_only
from stock_assets_tests.support.report_scene import BAD, EX_DATE, MISSING

pytestmark = pytest.mark.browser

CHARTS = ("price", "market_breadth", "coverage")
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
TAB, LEFT_ARROW, HOME = "\ue004", "\ue012", "\ue011"


def texts(page: Browser, selector: str) -> list[str]:
    """Return the texts of the elements that match a selector."""
    found: list[str] = page.run(f"return [...document.querySelectorAll('{selector}')].map((one) => one.textContent)")
    return found


def text(page: Browser, selector: str) -> str:
    return texts(page, selector)[0]


def choose(page: Browser, name: str, value: str) -> None:
    """Click a choice of the form."""
    page.run(f"document.querySelector('[name={name}][value=\"{value}\"]').click()")


def values(page: Browser) -> list[list[str]]:
    """Return the rows of the table below the price chart."""
    rows: list[list[str]] = page.run(
        "return [...document.querySelectorAll('#values tbody tr')].map((row) => "
        "[...row.cells].map((cell) => cell.textContent))"
    )
    return rows


@local_only
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_the_page_is_drawn_accessible_and_not_wider_than_the_window(
    recorded_page: Path,
    width: int,
    height: int,
    dark: bool,  # noqa: FBT001 (a parameter)
) -> None:
    with browser(width, height, dark=dark) as page:
        page.open(recorded_page, "#AAPL&range=1y&type=candles&show=avg90,avg5,volatility,return")
        assert page.console() == []
        for chart in CHARTS:
            box = page.run(f"return document.querySelector('#{chart} svg').getBoundingClientRect().toJSON()")
            assert box["height"] > 150, chart
            assert 200 < box["width"] <= width - 20, chart
            assert len(texts(page, f"#{chart} text.time")) >= 3, chart
        scrolled, seen = page.run(f"return {WIDTHS}")
        assert scrolled <= seen
        background = page.run("return getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(17, 20, 23)" if dark else "rgb(244, 246, 248)")
        assert colours(page.screenshot()) > 200
        page.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.accessibility_problems() == []
        choose(page, "type", "line")
        page.run(
            "const add = document.getElementById('add'); add.value = 'IBM'; "
            "add.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        assert page.accessibility_problems() == []


@local_only
def test_a_range_begins_at_the_close_of_its_return(recorded_page: Path) -> None:
    expected = {
        "1m": ("2013-02-01", "20 sessions", "−5.10 %"),
        "3m": ("2012-11-30", "62 sessions", "−26.45 %"),
        "ytd": ("2012-12-31", "42 sessions", "−19.11 %"),
        "1y": ("2012-03-01", "251 sessions", "−20.94 %"),
        "5y": ("2008-02-29", "262 weeks", "+244.32 %"),
        "all": ("2000-03-01", "679 weeks", "+1,221.37 %"),
    }
    with browser(1280, 900) as page:
        page.open(recorded_page)
        for value, (first, sessions, change) in expected.items():
            choose(page, "range", value)
            note = text(page, "#note")
            assert note.startswith(f"AAPL, {first} to 2013-03-01: {sessions}. {change}"), note
            assert page.run("return location.hash") == f"#AAPL&range={value}"
        returns = dict(zip(texts(page, "#returns dt"), texts(page, "#returns dd"), strict=True))
        assert returns == {"1W": "−4.51 %", "1M": "−5.10 %", "YTD": "−19.11 %", "1Y": "−20.94 %"}
        assert page.console() == []


@local_only
def test_a_drag_zooms_and_the_address_keeps_it(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#IBM&range=1y")
        page.run("document.querySelector('#price').scrollIntoView({block: 'center'})")
        box = page.run("return document.querySelector('#price svg').getBoundingClientRect().toJSON()")
        y = box["top"] + 150
        page.mouse("mouseMoved", box["left"] + 300, y)
        page.mouse("mousePressed", box["left"] + 300, y)
        page.mouse("mouseMoved", box["left"] + 600, y)
        assert float(page.run("return document.querySelector('#price .selection').getAttribute('width')")) > 250
        page.mouse("mouseReleased", box["left"] + 600, y)
        page.wait_for("document.body.dataset.drawn === 'IBM zoom'")
        address = page.run("return location.hash")
        [(first, last)] = re.findall(r"&from=([-\d]+)&to=([-\d]+)$", address)
        assert "2012-03-01" < first < last < "2013-03-01"
        assert f"IBM, {first} to {last}:" in text(page, "#note")
        page.run("location.reload()")
        page.wait_for("document.body.dataset.drawn === 'IBM zoom'")
        assert f"IBM, {first} to {last}:" in text(page, "#note")
        page.run("document.getElementById('unzoom').click()")
        page.wait_for("document.body.dataset.drawn === 'IBM 1y'")
        assert page.run("return location.hash") == "#IBM&range=1y"
        assert page.console() == []


@local_only
def test_an_axis_has_no_negative_price_and_no_negative_zero(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#AAPL&range=all&type=candles&show=return")
        ticks = texts(page, "#price text.tick")
    assert ticks[0] == "0"
    assert not [tick for tick in ticks if re.fullmatch(r"-0(\.0+)?", tick)]


@local_only
def test_on_a_phone_the_chart_is_on_the_first_screen(recorded_page: Path) -> None:
    with browser(390, 844) as page:
        page.open(recorded_page)
        top = {
            name: page.run(f"return document.querySelector('{name}').getBoundingClientRect().top")
            for name in ("#ranges", "#price", "#shown", ".tiles", ".board")
        }
    assert sorted(top, key=top.__getitem__) == list(top)
    assert top["#price"] < 844 / 2


@local_only
def test_the_values_of_the_session_under_the_pointer_are_shown(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#AAPL&range=1m")
        assert text(page, "#readout").startswith(" 2013-03-01")
        page.run("document.querySelector('#price').scrollIntoView({block: 'center'})")
        box = page.run("return document.querySelector('#price svg').getBoundingClientRect().toJSON()")
        page.mouse("mouseMoved", box["left"] + 12, box["top"] + 100)
        read = text(page, "#readout")
        assert read.startswith(" 2013-02-01")
        assert "close 453.62" in read
        assert "volume 19.27M" in read
        assert len(texts(page, "#price .cursor rect")) == 2, "badges of the price and of the session"
        page.run("document.querySelector('#price svg').focus()")
        page.press(HOME)
        assert text(page, "#readout").startswith(" 2013-02-01")
        page.press(LEFT_ARROW)
        assert text(page, "#readout").startswith(" 2013-02-01")
        page.run("document.activeElement.blur()")
        assert "2013-03-01" in text(page, "#readout")
        assert page.console() == []


@local_only
def test_the_address_selects_symbol_range_and_drawing(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#GOOG&range=6m&type=candles&scale=log&price=traded&show=avg90")
        assert page.run("return document.body.dataset.drawn") == "GOOG 6m"
        checked = "[...document.querySelectorAll('#controls input:checked')].map((one) => one.value)"
        assert page.run(f"return {checked}") == ["6m", "candles", "log", "traded", "avg90"]
        assert len(texts(page, "#price .bodies")) == 2
        assert "as traded" in text(page, "#price text.pane")
        page.run("location.hash = '#MSFT&range=ytd&compare=IBM,NONE,MSFT'")
        page.wait_for("document.body.dataset.drawn === 'MSFT ytd'")
        assert texts(page, "#compared button") == ["IBM ×"]
        page.run("document.querySelector('button[data-symbol=FB]').click()")
        page.wait_for("document.body.dataset.drawn === 'FB ytd'")
        assert page.run("return location.hash") == "#FB&range=ytd&compare=IBM"
        page.run("location.hash = '#NONE&range=wrong'")
        page.wait_for("document.body.dataset.drawn === 'FB all'")  # FB has no year of history
        assert page.run("return document.querySelector('[name=range][value=\"1y\"]').disabled")
        assert page.console() == []


@local_only
def test_prices_are_split_adjusted_or_as_traded(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#AAPL&from=2000-03-01&to=2000-06-30")
        page.run("document.querySelector('#price svg').focus()")
        page.press(HOME)
        assert "close 32.58" in text(page, "#readout")
        assert "volume 38.46M" in text(page, "#readout")
        assert texts(page, "#price .split-label") == ["2:1 split"]
        choose(page, "price", "traded")
        page.run("document.querySelector('#price svg').focus()")
        page.press(HOME)
        assert "close 130.31" in text(page, "#readout")
        assert "volume 9.62M" in text(page, "#readout")


@local_only
def test_compared_symbols_begin_at_100(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page, "#AAPL&range=ytd")
        for symbol in ("IBM", "GOOG"):
            page.run(
                f"const add = document.getElementById('add'); add.value = '{symbol}';"
                "add.dispatchEvent(new Event('change', {bubbles: true}))"
            )
        assert page.run("return location.hash") == "#AAPL&range=ytd&compare=IBM,GOOG"
        rows = values(page)
        assert rows[-1] == ["2012-12-31", "100.00", "100.00", "100.00"]
        assert rows[0] == ["2013-03-01", "80.89", "105.93", "113.97"]
        assert sorted(texts(page, "#price .on-badge")) == ["AAPL", "GOOG", "IBM"]
        page.run("document.querySelector('#compared button').click()")
        assert page.run("return location.hash") == "#AAPL&range=ytd&compare=GOOG"
        assert page.console() == []


@local_only
def test_weeks_of_the_page_equal_the_weeks_of_the_view(
    recorded_page: Path, recorded_backend: Backend, tmp_path: Path
) -> None:
    """The page groups sessions where they would be too narrow; `weekly_trends` groups them in SQL."""
    select = (
        "SELECT trade_date, open_price, high_price, low_price, close_price, volume, daily_return, volatility_pct "
        "FROM published.weekly_trends WHERE symbol = 'AAPL' ORDER BY trade_date DESC LIMIT 60"
    )
    with browser(1280, 900) as page:
        page.open(recorded_page, "#AAPL&range=5y&type=candles")
        assert "by week" in text(page, "#price text.pane")
        shown = values(page)
        heads = texts(page, "#values th")
        assert (heads[0], heads[8]) == ("Week to", "Return of the week")
        assert text(page, "#values caption") == "The latest 60 of 262 weeks."
        page.download_into(tmp_path)
        page.run("document.getElementById('save-prices').click()")
        file = tmp_path / "AAPL_by_week.csv"
        wait_for(lambda: file.is_file() and file.stat().st_size > 0, "the file")
    saved = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [*saved[0]][::8] == ["week_to", "return_of_the_week"]
    assert (len(saved), saved[-1]["week_to"]) == (262, shown[0][0])
    expected = run_query(recorded_backend, select).to_pylist()
    for cells, row in zip(shown, expected, strict=True):
        assert cells[0] == str(row["trade_date"])
        numbers = [float(cell.replace(",", "")) for cell in (*cells[1:6], *cells[8:])]
        assert numbers == pytest.approx([*row.values()][1:], abs=0.006)


@local_only
def test_the_board_is_sorted_searched_and_downloaded(recorded_page: Path, tmp_path: Path) -> None:
    symbols = "[...document.querySelectorAll('.board tbody tr:not([hidden]) button')].map((one) => one.textContent)"
    with browser(1280, 900) as page:
        page.download_into(tmp_path)
        page.open(recorded_page)
        page.run("document.querySelector('th[data-column=return_1y_pct] button').click()")
        assert page.run(f"return {symbols}") == ["GOOG", "IBM", "MSFT", "AAPL", "FB"], "without a value last"
        page.run("document.querySelector('th[data-column=return_1y_pct] button').click()")
        assert page.run(f"return {symbols}") == ["AAPL", "MSFT", "IBM", "GOOG", "FB"]
        assert page.run("return document.querySelector('[aria-sort]').dataset.column") == "return_1y_pct"
        page.run("document.getElementById('search').focus()")
        page.press("micro")
        assert page.run(f"return {symbols}") == ["MSFT"], "found by the company's name"
        assert text(page, "#found") == "1 of 5 symbols"
        page.press("\ue003" * 5 + "oo")
        assert page.run(f"return {symbols}") == ["GOOG", "FB"]
        page.run("document.getElementById('save-board').click()")
        file = tmp_path / "board.csv"
        wait_for(lambda: file.is_file() and file.stat().st_size > 0, "the file")
        assert page.console() == []
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [row["symbol"] for row in rows] == ["GOOG", "FB"]
    assert rows[1]["return_1y_pct"] == ""
    assert float(rows[0]["return_1y_pct"]) == pytest.approx(29.53, abs=0.005)
    assert len(rows[0]) == 14


def test_five_sessions_have_their_days_as_labels(five_sessions_page: Path) -> None:
    days = ["Feb 25", "Feb 26", "Feb 27", "Feb 28", "Mar 1"]
    with browser(1280, 900) as page:
        page.open(five_sessions_page, "#AAPL&range=1y&type=candles&show=avg90")
        for chart in CHARTS:
            assert texts(page, f"#{chart} text.time") == days
        assert page.run("return document.body.dataset.drawn") == "AAPL all"
        enabled = "[...document.querySelectorAll('[name=range]:not(:disabled)')].map((one) => one.value)"
        assert page.run(f"return {enabled}") == ["all"]
        assert texts(page, "#returns dd") == ["–"] * 4
        widths = page.run(
            "return [...document.querySelectorAll('.spark')].map((one) => one.querySelector('path').getBBox().width)"
        )
        assert widths == [92] * 5, "the line of a few sessions is as wide as that of many"
        assert page.console() == []
        assert page.accessibility_problems() == []
    with browser(390, 844) as page:
        page.open(five_sessions_page)
        assert texts(page, "#price text.time") == days[::2]


def test_missing_bars_are_marked_and_no_line_crosses_them(gappy_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(gappy_page, "#HOLE&range=all")
        assert texts(page, "#price text.missing") == ["×", "×"]
        assert texts(page, "#price .split-label") == ["3:1 split"]
        assert "2 without a bar (×)" in text(page, "#note")
        line = page.run("return document.querySelector('#price path.close').getAttribute('d')")
        # Two sessions without a close split the line into three parts.
        assert line.count("M") == 3
        cells = {row[0]: row[4] for row in values(page)}
        assert (cells[str(MISSING)], cells[str(BAD)]) == ("–", "–")
        assert cells[str(EX_DATE)] != "–"
        assert page.console() == []


@local_only
def test_the_keyboard_reaches_everything_in_order(recorded_page: Path) -> None:
    with browser(1280, 900) as page:
        page.open(recorded_page)
        seen = []
        for _ in range(12):
            page.press(TAB)
            seen.append(
                page.run("const at = document.activeElement; return at.id || at.name || at.className || at.tagName")
            )
        assert seen[:6] == ["skip", "symbol", "range", "type", "scale", "price"]
        assert seen[6:11] == ["show"] * 4 + ["add"]
        outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


# Notes what the page changes for the printer.
PRINTED = """
  window.addEventListener("beforeprint", () => {
    window.printed = {
      open: [...document.querySelectorAll("details[open] summary")].map((one) => one.textContent),
      chart: document.querySelector("#price svg").viewBox.baseVal.width,
      labels: ["price", "market_breadth", "coverage"].map((chart) =>
        [...document.querySelectorAll(`#${chart} text.time`)].map((one) => one.textContent)),
    };
  });
"""


@local_only
def test_a_year_of_five_symbols_is_printed_on_two_pages(recorded_page: Path) -> None:
    with browser(1280, 900, dark=True) as page:
        page.open(recorded_page)
        page.run(PRINTED)
        before = page.run("return document.querySelector('#price svg').viewBox.baseVal.width")
        printed = page.pdf()
        price, *small = page.run("return window.printed.labels")
        assert price[:3] + price[-3:] == ["Apr", "May", "Jun", "2013", "Feb", "Mar"]
        assert small == [["Apr", "Jul", "Oct", "2013"]] * 2
        assert page.run("return window.printed.chart") < 720 < before
        page.wait_for(f"document.querySelector('#price svg').viewBox.baseVal.width === {before}")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


def test_a_printed_page_names_the_symbol_and_lists_missing_and_quarantined_bars(gappy_page: Path) -> None:
    with browser(720, 1000) as page:
        page.open(gappy_page, "#HOLE")
        page.run(PRINTED)
        page.pdf()
        opened = ["Incomplete sessions (2)", "Audit failures (1)", "Quarantined rows (1)"]
        assert page.run("return window.printed.open") == opened
        page.wait_for("!document.querySelector('details[open]')")
        page.run("window.dispatchEvent(new Event('beforeprint'))")
        page.media("print")
        shown = page.run(
            "return [...document.querySelectorAll('#name, #quality th, #quality td, .board td')]"
            ".filter((one) => one.checkVisibility() && one.offsetHeight > 2).map((one) => one.textContent)"
        )
        assert any(text.startswith("HOLE · ") for text in shown)
        assert {str(MISSING), str(BAD)} <= set(shown)
        after = page.run(
            "return [...document.querySelectorAll('#quality summary')]"
            ".map((one) => getComputedStyle(one, '::after').content)"
        )
        note = '": the rows are on the page in a browser"'
        assert after == [note, "none", "none", "none"], "volume surges have their number only"
        assert not page.run("return document.getElementById('controls').checkVisibility()")
        board, width = page.run(
            "return [document.querySelector('.board table').scrollWidth, document.querySelector('.board').clientWidth]"
        )
        assert board <= width


@local_only
def test_the_tables_are_visible_without_scripts(recorded_page: Path) -> None:
    with browser(1280, 900, script=False) as page:
        page.load(recorded_page)
        assert colours(page.screenshot()) > 50
