"""Statements for Athena checked with a grammar that is independent of sqlglot: dt-sql-parser, on Node.

Queries, MERGE, CREATE TABLE AS and views follow Trino's grammar. DDL follows Hive's grammar, except for statements that
only Athena has.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from stock_assets_tests.support.athena_snapshot import recorded
from stock_assets_tests.support.grafana_queries import QUERIES, expanded

FOLDER = Path(__file__).parent.parent.parent / "grammar"
TRINO = ("SELECT", "WITH", "MERGE", "CREATE TABLE backend_staged.", "CREATE OR REPLACE VIEW")
HIVE = ("CREATE EXTERNAL TABLE", "ALTER TABLE")
ATHENA_ONLY = ("CREATE TABLE IF NOT EXISTS backend_published.", "OPTIMIZE", "VACUUM")
"""Partition transforms and maintenance of Iceberg tables: neither Trino's nor Hive's grammar contains them."""

pytestmark = [
    pytest.mark.grammar,
    pytest.mark.skipif(
        shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(),
        reason="the grammar is not installed: `make test-grammar` does so, and needs Node and npm",
    ),
]


def grammar_errors(dialect: str, statements: Sequence[str]) -> dict[str, list[str]]:
    """Return the errors that the grammar of a dialect reports, by statement."""
    request = json.dumps([{"dialect": dialect, "text": text} for text in statements])
    done = subprocess.run(
        [str(shutil.which("node")), "parse.mjs"], cwd=FOLDER, input=request, capture_output=True, text=True, check=True
    )
    return {text: found for text, found in zip(statements, json.loads(done.stdout), strict=True) if found}


def test_every_recorded_statement_is_of_one_of_these_kinds() -> None:
    assert [sent[:80] for _, sent in recorded() if not sent.startswith((*TRINO, *HIVE, *ATHENA_ONLY))] == []


@pytest.mark.parametrize(("dialect", "kinds"), [("trino", TRINO), ("hive", HIVE)])
def test_the_grammar_accepts_every_recorded_statement(dialect: str, kinds: tuple[str, ...]) -> None:
    sent = [statement for _, statement in recorded() if statement.startswith(kinds)]

    assert {kind for kind in kinds if any(statement.startswith(kind) for statement in sent)} == set(kinds)
    assert grammar_errors(dialect, sent) == {}


def test_the_grammar_accepts_the_queries_of_the_dashboards() -> None:
    assert grammar_errors("trino", [expanded(sql) for _, sql in QUERIES.values()]) == {}


def test_the_grammar_rejects_wrong_statements() -> None:
    wrong = ["SELECT FROM WHERE", "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN", "SELECT 1 QUALIFY 2"]
    assert list(grammar_errors("trino", [*wrong, "SELECT 1"])) == wrong
    assert list(grammar_errors("hive", ["ALTER TABLE a ADD `b` int"])) == ["ALTER TABLE a ADD `b` int"]
