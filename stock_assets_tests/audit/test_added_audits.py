"""A new audit needs one file; a broken audit stops the load, and the error names the file."""

from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.errors import LoadRejected, QueryFailed, QueryTimedOut
from stock_assets.core.tables import QUARANTINED_PRICES, STAGED_PRICES
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets.loads.broken_audits import raise_for_broken_audit
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.keys import asset_key
from stock_assets.settings import Settings
from stock_assets_tests.support.added_audits import add_audit
from stock_assets_tests.support.audit_mutations import DAY, failed_audits, verdicts_by_name
from stock_assets_tests.support.scenes import SECOND_WEEK, Scene, keys, state
from stock_assets_tests.support.steps import published_rows

NOT_IBM = """-- No bar belongs to IBM.
-- remedy: sell.
SELECT symbol, trade_date, 'IBM again' AS detail FROM {relation} AS b
WHERE symbol = 'IBM' AND trade_date = DATE '2012-03-13'
"""


def test_a_row_audit_is_added_with_one_file(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.ROW, NOT_IBM.format(relation="${bars}"))

    empty.run(SECOND_WEEK)

    [quarantined] = published_rows(empty.backend, QUARANTINED_PRICES)
    assert (quarantined["symbol"], quarantined["trade_date"]) == ("IBM", DAY)
    assert (quarantined["audit"], quarantined["detail"]) == ("not_ibm", "IBM again")
    assert ("IBM", DAY) not in keys(published_rows(empty.backend))


def test_a_blocking_audit_is_added_with_one_file(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.LOAD, NOT_IBM.format(relation="${staged_prices}"))
    before = state(empty.backend)

    with pytest.raises(
        LoadRejected,
        match=r"not_ibm: 1 bad row, first: IBM 2012-03-13: IBM again; sessions with bad rows: 2012-03-13 "
        r"\(remedy: sell.\)",
    ):
        empty.run(SECOND_WEEK)

    assert state(empty.backend) == before


def test_a_warning_is_added_with_one_file(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.WARNING, NOT_IBM.format(relation="${staged_prices}"))
    empty.fetch(SECOND_WEEK)

    verdicts = verdicts_by_name(empty, empty.stage(SECOND_WEEK))

    assert failed_audits(verdicts) == {"not_ibm"}
    assert not verdicts["not_ibm"].blocks


@pytest.mark.parametrize(
    ("kind", "blocking"), [(AuditKind.ROW, True), (AuditKind.LOAD, True), (AuditKind.WARNING, False)]
)
def test_an_added_audit_is_a_dagster_check(sql_copy: Path, tmp_path: Path, kind: AuditKind, *, blocking: bool) -> None:
    add_audit(sql_copy, kind, NOT_IBM.format(relation="${staged_prices}"))

    definitions = build_definitions(Settings(data_dir=tmp_path / "data"))

    specs = {
        spec.name: spec
        for checks in definitions.asset_checks or []
        if isinstance(checks, dg.AssetChecksDefinition)
        for spec in checks.check_specs
    }
    assert specs["not_ibm"].asset_key == asset_key(STAGED_PRICES)
    assert specs["not_ibm"].blocking is blocking
    assert specs["not_ibm"].metadata["remedy"] == "sell."
    assert str(specs["not_ibm"].description).startswith("No bar belongs to IBM. ")


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (AuditKind.SCHEMA, "no_such_column = 1"),
        (AuditKind.ROW, "no_such_column = 1"),
        (AuditKind.LOAD, "no_such_column = 1"),
        (AuditKind.WARNING, "no_such_column = 1"),
        (AuditKind.ROW, "symbol = = 'IBM'"),
        (AuditKind.WARNING, "symbol = = 'IBM'"),
        (AuditKind.WARNING, "CAST(symbol AS BIGINT) = 1"),
    ],
)
def test_a_broken_audit_stops_the_load_and_is_named(sql_copy: Path, empty: Scene, kind: AuditKind, where: str) -> None:
    """A statement that did not run is neither passed nor failed: no verdict may follow from it."""
    add_audit(sql_copy, kind, f"SELECT symbol, trade_date, '' AS detail FROM ${{staged_prices}} AS s WHERE {where}\n")
    if kind is AuditKind.ROW:
        relation = "FROM ${bars} AS s"
        add_audit(sql_copy, kind, f"SELECT symbol, trade_date, '' AS detail {relation} WHERE {where}\n")

    with pytest.raises(QueryFailed) as error:
        empty.run(SECOND_WEEK)

    assert str(error.value).startswith(f"sql/audit/{kind}/not_ibm.sql: the SQL engine cannot run this audit")
    assert len(str(error.value)) < 1_000, "the message does not show the combined statement"
    assert published_rows(empty.backend) == []


def test_an_audit_that_breaks_after_staging_stops_the_gate(sql_copy: Path, empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)
    load = empty.stage(SECOND_WEEK)
    add_audit(sql_copy, AuditKind.WARNING, "SELECT nothing FROM ${staged_prices} AS s\n")
    before = state(empty.backend)

    with pytest.raises(QueryFailed, match=r"^sql/audit/warning/not_ibm\.sql: "):
        verdicts_by_name(empty, load)
    with pytest.raises(QueryFailed, match=r"^sql/audit/warning/not_ibm\.sql: "):
        empty.publish(SECOND_WEEK)
    assert state(empty.backend) == before


def test_an_engine_failure_is_not_blamed_on_an_audit(empty: Scene) -> None:
    """After a time-out, more statements would only make it worse; if every audit runs, none of them is named."""
    empty.fetch(SECOND_WEEK)
    load = empty.stage(SECOND_WEEK)
    with empty.backend.warehouse.connect(load.load_id) as sql:
        broken = [(audits()[0], "SELECT no_such_column")]
        raise_for_broken_audit(sql, broken, QueryTimedOut("60 s"))
        raise_for_broken_audit(sql, [(audits()[0], "SELECT 1 AS one")], QueryFailed("combined"))
        with pytest.raises(QueryFailed, match=r"^sql/audit/schema/columns_as_declared\.sql: "):
            raise_for_broken_audit(sql, broken, QueryFailed("combined"))
