"""Every audit finds the bad row it is there for, alone, and the bad row has the consequence of its kind."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

import stock_assets.core.sql
from stock_assets.audit.audits import BadRow, Verdict
from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.errors import LoadRejected, QueryFailed, SourceUnreachable
from stock_assets.core.limits import Limits
from stock_assets.core.tables import QUARANTINED_PRICES, STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES, Table
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets.loads.load import Load
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.keys import asset_key
from stock_assets.settings import Settings
from stock_assets_tests.support.scenes import (
    BAD_BAR,
    CALM_BAR,
    FIRST_WEEK,
    SECOND_WEEK,
    Scene,
    calm_source,
    keys,
    state,
    tamper,
)
from stock_assets_tests.support.steps import FIVE, published_rows

DAY = date(2012, 3, 13)
LAST_DAY = SECOND_WEEK[-1]
SATURDAY = date(2012, 3, 10)
EVERY_BAR = {(symbol, day) for symbol in FIVE.symbols for day in FIRST_WEEK + SECOND_WEEK}
SQL_FOLDER = Path(__file__).parents[2] / "sql"

Mutate = Callable[[Scene], Load]


@dataclass(frozen=True)
class Mutation:
    """One bad row of the second week, after a good first week was published.

    Attributes:
        audit: the audit that must find it.
        mutate: brings it in and stages the second week.
        sample: what the audit must show.
        also: other audits the row cannot help failing.
        quarantined: bars the load must set aside.
    """

    audit: str
    mutate: Mutate
    sample: tuple[BadRow, ...]
    also: frozenset[str] = frozenset()
    quarantined: frozenset[tuple[str, date]] = frozenset()


def vendor_writes(line: str, *, symbols: tuple[str, ...] = ("IBM",), day: date = DAY) -> Mutate:
    def mutate(scene: Scene) -> Load:
        for symbol in symbols:
            scene.source.set_bar(symbol, day, line)
        scene.fetch(SECOND_WEEK)
        return scene.stage(SECOND_WEEK)

    return mutate


def vendor_lacks(*symbols: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        for symbol in symbols:
            scene.source.drop_bar(symbol, DAY)
        scene.fetch(SECOND_WEEK)
        return scene.stage(SECOND_WEEK)

    return mutate


def vendor_doubles(scene: Scene) -> Load:
    scene.source.double_bar("IBM", DAY)
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


def vendor_revises(text: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        scene.run(SECOND_WEEK)
        scene.source.set_bar("IBM", DAY, text)
        scene.deliver_again()
        return scene.stage(SECOND_WEEK)

    return mutate


def staging_becomes(table: Table, select: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        scene.fetch(SECOND_WEEK)
        load = scene.stage(SECOND_WEEK)
        tamper(scene.backend, load, table, select)
        return load

    return mutate


def universe_names_a_file(scene: Scene) -> Load:
    scene.change(universe=Universe((*FIVE.listings, Listing("aapl", "", DAY, DAY))))
    scene.source.set_bars("aapl", {DAY: CALM_BAR})
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


def asked_before_the_bell(scene: Scene) -> Load:
    """IBM's answer of the afternoon has a bar of the day so far, and after the bell IBM cannot be had."""
    before, after = SECOND_WEEK[:-1], SECOND_WEEK
    for symbol in FIVE.symbols:
        if symbol != "IBM":
            scene.source.drop_bar(symbol, LAST_DAY)
    fetch_prices(scene, before, now=lambda: datetime(2012, 3, 14, 18, 0, tzinfo=UTC))
    for symbol in FIVE.symbols:
        scene.source.set_bar(symbol, LAST_DAY, CALM_BAR)
    scene.source.set_failure("IBM", SourceUnreachable("no answer", symbol="IBM"))
    fetch_prices(scene, after, now=lambda: datetime(2012, 3, 14, 22, 0, tzinfo=UTC))
    return scene.stage(SECOND_WEEK)


