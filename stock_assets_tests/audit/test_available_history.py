"""A load may begin before the source's available history: obtainable bars are published, the others are reported."""

from datetime import UTC, date, datetime

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.loads.load import newest_load
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.scenes import calm_bar
from stock_assets_tests.support.steps import FIVE, fetch, parts, published_rows

FIRST, AVAILABLE_FROM, LAST = date(2012, 6, 4), date(2012, 6, 11), date(2012, 6, 15)
REQUESTED, AVAILABLE = sessions_between(FIRST, LAST), sessions_between(AVAILABLE_FROM, LAST)


class LimitedSource(ScriptedSource):
    """Responses begin at AVAILABLE_FROM."""

    def available_history(self, at: datetime) -> AvailableHistory:
        assert at.tzinfo is UTC
        return AvailableHistory(AVAILABLE_FROM, "a test limits it")


def source_with_bars(source: ScriptedSource) -> ScriptedSource:
    for symbol in FIVE.symbols:
        source.set_bars(symbol, {session: calm_bar(symbol, session) for session in AVAILABLE})
    return source


def test_unobtainable_sessions_do_not_block_the_others(backend: Backend) -> None:
    source = source_with_bars(LimitedSource())
    fetch(backend, source, FIVE, REQUESTED)
    stage(parts(backend, source, FIVE), REQUESTED)

    publish(parts(backend, source, FIVE), REQUESTED)

    assert {row["trade_date"] for row in published_rows(backend)} == set(AVAILABLE)
    verdicts = {
        verdict.audit.name: verdict
        for verdict in audit_load(parts(backend, universe=FIVE), newest_load(backend, REQUESTED))
    }
    unobtainable = verdicts["every_listed_symbol_present"]
    assert (unobtainable.bad_rows, unobtainable.blocks) == (5 * len(FIVE.symbols), False)


def test_a_session_inside_the_available_history_still_needs_its_symbols(backend: Backend) -> None:
    source = source_with_bars(LimitedSource())
    for symbol in FIVE.symbols:
        source.drop_bar(symbol, AVAILABLE[1])
    fetch(backend, source, FIVE, REQUESTED)

    load = stage(parts(backend, source, FIVE), REQUESTED)
    publish(parts(backend, source, FIVE), REQUESTED)

    assert load.excluded == (AVAILABLE[1],)
    assert {row["trade_date"] for row in published_rows(backend)} == set(AVAILABLE) - {AVAILABLE[1]}


def test_without_a_limited_history_every_session_counts(backend: Backend) -> None:
    source = source_with_bars(ScriptedSource())
    fetch(backend, source, FIVE, REQUESTED)

    load = stage(parts(backend, source, FIVE), REQUESTED)
    publish(parts(backend, source, FIVE), REQUESTED)

    assert set(load.excluded) == set(REQUESTED) - set(AVAILABLE)
    assert {row["trade_date"] for row in published_rows(backend)} == set(AVAILABLE)
