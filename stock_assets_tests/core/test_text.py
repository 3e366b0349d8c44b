"""Lists and tables with an upper limit, and counts that agree with their nouns."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import stock_assets
from stock_assets.core.text import SYMBOLS_SHOWN, markdown_table, plural, shorten_lines, shorten_list

_AFTER_A_VALUE = re.compile(r" (?:(?!(?:of|in|is|was|has|no|and|or|the|to|for|with)\b)[a-z]+ )?(?P<plural>[a-z]+s)\b")
_VERBS = {"is", "was", "has", "as", "this", "its"}
_NEVER_ONE = {"{len(positions)} times": "a column that occurs twice or more"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return the modules of the package by path."""
    root = Path(stock_assets.__file__).parent
    return {str(file.relative_to(root)): ast.parse(file.read_text("utf-8")) for file in sorted(root.rglob("*.py"))}


def counted_nouns(tree: ast.AST) -> set[str]:
    """Return the nouns, in the plural, that a module counts with `plural`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "plural":
            noun = node.args[-1]
            if isinstance(noun, ast.Constant) and isinstance(noun.value, str):
                found |= set(noun.value.split() if len(node.args) > 2 else [f"{noun.value.split()[-1]}s"])
    return {word for word in found if word.endswith("s")}


def counts_without_plural(tree: ast.AST, nouns: set[str]) -> Iterator[str]:
    """Yield each value of an f-string that precedes a noun in the plural, and would be wrong for the value 1.

    The noun is one that some message counts with `plural`; or the value is a number for sure: a length, a sum, or
    formatted with a thousands separator. Constants and names are no counts.
    """
    for node in ast.walk(tree):
        for value, after in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            found, text = _AFTER_A_VALUE.match(str(after.value)), ast.unparse(value.value)
            last_name = text.rpartition(".")[2]
            if not found or text.startswith("plural(") or last_name.isupper() or last_name == "name":
                continue
            spec = ast.unparse(value.format_spec) if value.format_spec else ""
            is_number = text.startswith(("len(", "sum(")) or "," in spec
            word = found["plural"]
            if word in nouns or (is_number and word not in _VERBS):
                yield f"{{{text}}}{found[0]}"


def test_a_count_agrees_with_its_noun() -> None:
    assert [plural(0, "run"), plural(1, "run"), plural(1_200, "run")] == ["0 runs", "1 run", "1,200 runs"]
    assert [plural(1, "bar stays", "bars stay"), plural(2, "bar stays", "bars stay")] == ["1 bar stays", "2 bars stay"]


def test_every_message_counts_with_plural() -> None:
    nouns = set().union(*map(counted_nouns, modules().values()))
    wrong = [
        f"{path}: {found}"
        for path, tree in modules().items()
        for found in counts_without_plural(tree, nouns)
        if found not in _NEVER_ONE
    ]
    assert not wrong, "write {plural(count, 'row')} instead of {count} rows"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("f'{found.rows} rows'", True),
        ("f'and {more} more rows'", True),
        ("f'{size:,} bytes'", True),
        ("f'{len(stacks)} stacks'", True),
        ("f'{total} ' f'rows'", True),
        ("f'{_MOST} rows'", False),
        ("f'{engine.name} rows'", False),
        ("f'{plural(count, \"old\")} rows'", False),
        ("f'{count:,} is'", False),
        ("f'{table} of rows'", False),
    ],
)
def test_the_search_for_counts(text: str, wrong: bool) -> None:  # noqa: FBT001 (a parameter of pytest)
    assert bool(list(counts_without_plural(ast.parse(text), {"rows"}))) is wrong


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