def answers_are_lost(scene: Scene) -> Load:
    """ORCL has left the universe, and the ledger no longer knows of its answers."""
    scene.run(SECOND_WEEK)
    scene.change(universe=Universe(FIVE.listings[:-1]))
    with closing(sqlite3.connect(root_of(scene.backend) / "ledger.db")) as ledger, ledger:
        ledger.execute("DELETE FROM fetches WHERE symbol = 'ORCL'")
    return scene.stage(SECOND_WEEK)


def stored_answer_gains_a_line(scene: Scene) -> Load:
    scene.fetch(SECOND_WEEK)
    [answer] = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[:1]
    body = scene.backend.objects.get(answer.response_key)
    scene.backend.objects.delete(answer.response_key)
    scene.backend.objects.put(answer.response_key, body + f"2012-02-30,{CALM_BAR}\r\n".encode())
    return scene.stage(SECOND_WEEK)


def root_of(backend: Backend) -> Path:
    assert isinstance(backend, LocalBackend)
    return Path(backend.root)


def bar(detail: str, *, day: date = DAY) -> tuple[BadRow, ...]:
    return (BadRow("IBM", day, detail),)


def row(audit: str, line: str, detail: str) -> Mutation:
    return Mutation(audit, vendor_writes(line), bar(detail), quarantined=frozenset({("IBM", DAY)}))


def column(detail: str) -> tuple[BadRow, ...]:
    return (BadRow(None, None, detail),)


