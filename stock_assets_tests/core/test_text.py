"""Lists and tables with an upper limit."""

from stock_assets.core.text import SYMBOLS_SHOWN, markdown_table, shorten_lines, shorten_list


def test_a_short_list_is_complete() -> None:
    assert shorten_list(["a", "b"], 2) == "a, b"
    assert shorten_lines(["a", "b"], 2) == ["a", "b"]


def test_a_long_list_counts_the_others() -> None:
    names = [f"S{number}" for number in range(1_502)]
    assert shorten_list(names, 2) == "S0, S1 and 1,500 more"
    assert shorten_lines(names, 2) == ["S0", "S1", "and 1,500 more"]


def test_a_table_counts_the_rows_that_it_does_not_show() -> None:
    rows = [{"symbol": f"S{number}"} for number in range(SYMBOLS_SHOWN + 1)]
    assert "more" not in markdown_table(rows[:-1])
    assert markdown_table(rows).endswith(f"| S{SYMBOLS_SHOWN - 1} |\n\nand 1 more")
    assert markdown_table(rows[:2], total=10_000).endswith("| S1 |\n\nand 9,998 more")
    assert markdown_table([], total=0) == "nothing"
