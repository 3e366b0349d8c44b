"""Each audit finds exactly the bad row that it is written for, and the bad row has the consequence of its kind."""

from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import QUARANTINED_PRICES, STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets.loads.verdict import BadRow
from stock_assets_tests.support.added_audits import SQL_FOLDER, add_audit
from stock_assets_tests.support.audit_mutations import (
    DAY,
    MUTATIONS,
    Mutation,
    failed_audits,
    verdicts_by_name,
    without_mutation,
    without_times,
)
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, Scene, calm_source, keys, state, tamper
from stock_assets_tests.support.steps import FIVE, published_rows

EVERY_BAR = {(symbol, day) for symbol in FIVE.symbols for day in FIRST_WEEK + SECOND_WEEK}


def one_of_each(*kinds: AuditKind, quick: int | None = None) -> pytest.MarkDecorator:
    """Run a test with the first mutation of every audit of these kinds.

    An audit without a mutation is left out, so that collection succeeds: `test_every_audit_has_a_mutation` names it.

    Args:
        kinds: the kinds of the audits.
        quick: number of audits that are not only in the slow tests. The consequence depends on the kind alone, and
            `test_only_the_audit_of_the_mutation_finds_the_bad_row` tests every audit.
    """
    first = {mutation.audit: mutation for mutation in reversed(MUTATIONS)}
    names = [audit.name for audit in audits() if audit.kind in kinds and audit.name in first]
    marks = [() if quick is None or number < quick else pytest.mark.slow for number in range(len(names))]
    return pytest.mark.parametrize(
        "mutation", [pytest.param(first[name], id=name, marks=mark) for name, mark in zip(names, marks, strict=True)]
    )


def audit_paths() -> set[str]:
    kinds = tuple(AuditKind)
    return {f"audit/{kind}/{file.name}" for kind in kinds for file in (SQL_FOLDER / "audit" / kind).iterdir()}


def test_every_audit_has_a_mutation() -> None:
    missing = without_mutation(audit_paths())

    assert not missing, "\n".join(missing)
    assert {mutation.audit for mutation in MUTATIONS} == {Path(path).stem for path in audit_paths()}


def test_an_audit_without_a_mutation_is_named() -> None:
    [sentence] = without_mutation(["audit/row/x.sql"])

    assert sentence.startswith("sql/audit/row/x.sql has no mutation test; add one to MUTATIONS in ")
    assert Path(__file__).parents[2].joinpath(sentence.rpartition(" ")[2]).is_file()


def test_good_rows_pass_every_audit(empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)

    verdicts = verdicts_by_name(empty, empty.stage(SECOND_WEEK))

    assert set(verdicts) == {audit.name for audit in audits()}
    assert failed_audits(verdicts) == set()


def test_only_the_audit_of_the_mutation_finds_the_bad_bar_of_a_symbol(backend: Backend) -> None:
    """The mutations that are one bar are in one load, each in the bar of another symbol."""
    bars = {f"M{number:02}": mutation for number, mutation in enumerate(MUTATIONS) if mutation.line is not None}
    source = calm_source(tuple(bars), SECOND_WEEK)
    for symbol, mutation in bars.items():
        source.set_bar(symbol, DAY, str(mutation.line))
    universe = Universe(tuple(Listing(symbol, symbol) for symbol in bars))
    scene = Scene(backend, source, universe, Limits(min_coverage=0, max_quarantined_share=1))
    scene.fetch(SECOND_WEEK)

    verdicts = verdicts_by_name(scene, scene.stage(SECOND_WEEK))

    assert failed_audits(verdicts) == {mutation.audit for mutation in bars.values()}
    scene.publish(SECOND_WEEK)
    quarantined = {
        (row["symbol"], row["trade_date"], row["audit"], row["detail"])
        for row in published_rows(backend, QUARANTINED_PRICES)
    }
    assert quarantined == {
        (symbol, DAY, mutation.audit, mutation.sample[0].detail) for symbol, mutation in bars.items()
    }


@pytest.mark.parametrize(
    "mutation",
    # In the fast tests, the others are in one load.
    [pytest.param(one, marks=pytest.mark.slow if one.line is not None else ()) for one in MUTATIONS],
    ids=lambda mutation: f"{mutation.audit}, {mutation.sample[0].detail}",
)
def test_only_the_audit_of_the_mutation_finds_the_bad_row(empty: Scene, mutation: Mutation) -> None:
    verdicts = verdicts_by_name(empty, mutation.mutate(empty))

    assert failed_audits(verdicts) == {mutation.audit} | mutation.also
    verdict = verdicts[mutation.audit]
    assert without_times(verdict.sample) == mutation.sample
    assert verdict.bad_rows == len(mutation.sample)
    assert verdict.blocks is (verdict.audit.kind in {AuditKind.SCHEMA, AuditKind.LOAD})


REPEATED_BAR = """-- The bar differs from the previous one of the symbol.
-- remedy: compare with another source.
SELECT symbol, trade_date, 'repeated' AS detail
FROM (
    SELECT
        b.*,
        LAG(open_price) OVER w AS previous_open,
        LAG(close_price) OVER w AS previous_close,
        LAG(volume) OVER w AS previous_volume
    FROM ${bars} AS b
    WINDOW w AS (PARTITION BY symbol ORDER BY trade_date)
) AS b
WHERE open_price = previous_open OR close_price = previous_close OR volume = previous_volume
"""


def add_audit_of_repeated_bars(sql_copy: Path) -> str:
    name = "bar_differs_from_previous"
    add_audit(sql_copy, AuditKind.ROW, REPEATED_BAR, name=name)
    return name