MUTATIONS = (
    row("text_is_numeric", "100,102,99,1O1,1000", "close=1O1"),
    row("text_is_numeric", "1e2,102,99,101,1000", "open=1e2"),
    row("text_is_numeric", "100,inf,99,101,1000", "high=inf"),
    row("text_is_numeric", "100,102,NaN,101,12.5", "low=NaN, volume=12.5"),
    row("ohlcv_complete", ",102,99,101,1000", "open missing"),
    row("ohlcv_complete", "100,,99,101,1000", "high missing"),
    row("ohlcv_complete", "100,102,,101,1000", "low missing"),
    row("ohlcv_complete", "100,102,99,,1000", "close missing"),
    row("ohlcv_complete", "100,102,99,101,", "volume missing"),
    row("high_not_below_body", "100,99.5,99,99.25,1000", "high 99.5000 < open 100.0000 or close 99.2500"),
    row("high_not_below_body", "100,100.5,99,101,1000", "high 100.5000 < open 100.0000 or close 101.0000"),
    row("low_not_above_body", "100,102,100.5,101,1000", "low 100.5000 > open 100.0000 or close 101.0000"),
    row("low_not_above_body", "101,102,100.5,100,1000", "low 100.5000 > open 101.0000 or close 100.0000"),
    row("prices_positive", "0,0,0,0,1000", "lowest price 0.0000"),
    row("prices_positive", "100,102,-0.01,101,1000", "lowest price -0.0100"),
    row("volume_not_negative", BAD_BAR, "volume -5"),
    Mutation(
        "symbol_well_formed",
        universe_names_a_file,
        (BadRow("aapl", DAY, "symbol aapl"),),
        quarantined=frozenset({("aapl", DAY)}),
    ),
    Mutation(
        "session_closed_at_fetch",
        asked_before_the_bell,
        bar("fetched at 2012-03-14 18:00:00, closed at 2012-03-14 20:00:00", day=LAST_DAY),
        quarantined=frozenset({("IBM", LAST_DAY)}),
    ),
    Mutation(
        "columns_as_declared",
        staging_becomes(STAGED_PRICES, "SELECT * EXCLUDE (volume) FROM {name}"),
        column("daily_prices.volume: declared bigint, found nothing"),
    ),
    Mutation(
        "columns_as_declared",
        staging_becomes(STAGED_PRICES, "SELECT *, 1 AS extra FROM {name}"),
        column("daily_prices.extra: declared nothing, found integer"),
    ),
    Mutation(
        "columns_as_declared",
        staging_becomes(TYPED_PRICES, "SELECT * REPLACE (CAST(volume AS DOUBLE) AS volume) FROM {name}"),
        column("typed_prices.volume: declared bigint, found double"),
    ),
    Mutation(
        "columns_as_declared",
        staging_becomes(STAGED_QUARANTINE, "SELECT * EXCLUDE (audit) FROM {name}"),
        column("quarantined_prices.audit: declared varchar, found nothing"),
    ),
    Mutation(
        "dates_inside_load",
        staging_becomes(
            STAGED_PRICES,
            "SELECT * FROM {name} UNION ALL SELECT * REPLACE (DATE '2012-03-07' AS trade_date) FROM {name} "
            f"WHERE symbol = 'IBM' AND trade_date = DATE '{DAY}'",
        ),
        bar("outside the load", day=date(2012, 3, 7)),
    ),
    Mutation(
        "only_trading_sessions",
        vendor_writes(CALM_BAR, day=SATURDAY),
        bar("the exchange was closed", day=SATURDAY),
    ),
    Mutation("one_row_per_symbol_and_session", vendor_doubles, bar("2 rows")),
    Mutation(
        "minimum_coverage",
        vendor_lacks("AAPL", "IBM", "MSFT"),
        (BadRow(None, DAY, "2 of 5 symbols"),),
        also=frozenset({"every_listed_symbol_present"}),
    ),
    Mutation(
        "quarantined_share_within_limit",
        vendor_writes(BAD_BAR, symbols=("IBM", "MSFT")),
        (BadRow(None, DAY, "2 of 5 symbols quarantined"),),
        also=frozenset({"volume_not_negative"}),
        quarantined=frozenset({("IBM", DAY), ("MSFT", DAY)}),
    ),
    Mutation(
        "every_raw_row_accounted_for",
        staging_becomes(
            STAGED_PRICES, f"SELECT * FROM {{name}} WHERE NOT (symbol = 'IBM' AND trade_date = DATE '{DAY}')"
        ),
        bar(f"raw row of {DAY}"),
    ),
    Mutation(
        "every_raw_row_accounted_for",
        stored_answer_gains_a_line,
        (BadRow("IBM", None, "raw row of 2012-02-30"),),
    ),
    Mutation(
        "no_published_row_lost",
        answers_are_lost,
        tuple(BadRow("ORCL", day, "published, but not in this load") for day in SECOND_WEEK),
    ),
    Mutation("every_listed_symbol_present", vendor_lacks("IBM"), bar("no bar")),
    Mutation("no_unexplained_jump", vendor_writes("50,51,49,50.5,1000", day=LAST_DAY), bar("-50.00%", day=LAST_DAY)),
    Mutation("no_revised_prices", vendor_revises("100,102,99,101,2000"), bar("volume 1000 -> 2000")),
    Mutation(
        "no_revised_prices",
        vendor_revises("100.5,103,98,102,1000"),
        bar("open 100.0000 -> 100.5000, high 102.0000 -> 103.0000, low 99.0000 -> 98.0000, close 101.0000 -> 102.0000"),
    ),
    Mutation("volume_above_zero", vendor_writes("100,102,99,101,0"), bar("volume 0")),
)


def one_of_each(*kinds: AuditKind) -> pytest.MarkDecorator:
    """Run a test with the first mutation of every audit of these kinds."""
    first = {mutation.audit: mutation for mutation in reversed(MUTATIONS)}
    names = [audit.name for audit in audits() if audit.kind in kinds]
    return pytest.mark.parametrize("mutation", [first[name] for name in names], ids=names)


@pytest.fixture
def empty(backend: Backend) -> Scene:
    """Nothing is published; the second week can be asked for."""
    return Scene(backend, calm_source(sessions=SECOND_WEEK))


@pytest.fixture
def scene(backend: Backend) -> Scene:
    """A published first week; the second can be asked for."""
    scene = Scene(backend, calm_source(sessions=FIRST_WEEK))
    scene.run(FIRST_WEEK)
    scene.change(source=calm_source())
    return scene


def judged(scene: Scene, load: Load) -> dict[str, Verdict]:
    verdicts = audit_load(scene, load)
    return {verdict.audit.name: verdict for verdict in verdicts}


def failing(verdicts: dict[str, Verdict]) -> set[str]:
    return {name for name, verdict in verdicts.items() if not verdict.passed}


