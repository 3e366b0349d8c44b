"""A range that begins before the source's reach: what can be had is published, what cannot is named."""

from datetime import UTC, date, datetime

import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import LoadRejected
from stock_assets.loads.load import newest_load
from stock_assets.publish.publishing import publish
from stock_assets.sources.interface import AvailableHistory
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.steps import FIVE, fetch, parts, published_rows

FIRST, REACH, LAST = date(2012, 6, 4), date(2012, 6, 11), date(2012, 6, 15)
ASKED, HAD = sessions_between(FIRST, LAST), sessions_between(REACH, LAST)


class ShortSource(ScriptedSource):
    """Answers reach back to one day only."""

    def available_history(self, at: datetime) -> AvailableHistory:
        assert at.tzinfo is UTC
        return AvailableHistory(REACH, "it says so")


def source_with_bars(source: ScriptedSource) -> ScriptedSource:
    for symbol in FIVE.symbols:
        source.set_bars(symbol, dict.fromkeys(HAD, "10.0,11.0,9.0,10.5,1000"))
    return source


def test_sessions_nobody_can_have_do_not_hold_back_the_others(backend: Backend) -> None:
    source = source_with_bars(ShortSource())
    fetch(backend, source, FIVE, ASKED)
    stage(parts(backend, source, FIVE), ASKED)

    publish(parts(backend, source, FIVE), ASKED)

    assert {row["trade_date"] for row in published_rows(backend)} == set(HAD)
    verdicts = {
        verdict.audit.name: verdict
        for verdict in audit_load(parts(backend, universe=FIVE), newest_load(backend, ASKED))
    }
    unobtainable = verdicts["every_listed_symbol_present"]
    assert (unobtainable.bad_rows, unobtainable.blocks) == (5 * len(FIVE.symbols), False)


def test_a_session_within_reach_still_needs_its_symbols(backend: Backend) -> None:
    source = source_with_bars(ShortSource())
    for symbol in FIVE.symbols:
        source.drop_bar(symbol, HAD[1])
    fetch(backend, source, FIVE, ASKED)
    stage(parts(backend, source, FIVE), ASKED)

    with pytest.raises(LoadRejected, match=f"minimum_coverage: 1 bad rows, such as {HAD[1]} 0 of 5 symbols"):
        publish(parts(backend, source, FIVE), ASKED)


def test_without_a_limit_of_reach_every_session_counts(backend: Backend) -> None:
    source = source_with_bars(ScriptedSource())
    fetch(backend, source, FIVE, ASKED)
    stage(parts(backend, source, FIVE), ASKED)

    with pytest.raises(LoadRejected, match="minimum_coverage: 5 bad rows"):
        publish(parts(backend, source, FIVE), ASKED)