def test_an_added_audit_of_repeated_bars_finds_none_in_good_rows(sql_copy: Path, empty: Scene) -> None:
    name = add_audit_of_repeated_bars(sql_copy)
    empty.fetch(SECOND_WEEK)

    verdicts = verdicts_by_name(empty, empty.stage(SECOND_WEEK))

    assert verdicts[name].passed


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.audit}, {mutation.sample[0].detail}")
def test_an_added_audit_of_repeated_bars_finds_none_in_the_other_mutations(
    sql_copy: Path, empty: Scene, mutation: Mutation
) -> None:
    """So a new audit needs one new mutation, and no change of the others."""
    name = add_audit_of_repeated_bars(sql_copy)
    repeats_a_bar = "no_repeated_bar" in {mutation.audit, *mutation.also}

    assert (name in failed_audits(verdicts_by_name(empty, mutation.mutate(empty)))) == repeats_a_bar


@one_of_each(AuditKind.ROW, quick=4)
def test_only_the_bad_bar_is_quarantined_and_the_rest_is_published(scene: Scene, mutation: Mutation) -> None:
    load = mutation.mutate(scene)

    scene.publish(SECOND_WEEK)

    assert keys(published_rows(scene.backend)) == EVERY_BAR - mutation.quarantined
    [quarantined] = published_rows(scene.backend, QUARANTINED_PRICES)
    assert (quarantined["symbol"], quarantined["trade_date"]) in mutation.quarantined
    assert (quarantined["audit"], quarantined["detail"]) == (mutation.audit, mutation.sample[0].detail)
    assert quarantined["load_id"] == load.load_id


@one_of_each(AuditKind.LOAD, AuditKind.SCHEMA, quick=3)
def test_a_bad_load_is_rejected_and_the_published_tables_do_not_change(scene: Scene, mutation: Mutation) -> None:
    mutation.mutate(scene)
    before = state(scene.backend)

    with pytest.raises(LoadRejected) as rejected:
        scene.publish(SECOND_WEEK)

    message = str(rejected.value)
    [remedy] = [audit.file.remedy for audit in audits() if audit.name == mutation.audit]
    count = len(mutation.sample)
    assert message.startswith("published/daily_prices, sessions 2012-03-08 to 2012-03-14: ")
    assert f"{mutation.audit}: {count} bad {'row' if count == 1 else 'rows'}, first: {mutation.sample[0]}" in message
    assert mutation.sample[0].detail in message
    assert remedy
    assert f"(remedy: {remedy})" in message
    assert state(scene.backend) == before


@one_of_each(AuditKind.SESSION)
def test_only_the_bad_session_is_excluded_and_the_other_sessions_are_published(
    scene: Scene, mutation: Mutation
) -> None:
    load = mutation.mutate(scene)

    scene.publish(SECOND_WEEK)

    assert load.excluded == (DAY,)
    assert keys(published_rows(scene.backend)) == {(symbol, day) for symbol, day in EVERY_BAR if day != DAY}
    assert published_rows(scene.backend, QUARANTINED_PRICES) == [], "an excluded session keeps the rows that it has"


@one_of_each(AuditKind.WARNING, quick=3)
def test_a_row_with_a_warning_is_published(scene: Scene, mutation: Mutation) -> None:
    mutation.mutate(scene)

    scene.publish(SECOND_WEEK)

    assert keys(published_rows(scene.backend)) == EVERY_BAR - mutation.missing
    assert published_rows(scene.backend, QUARANTINED_PRICES) == []


@one_of_each(AuditKind.ROW, quick=3)
def test_a_load_with_a_bad_bar_outside_quarantine_is_rejected(empty: Scene, mutation: Mutation) -> None:
    """The row audits also read the rows that would be committed: a bad bar that is not in quarantine blocks."""
    load = mutation.mutate(empty)
    [(symbol, day)] = mutation.quarantined
    tamper(empty.backend, load, STAGED_QUARANTINE, "SELECT * FROM {name} WHERE FALSE")
    with empty.backend.warehouse.connect(load.load_id) as sql:
        typed = (
            f"SELECT open_price, high_price, low_price, close_price, volume, '{symbol}' AS symbol "
            f"FROM {sql.name(TYPED_PRICES).value} WHERE symbol = '{symbol}' AND trade_date = DATE '{day}'"
        )
    tamper(
        empty.backend,
        load,
        STAGED_PRICES,
        f"SELECT * FROM {{name}} UNION ALL SELECT s.* REPLACE (t.symbol AS symbol, DATE '{day}' AS trade_date, "
        "t.open_price AS open_price, t.high_price AS high_price, t.low_price AS low_price, "
        "t.close_price AS close_price, t.volume AS volume) "
        f"FROM {{name}} AS s CROSS JOIN ({typed}) AS t WHERE s.symbol = 'CSCO' AND s.trade_date = DATE '{DAY}'",
    )
    before = state(empty.backend)

    verdicts = verdicts_by_name(empty, load)

    assert [name for name, verdict in verdicts.items() if verdict.blocks] == [mutation.audit]
    with pytest.raises(LoadRejected, match=mutation.audit):
        empty.publish(SECOND_WEEK)
    assert state(empty.backend) == before


def test_the_sample_is_limited_and_the_count_is_complete(empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)
    load = empty.stage(SECOND_WEEK)
    tamper(empty.backend, load, STAGED_PRICES, "SELECT * FROM {name} UNION ALL SELECT * FROM {name}")

    verdict = verdicts_by_name(empty, load)["one_row_per_symbol_and_session"]

    assert verdict.bad_rows == len(FIVE.symbols) * len(SECOND_WEEK)
    assert len(verdict.sample) == 10
    assert verdict.sample[0] == BadRow("AAPL", SECOND_WEEK[0], "2 rows")
    assert verdict.summary == "25 bad rows, first: AAPL 2012-03-08: 2 rows"