def test_every_audit_has_a_mutation() -> None:
    files = {
        file.stem for kind in ("schema", "row", "load", "warning") for file in (SQL_FOLDER / "audit" / kind).iterdir()
    }

    assert {mutation.audit for mutation in MUTATIONS} == files


def test_good_rows_pass_every_audit(empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)

    verdicts = judged(empty, empty.stage(SECOND_WEEK))

    assert set(verdicts) == {audit.name for audit in audits()}
    assert failing(verdicts) == set()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.audit}, {mutation.sample[0].detail}")
def test_exactly_that_audit_finds_the_bad_row(empty: Scene, mutation: Mutation) -> None:
    verdicts = judged(empty, mutation.mutate(empty))

    assert failing(verdicts) == {mutation.audit} | mutation.also
    verdict = verdicts[mutation.audit]
    assert verdict.sample == mutation.sample
    assert verdict.bad_rows == len(mutation.sample)
    assert verdict.blocks is (verdict.audit.kind in {AuditKind.SCHEMA, AuditKind.LOAD})


@one_of_each(AuditKind.ROW)
def test_a_bad_bar_is_quarantined_alone_and_the_rest_is_published(scene: Scene, mutation: Mutation) -> None:
    load = mutation.mutate(scene)

    scene.publish(SECOND_WEEK)

    assert keys(published_rows(scene.backend)) == EVERY_BAR - mutation.quarantined
    [quarantined] = published_rows(scene.backend, QUARANTINED_PRICES)
    assert (quarantined["symbol"], quarantined["trade_date"]) in mutation.quarantined
    assert (quarantined["audit"], quarantined["detail"]) == (mutation.audit, mutation.sample[0].detail)
    assert quarantined["load_id"] == load.load_id


@one_of_each(AuditKind.LOAD, AuditKind.SCHEMA)
def test_a_bad_load_is_refused_and_the_published_tables_stay_as_they_were(scene: Scene, mutation: Mutation) -> None:
    mutation.mutate(scene)
    before = state(scene.backend)

    with pytest.raises(LoadRejected) as refusal:
        scene.publish(SECOND_WEEK)

    message = str(refusal.value)
    [remedy] = [audit.file.remedy for audit in audits() if audit.name == mutation.audit]
    assert message.startswith("published/daily_prices, sessions 2012-03-08 to 2012-03-14: ")
    assert f"{mutation.audit}: {len(mutation.sample)} bad rows, such as " in message
    assert mutation.sample[0].detail in message
    assert remedy
    assert f"(remedy: {remedy})" in message
    assert state(scene.backend) == before


@one_of_each(AuditKind.WARNING)
def test_a_warning_is_published(scene: Scene, mutation: Mutation) -> None:
    mutation.mutate(scene)

    scene.publish(SECOND_WEEK)

    missing = {("IBM", DAY)} if mutation.audit == "every_listed_symbol_present" else set()
    assert keys(published_rows(scene.backend)) == EVERY_BAR - missing
    assert published_rows(scene.backend, QUARANTINED_PRICES) == []


@one_of_each(AuditKind.ROW)
def test_a_bad_bar_that_staging_let_through_is_refused(empty: Scene, mutation: Mutation) -> None:
    """The row audits judge what would be committed too: a bar that is not in quarantine blocks."""
    load = mutation.mutate(empty)
    [(symbol, day)] = mutation.quarantined
    tamper(empty.backend, load, STAGED_QUARANTINE, "SELECT * FROM {name} WHERE FALSE")
    with empty.backend.warehouse.open(load.load_id) as sql:
        typed = (
            f"SELECT open_price, high_price, low_price, close_price, volume, '{symbol}' AS symbol "
            f"FROM {sql.name(TYPED_PRICES).value} WHERE symbol = '{symbol}' AND trade_date = DATE '{day}'"
        )
        staged = sql.name(STAGED_PRICES).value
        sql.stage(
            STAGED_PRICES,
            f"SELECT * FROM {staged} UNION ALL SELECT s.* REPLACE (t.symbol AS symbol, t.open_price AS open_price, "
            "t.high_price AS high_price, t.low_price AS low_price, t.close_price AS close_price, t.volume AS volume) "
            f"FROM {staged} AS s CROSS JOIN ({typed}) AS t WHERE s.symbol = 'CSCO' AND s.trade_date = DATE '{day}'",
        )
    before = state(empty.backend)

    verdicts = judged(empty, load)

    assert [name for name, verdict in verdicts.items() if verdict.blocks] == [mutation.audit]
    with pytest.raises(LoadRejected, match=mutation.audit):
        empty.publish(SECOND_WEEK)
    assert state(empty.backend) == before


