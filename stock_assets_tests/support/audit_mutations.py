"""One mutation of the good rows for each audit: how a bad row comes in, and what the audit must find.

To add an audit, add an entry to MUTATIONS that brings in a row that this audit alone finds.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import LEDGER_FILE, connect_to_write
from stock_assets.core.audit_limits import Limits
from stock_assets.core.errors import SourceUnreachable
from stock_assets.core.tables import STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES, Table
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.loads.load import Load
from stock_assets.loads.verdict import BadRow, Verdict
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_bar, tamper
from stock_assets_tests.support.steps import FIVE

DAY = date(2012, 3, 13)
LAST_DAY = SECOND_WEEK[-1]
SATURDAY = date(2012, 3, 10)
OTHER_BAR = "100.25,102.5,99.75,101.5,2000"
"""A good bar that differs from those of `calm_source`."""

UNDATED = f"2012-02-30,{OTHER_BAR}"
_KEY = re.compile(r"raw/\S+/([A-Z]+\.csv)")

Mutate = Callable[[Scene], Load]


@dataclass(frozen=True)
class Mutation:
    """One bad row of the second week.

    Attributes:
        audit: the audit that must find the row.
        mutate: brings the row in and stages the second week.
        sample: the bad rows that the audit must return.
        also: other audits that the row must fail as well.
        quarantined: bars that the load must quarantine.
        missing: bars that the load does not have.
        line: the bar that the vendor writes for DAY, if this is the mutation.
    """

    audit: str
    mutate: Mutate
    sample: tuple[BadRow, ...]
    also: frozenset[str] = frozenset()
    quarantined: frozenset[tuple[str, date]] = frozenset()
    missing: frozenset[tuple[str, date]] = frozenset()
    line: str | None = None


def vendor_writes(line: str, *, symbols: tuple[str, ...] = ("IBM",), day: date = DAY) -> Mutate:
    def mutate(scene: Scene) -> Load:
        for symbol in symbols:
            scene.source.set_bar(symbol, day, line)
        scene.fetch(SECOND_WEEK)
        return scene.stage(SECOND_WEEK)

    return mutate


def vendor_omits(*symbols: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        for symbol in symbols:
            scene.source.drop_bar(symbol, DAY)
        scene.fetch(SECOND_WEEK)
        return scene.stage(SECOND_WEEK)

    return mutate


def no_symbol_has_a_bar(scene: Scene) -> Load:
    """The exchange was closed on a day of the calendar; no limit rejects the session."""
    scene.change(limits=Limits(min_coverage=0.0, max_quarantined_share=0.25))
    return vendor_omits(*FIVE.symbols)(scene)


def first_week_is_published(mutate: Mutate) -> Mutate:
    def published_first(scene: Scene) -> Load:
        for sessions in (FIRST_WEEK, TWO_WEEKS):
            for symbol in FIVE.symbols:
                scene.source.set_bars(symbol, {session: calm_bar(symbol, session) for session in sessions})
            if sessions is FIRST_WEEK:
                scene.run(FIRST_WEEK)
        return mutate(scene)

    return published_first


def ibm_is_no_longer_traded(scene: Scene) -> Load:
    for session in SECOND_WEEK:
        scene.source.drop_bar("IBM", session)
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


def volume_in_another_unit(scene: Scene) -> Load:
    for session in SECOND_WEEK[-3:]:
        scene.source.set_bar("IBM", session, calm_bar("IBM", session) + "00")
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


def ibm_has_a_split(ex_date: date, ratio: str, last_bar: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        scene.source.set_splits("IBM", {ex_date: ratio})
        return vendor_writes(last_bar, day=LAST_DAY)(scene)

    return mutate


def vendor_adds_a_row(line: str) -> Mutate:
    """The response for IBM has another row before the row of DAY."""

    def mutate(scene: Scene) -> Load:
        response = scene.source.fetch_prices("IBM", []).decode()
        scene.source.set_body("IBM", response.replace(f"\r\n{DAY},", f"\r\n{line}\r\n{DAY},").encode())
        scene.fetch(SECOND_WEEK)
        return scene.stage(SECOND_WEEK)

    return mutate


def vendor_revises(text: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        scene.run(SECOND_WEEK)
        scene.source.set_bar("IBM", DAY, text)
        scene.deliver_again()
        return scene.stage(SECOND_WEEK)

    return mutate


def staging_table_becomes(table: Table, select: str) -> Mutate:
    def mutate(scene: Scene) -> Load:
        scene.fetch(SECOND_WEEK)
        load = scene.stage(SECOND_WEEK)
        tamper(scene.backend, load, table, select)
        return load

    return mutate


def universe_lists_ibm_on_other_days(scene: Scene) -> Load:
    scene.fetch(SECOND_WEEK)
    others = [row for row in FIVE.listings if row.symbol != "IBM"]
    periods = [Listing("IBM", "", None, SECOND_WEEK[2]), Listing("IBM", "", SECOND_WEEK[4], None)]
    scene.change(universe=Universe((*others, *periods)))
    return scene.stage(SECOND_WEEK)


def universe_has_a_lower_case_symbol(scene: Scene) -> Load:
    scene.change(universe=Universe((*FIVE.listings, Listing("aapl", "", DAY, DAY))))
    scene.source.set_bars("aapl", {DAY: calm_bar("aapl", DAY)})
    scene.fetch(SECOND_WEEK)
    return scene.stage(SECOND_WEEK)


def requested_before_the_market_close(scene: Scene) -> Load:
    """The response for IBM from before the market close has a bar of the day; after it, the request fails."""
    before, after = SECOND_WEEK[:-1], SECOND_WEEK
    for symbol in FIVE.symbols:
        if symbol != "IBM":
            scene.source.drop_bar(symbol, LAST_DAY)
    fetch_prices(scene, before, now=lambda: datetime(2012, 3, 14, 18, 0, tzinfo=UTC))
    for symbol in FIVE.symbols:
        scene.source.set_bar(symbol, LAST_DAY, calm_bar(symbol, LAST_DAY))
    scene.source.set_failure("IBM", SourceUnreachable("no response", symbol="IBM"))
    # The failure is repeated after a pause, so time must pass.
    clock = FakeClock(datetime(2012, 3, 14, 22, 0, tzinfo=UTC))
    fetch_prices(scene, after, now=clock.now, sleep=clock.sleep)
    return scene.stage(SECOND_WEEK)


def ledger_loses_responses(scene: Scene) -> Load:
    """ORCL has left the universe, and the ledger no longer has its responses."""
    scene.run(SECOND_WEEK)
    scene.change(universe=Universe(FIVE.listings[:-1]))
    with connect_to_write(DataFolder(root_of(scene.backend)), LEDGER_FILE) as ledger:
        ledger.execute("DELETE FROM fetches WHERE symbol = 'ORCL'")
    return scene.stage(SECOND_WEEK)


def newer_response_has_an_undated_line(scene: Scene) -> Load:
    scene.fetch(SECOND_WEEK)
    [fetch] = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[:1]
    deliver(scene.backend, "IBM", scene.backend.objects.get(fetch.response_key) + f"{UNDATED}\r\n".encode())
    return scene.stage(SECOND_WEEK)


def root_of(backend: Backend) -> Path:
    assert isinstance(backend, LocalBackend)
    return Path(backend.root)


def bar(detail: str, *, day: date = DAY) -> tuple[BadRow, ...]:
    return (BadRow("IBM", day, detail),)


def row(audit: str, line: str, detail: str) -> Mutation:
    return Mutation(audit, vendor_writes(line), bar(detail), quarantined=frozenset({("IBM", DAY)}), line=line)


def column(detail: str) -> tuple[BadRow, ...]:
    return (BadRow(None, None, detail),)


def revision(**fields: str) -> tuple[str, str]:
    """Return the bar of IBM on DAY with other fields, and the detail of the audit that finds the revision."""
    names = ("open", "high", "low", "close", "volume")
    before = dict(zip(names, calm_bar("IBM", DAY).split(","), strict=True))
    line = ",".join((before | fields)[name] for name in names)
    decimals = {name: 0 if name == "volume" else 4 for name in names}
    changes = [
        f"{name} {float(before[name]):.{decimals[name]}f} -> {float(value):.{decimals[name]}f}"
        for name, value in fields.items()
    ]
    return line, ", ".join(changes)


def revised(**fields: str) -> Mutation:
    line, detail = revision(**fields)
    return Mutation("no_revised_prices", vendor_revises(line), bar(detail))


PREVIOUS_CLOSE = float(calm_bar("IBM", SECOND_WEEK[-2]).split(",")[3])
"""Close of IBM before the last day."""


def jump(line: str) -> Mutation:
    """Return a mutation whose close on the last day is far from the close before."""
    close, before = float(line.split(",")[3]), PREVIOUS_CLOSE
    detail = f"{(close - before) / before * 100:.2f}%"
    return Mutation("no_unexplained_jump", vendor_writes(line, day=LAST_DAY), bar(detail, day=LAST_DAY))


MUTATIONS = (
    row("text_is_numeric", "100,102,99,1O1,1000", "close=1O1"),
    row("text_is_numeric", "1e2,102,99,101,1000", "open=1e2"),
    row("text_is_numeric", "100,inf,99,101,1000", "high=inf"),
    row("text_is_numeric", "100,102,NaN,101,12.5", "low=NaN, volume=12.5"),
    row("text_is_numeric", "100,102,99,101,6.16E+07", "volume=6.16E+07 (the digits do not determine the integer)"),
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
        "only_trading_sessions",
        vendor_writes(OTHER_BAR, day=SATURDAY),
        bar("the exchange was closed", day=SATURDAY),
        quarantined=frozenset({("IBM", SATURDAY)}),
    ),
    Mutation(
        "rows_of_one_bar_agree",
        vendor_adds_a_row(f"{DAY},{OTHER_BAR}"),
        bar(f"contradicting rows: {' | '.join(sorted([OTHER_BAR, calm_bar('IBM', DAY)]))}"),
        quarantined=frozenset({("IBM", DAY)}),
    ),
    Mutation(
        "symbol_was_listed",
        universe_lists_ibm_on_other_days,
        bar("listed until 2012-03-12, from 2012-03-14 until today"),
        quarantined=frozenset({("IBM", DAY)}),
    ),
    Mutation(
        "symbol_well_formed",
        universe_has_a_lower_case_symbol,
        (BadRow("aapl", DAY, "symbol aapl"),),
        quarantined=frozenset({("aapl", DAY)}),
    ),
    Mutation(
        "session_closed_at_fetch",
        requested_before_the_market_close,
        bar("fetched at 2012-03-14 18:00:00, closed at 2012-03-14 20:00:00", day=LAST_DAY),
        quarantined=frozenset({("IBM", LAST_DAY)}),
    ),
    Mutation(
        "columns_as_declared",
        staging_table_becomes(STAGED_PRICES, "SELECT * EXCLUDE (volume) FROM {name}"),
        column("daily_prices.volume: declared bigint, found nothing"),
    ),
    Mutation(
        "columns_as_declared",
        staging_table_becomes(STAGED_PRICES, "SELECT *, 1 AS extra FROM {name}"),
        column("daily_prices.extra: declared nothing, found integer"),
    ),
    Mutation(
        "columns_as_declared",
        staging_table_becomes(TYPED_PRICES, "SELECT * REPLACE (CAST(volume AS DOUBLE) AS volume) FROM {name}"),
        column("typed_prices.volume: declared bigint, found double"),
    ),
    Mutation(
        "columns_as_declared",
        staging_table_becomes(STAGED_QUARANTINE, "SELECT * EXCLUDE (audit) FROM {name}"),
        column("quarantined_prices.audit: declared varchar, found nothing"),
    ),
    Mutation(
        "every_staged_bar_has_an_origin",
        staging_table_becomes(
            STAGED_PRICES,
            "SELECT * FROM {name} UNION ALL SELECT * REPLACE (DATE '2012-03-07' AS trade_date) FROM {name} "
            f"WHERE symbol = 'IBM' AND trade_date = DATE '{DAY}'",
        ),
        bar("neither in a raw response nor published", day=date(2012, 3, 7)),
    ),
    Mutation(
        "every_staged_bar_has_an_origin",
        staging_table_becomes(
            STAGED_PRICES,
            f"SELECT * FROM {{name}} UNION ALL SELECT * REPLACE (DATE '{SATURDAY}' AS trade_date) FROM {{name}} "
            f"WHERE symbol = 'IBM' AND trade_date = DATE '{DAY}'",
        ),
        bar("neither in a raw response nor published", day=SATURDAY),
    ),
    Mutation(
        "every_staged_bar_has_an_origin",
        staging_table_becomes(
            STAGED_PRICES,
            "SELECT * REPLACE (CASE WHEN symbol = 'IBM' AND trade_date = DATE "
            f"'{DAY}' THEN close_price + 0.0001 ELSE close_price END AS close_price) FROM {{name}}",
        ),
        bar("open, high, low, close or volume differs from the raw response or the published row"),
    ),
    Mutation(
        "every_typed_bar_is_in_its_response",
        staging_table_becomes(
            TYPED_PRICES,
            "SELECT * REPLACE (CASE WHEN symbol = 'IBM' AND trade_date = DATE "
            f"'{DAY}' THEN close_price + 0.0001 ELSE close_price END AS close_price) FROM {{name}}",
        ),
        bar("no row of its raw response has these values"),
        also=frozenset({"every_staged_bar_has_an_origin"}),
    ),
    Mutation(
        "one_row_per_symbol_and_session",
        staging_table_becomes(
            STAGED_PRICES,
            f"SELECT * FROM {{name}} UNION ALL SELECT * FROM {{name}} "
            f"WHERE symbol = 'IBM' AND trade_date = DATE '{DAY}'",
        ),
        bar("2 rows"),
        also=frozenset({"no_repeated_bar"}),
    ),
    Mutation(
        "minimum_coverage",
        vendor_omits("AAPL", "IBM", "MSFT"),
        (BadRow(None, DAY, "2 of 5 symbols, fewer than 50%; missing: AAPL, IBM, MSFT"),),
        also=frozenset({"every_listed_symbol_present"}),
    ),
    Mutation(
        "quarantined_share_within_limit",
        vendor_writes(BAD_BAR, symbols=("IBM", "MSFT")),
        (
            BadRow(
                None,
                DAY,
                "2 of 5 symbols quarantined, more than 25%: IBM volume_not_negative: volume -5, response raw/IBM.csv; "
                "MSFT volume_not_negative: volume -5, response raw/MSFT.csv",
            ),
        ),
        also=frozenset({"volume_not_negative"}),
        quarantined=frozenset({("IBM", DAY), ("MSFT", DAY)}),
    ),
    Mutation(
        "every_raw_row_accounted_for",
        staging_table_becomes(
            STAGED_PRICES, f"SELECT * FROM {{name}} WHERE NOT (symbol = 'IBM' AND trade_date = DATE '{DAY}')"
        ),
        bar(f"raw row of {DAY}"),
    ),
    Mutation(
        "every_raw_row_accounted_for",
        staging_table_becomes(
            TYPED_PRICES,
            f"SELECT * FROM {{name}} UNION ALL SELECT * REPLACE (DATE '{SATURDAY}' AS trade_date) FROM {{name}} "
            f"WHERE symbol = 'IBM' AND trade_date = DATE '{DAY}'",
        ),
        bar(f"typed row of {SATURDAY}", day=SATURDAY),
        also=frozenset({"every_typed_bar_is_in_its_response"}),
    ),
    Mutation(
        "every_raw_row_has_a_day",
        newer_response_has_an_undated_line,
        (BadRow("IBM", None, f"unreadable date, response raw/IBM.csv: {UNDATED}"),),
    ),
    Mutation(
        "no_published_row_lost",
        ledger_loses_responses,
        tuple(BadRow("ORCL", day, "published, but not in this load") for day in SECOND_WEEK),
    ),
    Mutation("every_listed_symbol_present", vendor_omits("IBM"), bar("no bar"), missing=frozenset({("IBM", DAY)})),
    Mutation(
        "every_session_has_bars",
        no_symbol_has_a_bar,
        (BadRow(None, DAY, "no bar of any symbol: possibly an unscheduled closure of the exchange"),),
        also=frozenset({"every_listed_symbol_present"}),
        missing=frozenset((symbol, DAY) for symbol in FIVE.symbols),
    ),
    jump("58,59,57,58.5,1000"),
    jump("170,172,168,171,1000"),
    Mutation(
        "no_split_sized_jump",
        vendor_writes("50,51,49,50.5,1000", day=LAST_DAY),
        bar(f"open 50.0000 after a close of {PREVIOUS_CLOSE:.4f}, like a split of 2.0:1", day=LAST_DAY),
        also=frozenset({"no_unexplained_jump"}),
    ),
    Mutation(
        "no_split_sized_jump",
        vendor_writes("1000,1020,990,1010,1000", day=LAST_DAY),
        bar(f"open 1000.0000 after a close of {PREVIOUS_CLOSE:.4f}, like a split of 1:10.0", day=LAST_DAY),
        also=frozenset({"no_unexplained_jump"}),
    ),
    Mutation(
        "no_hundredfold_step",
        vendor_writes("1.01,1.02,0.99,1,200000", day=LAST_DAY),
        bar(f"prices 0.9900 to 1.0200 after a close of {PREVIOUS_CLOSE:.4f}", day=LAST_DAY),
        also=frozenset({"no_unexplained_jump"}),
    ),
    Mutation(
        "no_hundredfold_step",
        vendor_writes("100,10200,99,101,200000", day=LAST_DAY),
        bar(f"prices 99.0000 to 10200.0000 after a close of {PREVIOUS_CLOSE:.4f}", day=LAST_DAY),
    ),
    Mutation(
        "splits_move_prices",
        ibm_has_a_split(LAST_DAY, "2.0000", "100,102,99,101,200000"),
        bar(f"split ratio 2.0000, but open 100.0000 after a close of {PREVIOUS_CLOSE:.4f}", day=LAST_DAY),
        also=frozenset({"no_unexplained_jump"}),
    ),
    Mutation(
        "splits_move_prices",
        ibm_has_a_split(LAST_DAY, "0.2000", "100,102,99,101,200000"),
        bar(f"split ratio 0.2000, but open 100.0000 after a close of {PREVIOUS_CLOSE:.4f}", day=LAST_DAY),
        also=frozenset({"no_unexplained_jump"}),
    ),
    Mutation(
        "no_adjusted_prices",
        ibm_has_a_split(date(2012, 6, 1), "2.0000", "50,51,49,50.5,200000"),
        bar(f"the step from {PREVIOUS_CLOSE:.4f} to 50.0000 equals the split ratio 2.0000 of 2012-06-01", day=LAST_DAY),
        also=frozenset({"no_split_sized_jump", "no_unexplained_jump"}),
    ),
    Mutation(
        "split_ratios_not_rounded",
        ibm_has_a_split(LAST_DAY, "0.0053", "19000,19380,18810,19190,200000"),
        bar(
            "split 0.0053 of 2012-03-14 is rounded; if it is exactly 1:190, a jump of 0.700% remains: the true change "
            f"is {(19190 / PREVIOUS_CLOSE / 190 - 1) * 100:.3f}%, the computed one "
            f"{(19190 / PREVIOUS_CLOSE * 0.0053 - 1) * 100:.3f}%",
            day=LAST_DAY,
        ),
    ),
    Mutation(
        "no_repeated_bar",
        vendor_writes(calm_bar("IBM", SECOND_WEEK[2])),
        bar("same prices and volume as on 2012-03-12"),
    ),
    Mutation(
        "no_placeholder_bar",
        vendor_writes("100,100,100,100,0"),
        bar("open = high = low = close = 100.0000, volume 0"),
        also=frozenset({"volume_above_zero"}),
    ),
    Mutation(
        "no_volume_step",
        first_week_is_published(volume_in_another_unit),
        bar(
            f"from two sessions before, volume {calm_bar('IBM', LAST_DAY).split(',')[4]}00 after "
            f"{calm_bar('IBM', SECOND_WEEK[1]).split(',')[4]} and similar",
            day=LAST_DAY,
        ),
    ),
    Mutation(
        "symbols_still_trade",
        first_week_is_published(ibm_is_no_longer_traded),
        bar("last traded on 2012-03-07, 5 sessions before", day=LAST_DAY),
        also=frozenset({"every_listed_symbol_present"}),
        missing=frozenset(("IBM", session) for session in SECOND_WEEK),
    ),
    revised(volume="2000"),
    revised(open="100.5", high="110", low="90", close="102.25"),
    Mutation("volume_above_zero", vendor_writes("100,102,99,101,0"), bar("volume 0")),
)


def without_mutation(audit_paths: Iterable[str], mutations: Sequence[Mutation] = MUTATIONS) -> list[str]:
    """Return a sentence for each audit file that no mutation tests."""
    tested = {mutation.audit for mutation in mutations}
    return [
        f"sql/{path} has no mutation test; add one to MUTATIONS in stock_assets_tests/support/audit_mutations.py"
        for path in sorted(audit_paths)
        if Path(path).stem not in tested
    ]


def without_times(rows: Iterable[BadRow]) -> tuple[BadRow, ...]:
    """Return bad rows with the keys of responses shortened to their file names; the keys contain the time."""
    return tuple(replace(row, detail=_KEY.sub(r"raw/\1", row.detail)) for row in rows)


def verdicts_by_name(scene: Scene, load: Load) -> dict[str, Verdict]:
    """Audit a load."""
    return {verdict.audit.name: verdict for verdict in audit_load(scene, load)}


def failed_audits(verdicts: dict[str, Verdict]) -> set[str]:
    """Return the names of the audits that found bad rows."""
    return {name for name, verdict in verdicts.items() if not verdict.passed}
