"""What is sent to Athena, in the eyes of a grammar that has nothing to do with sqlglot: dt-sql-parser, on Node.

Queries, MERGEs, CREATE TABLE AS and views are Trino's. Statements that change the catalog are Hive's, but for what only
Athena has.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from stock_assets_tests.backends.athena.test_statements import recorded
from stock_assets_tests.infra.test_grafana import QUERIES, expanded

FOLDER = Path(__file__).parent.parent.parent / "grammar"
TRINO = ("SELECT", "WITH", "MERGE", "CREATE TABLE home_staged.", "CREATE OR REPLACE VIEW")
HIVE = ("CREATE EXTERNAL TABLE", "ALTER TABLE")
ATHENA_ONLY = ("CREATE TABLE IF NOT EXISTS home_published.", "OPTIMIZE", "VACUUM")
"""Iceberg's partition transforms and upkeep, of which no grammar of Trino or Hive knows."""

pytestmark = [
    pytest.mark.grammar,
    pytest.mark.skipif(
        shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(),
        reason="the grammar is not installed: `make test-grammar` does so, and needs Node and npm",
    ),
]


def objections(dialect: str, statements: Sequence[str]) -> dict[str, list[str]]:
    """Give what the grammar of a dialect objects to, by statement."""
    asked = json.dumps([{"dialect": dialect, "text": text} for text in statements])
    done = subprocess.run(
        [str(shutil.which("node")), "parse.mjs"], cwd=FOLDER, input=asked, capture_output=True, text=True, check=True
    )
    return {text: found for text, found in zip(statements, json.loads(done.stdout), strict=True) if found}


def test_every_recorded_statement_is_of_one_of_these_kinds() -> None:
    assert [sent[:80] for sent in recorded() if not sent.startswith((*TRINO, *HIVE, *ATHENA_ONLY))] == []


@pytest.mark.parametrize(("dialect", "kinds"), [("trino", TRINO), ("hive", HIVE)])
def test_the_grammar_takes_what_is_sent(dialect: str, kinds: tuple[str, ...]) -> None:
    sent = [statement for statement in recorded() if statement.startswith(kinds)]

    assert {kind for kind in kinds if any(statement.startswith(kind) for statement in sent)} == set(kinds)
    assert objections(dialect, sent) == {}


def test_the_grammar_takes_the_queries_of_the_dashboards() -> None:
    assert objections("trino", [expanded(sql) for _, sql in QUERIES.values()]) == {}


def test_the_grammar_objects() -> None:
    wrong = ["SELECT FROM WHERE", "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN", "SELECT 1 QUALIFY 2"]
    assert list(objections("trino", [*wrong, "SELECT 1"])) == wrong
    assert list(objections("hive", ["ALTER TABLE a ADD `b` int"])) == ["ALTER TABLE a ADD `b` int"]