def test_a_sample_is_short_but_the_count_is_whole(empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)
    load = empty.stage(SECOND_WEEK)
    tamper(empty.backend, load, STAGED_PRICES, "SELECT * FROM {name} UNION ALL SELECT * FROM {name}")

    verdict = judged(empty, load)["one_row_per_symbol_and_session"]

    assert verdict.bad_rows == len(FIVE.symbols) * len(SECOND_WEEK)
    assert len(verdict.sample) == 10
    assert verdict.sample[0] == BadRow("AAPL", SECOND_WEEK[0], "2 rows")


FIFTY = Universe(tuple(Listing(f"S{number:02}", "") for number in range(50)))


@pytest.mark.parametrize(("bad", "blocks"), [(29, False), (30, True)])
def test_quarantine_up_to_the_limit_is_published(backend: Backend, bad: int, *, blocks: bool) -> None:
    """29 of 50 is 58% exactly, although 0.58 * 50 is less than 29 in binary fractions."""
    source = calm_source(FIFTY.symbols, [DAY])
    for symbol in FIFTY.symbols[:bad]:
        source.set_bar(symbol, DAY, BAD_BAR)
    scene = Scene(backend, source, FIFTY, Limits(min_coverage=0.5, max_quarantined_share=0.58))
    scene.fetch([DAY])

    verdict = judged(scene, scene.stage([DAY]))["quarantined_share_within_limit"]

    assert verdict.blocks is blocks


@pytest.mark.parametrize(("present", "blocks"), [(28, False), (27, True)])
def test_coverage_down_to_the_limit_is_published(backend: Backend, present: int, *, blocks: bool) -> None:
    """28 of 50 is 56% exactly, although 0.56 * 50 is more than 28 in binary fractions."""
    scene = Scene(
        backend,
        calm_source(FIFTY.symbols[:present], [DAY]),
        FIFTY,
        Limits(min_coverage=0.56, max_quarantined_share=0.25),
    )
    scene.fetch([DAY])

    verdict = judged(scene, scene.stage([DAY]))["minimum_coverage"]

    assert verdict.blocks is blocks


def test_a_symbol_is_covered_only_while_it_is_listed(empty: Scene) -> None:
    """What is not listed on a session is not missing there."""
    empty.change(
        universe=Universe(
            (
                *FIVE.listings,
                Listing("FB", "", first_session=date(2012, 5, 18)),
                Listing("PALM", "", None, FIRST_WEEK[0]),
            )
        )
    )
    empty.fetch(SECOND_WEEK)

    assert failing(judged(empty, empty.stage(SECOND_WEEK))) == set()


