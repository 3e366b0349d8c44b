"""Which columns each column of an asset is computed from, as the Dagster UI shows it.

Belongs here: reading the lineage from the SQL files. Does not belong here: lineage between assets (`deps` of their
definitions).

The lineage is computed once for each version of the SQL files and kept in the cache of texts, because sqlglot is slow
to import. Only columns that a value is computed from belong to it, not those of a WHERE or a JOIN condition.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from stock_assets.core.sql import Name, Statement, statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, RAW_COLUMNS, STAGED_PRICES, Table
from stock_assets.core.text_cache import cached_text
from stock_assets.orchestration.keys import PLAIN, RAW_PRICES, RAW_SPLITS, Names, asset_key
from stock_assets.serve.views import RELATIONS, TODAY, VIEWS, View

if TYPE_CHECKING:
    from sqlglot.lineage import Node

Source = tuple[str, str]
"""A relation and its column."""

_TYPED = {"typed_prices": "stage/typed_prices.sql"}
_NUMBERS = ("trade_date", "open_price", "high_price", "low_price", "close_price", "volume")
_RAW = {
    **{
        ("raw_prices", number): {(RAW_PRICES.to_user_string(), text)}
        for number, text in zip(_NUMBERS, RAW_COLUMNS, strict=True)
    },
    **{
        ("raw_prices", texts): {(RAW_PRICES.to_user_string(), text) for text in RAW_COLUMNS[1:]}
        for texts in ("unparsed_text", "bar_text")
    },
    ("splits", "split_factor"): {(RAW_SPLITS.to_user_string(), "ratio")},
}
"""Columns of raw assets, by the column of a relation of staging that is read from them (`sql/stage/raw_rows.sql`)."""
_STAGED = {STAGED_PRICES: "stage/daily_prices.sql", QUARANTINED_PRICES: "stage/quarantined_prices.sql"}


def column_lineage(relation: Table | View, names: Names = PLAIN) -> dict[str, dg.TableColumnLineage]:
    """Return the lineage of the columns of a staged table, published table or view, as metadata of a materialization.

    Columns without a source, such as a count of rows, are not in it.
    """
    columns = _lineage().get(asset_key(relation).to_user_string(), {})
    deps = {
        column: [dg.TableColumnDep(names.key(dg.AssetKey.from_user_string(asset)), source) for asset, source in sources]
        for column, sources in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


@cache
def _lineage() -> dict[str, dict[str, list[Source]]]:
    files = [view.statement for view in VIEWS.values()] + [
        statement(path) for path in (*_TYPED.values(), *_STAGED.values())
    ]
    program = version("sqlglot") + Path(__file__).read_text(encoding="utf-8")
    text = cached_text("lineage", [program, *(file.text for file in files)], lambda: json.dumps(_compute()))
    lineage: dict[str, dict[str, list[Source]]] = json.loads(text)
    return lineage


def _compute() -> dict[str, dict[str, list[Source]]]:
    found = {}
    for table, path in _STAGED.items():
        columns = _sources(statement(path), inlined={name: statement(inner) for name, inner in _TYPED.items()})
        found[_name(table)] = {
            column: sorted({used for source in sources for used in _RAW.get(source, ())})
            for column, sources in columns.items()
        }
    # Publishing copies the staged rows.
    found[_name(DAILY_PRICES)] = {column.name: [(_name(STAGED_PRICES), column.name)] for column in DAILY_PRICES.columns}
    for view in VIEWS.values():
        found[_name(view)] = {
            column: sorted((_name(RELATIONS[relation]), name) for relation, name in sources)
            for column, sources in _sources(view.statement).items()
        }
    return {asset: {column: used for column, used in columns.items() if used} for asset, columns in found.items()}


def _sources(file: Statement, *, inlined: Mapping[str, Statement] | None = None) -> dict[str, set[Source]]:
    """Return the columns of the relations that each column of a statement's result is computed from.

    Args:
        file: the statement.
        inlined: statements of relations, to look into them.
    """
    from sqlglot import exp  # noqa: PLC0415 (slow to import, and cached lineage does not need it)
    from sqlglot.lineage import lineage  # noqa: PLC0415 (as above)

    texts = {name: _text(each) for name, each in (inlined or {}).items()}
    schema = {
        name: {column.name: column.type.value for column in relation.columns} for name, relation in RELATIONS.items()
    }
    return {
        column: {
            (each.expression.name, _column(each)) for each in _used(node) if isinstance(each.expression, exp.Table)
        }
        for column, node in lineage(
            None, _text(file), schema=schema, sources=texts, dialect="athena", trim_selects=False
        ).items()
    }


def _used(node: "Node") -> Iterator["Node"]:
    """Yield a column and what it is computed from."""
    yield node
    for each in node.downstream:
        yield from _used(each)


def _column(node: "Node") -> str:
    return node.name.rpartition(".")[2].strip('"')


def _text(file: Statement) -> str:
    """Bind each parameter to its own name: as a relation, or as a value that nothing is computed from."""
    return file.bind({**{name: Name(name) for name in file.parameters}, "today": TODAY})


def _name(relation: Table | View) -> str:
    return asset_key(relation).to_user_string()
