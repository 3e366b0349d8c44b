"""Following the remedy of a blocking audit has the stated effect: the session and its bars are published.

Each entry of REMEDIES follows the remedy in the header of one audit. An audit without an entry fails the last test.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import date

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.universe import Universe
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets_tests.support.audit_mutations import DAY, LAST_DAY, MUTATIONS, Mutation
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.scenes import SECOND_WEEK, Scene, calm_bar, calm_source
from stock_assets_tests.support.steps import FIVE, published_rows

Follow = Callable[[Scene, date], None]


def load_again(scene: Scene, day: date) -> None:
    """Load the session again."""
    del day
    for symbol in FIVE.symbols:
        scene.source.set_failure(symbol, None)
    scene.run(SECOND_WEEK)


def request_again(scene: Scene, day: date) -> None:
    """Request the bars again after the vendor has corrected them, as `backfill --again` does."""
    correct(scene, day)
    fetch_prices(scene, SECOND_WEEK, rules=RequestRules(again=frozenset(scene.universe.symbols)))
    scene.stage(SECOND_WEEK)
    scene.publish(SECOND_WEEK)


def add_a_landing_file(scene: Scene, day: date) -> None:
    """Add the corrected bars as landing files."""
    correct(scene, day)
    for symbol in FIVE.symbols:
        deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []))
    scene.run(SECOND_WEEK)


def correct(scene: Scene, day: date) -> None:
    """Correct the bars of all symbols at the vendor."""
    scene.source.remove_bodies()
    for symbol in FIVE.symbols:
        scene.source.set_bar(symbol, day, calm_bar(symbol, day))


def correct_the_universe(scene: Scene, day: date) -> None:
    """Replace the universe file."""
    scene.change(universe=FIVE)
    load_again(scene, day)


def lower_the_minimum_coverage(scene: Scene, day: date) -> None:
    """Set STOCK_ASSETS_MIN_COVERAGE."""
    scene.change(limits=replace(scene.limits, min_coverage=0.2))
    load_again(scene, day)


def raise_the_quarantined_share(scene: Scene, day: date) -> None:
    """Set STOCK_ASSETS_MAX_QUARANTINED_SHARE."""
    scene.change(limits=Limits(min_coverage=scene.limits.min_coverage, max_quarantined_share=0.5))
    load_again(scene, day)


def request_with_the_symbol(scene: Scene, day: date) -> None:
    """Request the sessions again, with the symbol in the universe."""
    scene.change(universe=Universe(FIVE.listings))
    request_again(scene, day)


_VENDOR = (request_again, add_a_landing_file)
REMEDIES: dict[str, tuple[Follow, ...]] = {
    **dict.fromkeys(
        (
            "high_not_below_body",
            "low_not_above_body",
            "ohlcv_complete",
            "prices_positive",
            "rows_of_one_bar_agree",
            "text_is_numeric",
            "volume_not_negative",
        ),
        _VENDOR,
    ),
    "symbol_well_formed": (correct_the_universe,),
    "symbol_was_listed": (correct_the_universe,),
    "session_closed_at_fetch": (load_again,),
    "minimum_coverage": (request_again, lower_the_minimum_coverage),
    "quarantined_share_within_limit": (request_again, raise_the_quarantined_share),
    "no_published_row_lost": (request_with_the_symbol,),
    **dict.fromkeys(
        (
            "columns_as_declared",
            "every_raw_row_accounted_for",
            "every_staged_bar_has_an_origin",
            "every_typed_bar_is_in_its_response",
            "one_row_per_symbol_and_session",
        ),
        (load_again,),
    ),
}
NOT_NEEDED = {"only_trading_sessions"}
"""Audits whose remedy is that none is needed."""
ONE_PER_AUDIT = {mutation.audit: mutation for mutation in reversed(MUTATIONS)}


def published_symbols(backend: Backend, day: date) -> Collection[object]:
    """Return the symbols that are published for a session."""
    return {row["symbol"] for row in published_rows(backend, DAILY_PRICES) if row["trade_date"] == day}


def is_repeated(name: str, follow: Follow) -> bool:
    """Return whether an earlier audit of the same kind has the same remedy."""
    kinds = {audit.name: audit.kind for audit in audits()}
    same = [other for other in ONE_PER_AUDIT if kinds[other] is kinds[name] and follow in REMEDIES.get(other, ())]
    return name != same[0]


@pytest.mark.parametrize(
    ("mutation", "follow"),
    [
        pytest.param(
            mutation,
            follow,
            id=f"{name}-{follow.__name__}",
            marks=pytest.mark.slow if is_repeated(name, follow) else (),
        )
        for name, mutation in ONE_PER_AUDIT.items()
        for follow in REMEDIES.get(name, ())
    ],
)
def test_the_remedy_publishes_what_the_audit_kept_back(backend: Backend, mutation: Mutation, follow: Follow) -> None:
    scene = Scene(backend, calm_source())
    mutation.mutate(scene)
    with suppress(LoadRejected):
        scene.publish(SECOND_WEEK)
    day = LAST_DAY if mutation.audit == "session_closed_at_fetch" else DAY
    before = published_symbols(backend, day)

    follow(scene, day)

    published = published_symbols(backend, day)
    if follow is lower_the_minimum_coverage or follow is raise_the_quarantined_share:
        assert published
        assert not before
    else:
        assert published == set(FIVE.symbols)


def test_every_blocking_audit_has_a_remedy_that_a_test_follows() -> None:
    blocking = {audit.name for audit in audits() if audit.kind is not AuditKind.WARNING}
    assert REMEDIES.keys() | NOT_NEEDED == blocking


def test_a_remedy_names_the_command_or_the_setting() -> None:
    remedies = {audit.name: audit.file.remedy for audit in audits()}
    for name, follows in REMEDIES.items():
        if request_again in follows and name != "minimum_coverage":
            assert "--again" in remedies[name], name
        if add_a_landing_file in follows:
            assert "landing file" in remedies[name], name
    assert "STOCK_ASSETS_MIN_COVERAGE" in remedies["minimum_coverage"]
    assert "STOCK_ASSETS_MAX_QUARANTINED_SHARE" in remedies["quarantined_share_within_limit"]
    for name in ("minimum_coverage", "symbol_was_listed", "symbol_well_formed"):
        assert "STOCK_ASSETS_UNIVERSE" in remedies[name]