@pytest.fixture
def sql_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the folder of statements, in use until the test ends."""
    copy = tmp_path / "sql"
    shutil.copytree(SQL_FOLDER, copy)
    original = stock_assets.core.sql.bundled
    monkeypatch.setattr(stock_assets.core.sql, "bundled", lambda name: copy if name == "sql" else original(name))
    forget_statements()
    yield copy
    monkeypatch.undo()
    forget_statements()


def forget_statements() -> None:
    audits.cache_clear()
    stock_assets.core.sql._read.cache_clear()  # noqa: SLF001 (no public way: files do not change under a running process)


NOT_IBM = """-- No bar is IBM's.
-- remedy: sell.
SELECT symbol, trade_date, 'IBM again' AS detail FROM {relation} AS b
WHERE symbol = 'IBM' AND trade_date = DATE '2012-03-13'
"""


def add_audit(folder: Path, kind: AuditKind, text: str) -> None:
    (folder / "audit" / kind / "not_ibm.sql").write_text(text, encoding="utf-8")
    forget_statements()


def test_a_file_is_all_it_takes_to_add_a_row_audit(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.ROW, NOT_IBM.format(relation="${bars}"))

    empty.run(SECOND_WEEK)

    [quarantined] = published_rows(empty.backend, QUARANTINED_PRICES)
    assert (quarantined["symbol"], quarantined["trade_date"]) == ("IBM", DAY)
    assert (quarantined["audit"], quarantined["detail"]) == ("not_ibm", "IBM again")
    assert ("IBM", DAY) not in keys(published_rows(empty.backend))


def test_a_file_is_all_it_takes_to_add_a_blocking_audit(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.LOAD, NOT_IBM.format(relation="${staged_prices}"))
    before = state(empty.backend)

    with pytest.raises(
        LoadRejected, match=r"not_ibm: 1 bad rows, such as IBM 2012-03-13 IBM again, in 2012-03-13 \(remedy: sell.\)"
    ):
        empty.run(SECOND_WEEK)

    assert state(empty.backend) == before


def test_a_file_is_all_it_takes_to_add_a_warning(sql_copy: Path, empty: Scene) -> None:
    add_audit(sql_copy, AuditKind.WARNING, NOT_IBM.format(relation="${staged_prices}"))
    empty.fetch(SECOND_WEEK)

    verdicts = judged(empty, empty.stage(SECOND_WEEK))

    assert failing(verdicts) == {"not_ibm"}
    assert not verdicts["not_ibm"].blocks


@pytest.mark.parametrize(
    ("kind", "blocking"), [(AuditKind.ROW, True), (AuditKind.LOAD, True), (AuditKind.WARNING, False)]
)
def test_an_added_audit_is_a_check(sql_copy: Path, tmp_path: Path, kind: AuditKind, *, blocking: bool) -> None:
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
    assert str(specs["not_ibm"].description).startswith("No bar is IBM's. ")


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (AuditKind.ROW, "no_such_column = 1"),
        (AuditKind.LOAD, "no_such_column = 1"),
        (AuditKind.WARNING, "no_such_column = 1"),
        (AuditKind.WARNING, "symbol = = 'IBM'"),
    ],
)
def test_a_broken_audit_raises(sql_copy: Path, empty: Scene, kind: AuditKind, where: str) -> None:
    """Neither a pass nor a failure: nobody may read a verdict into a statement that did not run."""
    add_audit(sql_copy, kind, f"SELECT symbol, trade_date, '' AS detail FROM ${{staged_prices}} AS s WHERE {where}\n")

    with pytest.raises(QueryFailed):
        empty.run(SECOND_WEEK)

    assert published_rows(empty.backend) == []


def test_an_audit_broken_after_staging_raises_at_the_gate(sql_copy: Path, empty: Scene) -> None:
    empty.fetch(SECOND_WEEK)
    load = empty.stage(SECOND_WEEK)
    add_audit(sql_copy, AuditKind.WARNING, "SELECT nothing FROM ${staged_prices} AS s\n")
    before = state(empty.backend)

    with pytest.raises(QueryFailed):
        judged(empty, load)
    with pytest.raises(QueryFailed):
        empty.publish(SECOND_WEEK)
    assert state(empty.backend) == before


def test_replaced_limits_are_used(empty: Scene) -> None:
    """A limit is a setting: the same load passes under a wider one."""
    load = vendor_writes(BAD_BAR, symbols=("IBM", "MSFT"))(empty)
    assert judged(empty, load)["quarantined_share_within_limit"].blocks

    empty.change(limits=replace(empty.limits, max_quarantined_share=0.4))

    assert not judged(empty, load)["quarantined_share_within_limit"].blocks
    empty.publish(SECOND_WEEK)
    assert {("IBM", DAY), ("MSFT", DAY)} == keys(published_rows(empty.backend, QUARANTINED_PRICES))
