"""The limits of coverage and quarantine are inclusive and exact, and apply to listed symbols only."""

from dataclasses import replace
from datetime import date

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import UNEXPLAINED_JUMP, Limits
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import QUARANTINED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets_tests.support.audit_mutations import DAY, failed_audits, vendor_writes, verdicts_by_name
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, Scene, calm_source, keys
from stock_assets_tests.support.steps import FIVE, published_rows

FIFTY = Universe(tuple(Listing(f"S{number:02}", "") for number in range(50)))


@pytest.mark.parametrize(("bad", "blocks"), [(29, False), (30, True)])
def test_a_quarantined_share_equal_to_the_limit_is_published(backend: Backend, bad: int, *, blocks: bool) -> None:
    """29 of 50 is exactly 58%, although 0.58 * 50 is less than 29 in binary fractions."""
    source = calm_source(FIFTY.symbols, [DAY])
    for symbol in FIFTY.symbols[:bad]:
        source.set_bar(symbol, DAY, BAD_BAR)
    scene = Scene(backend, source, FIFTY, Limits(min_coverage=0.5, max_quarantined_share=0.58))
    scene.fetch([DAY])

    verdict = verdicts_by_name(scene, scene.stage([DAY]))["quarantined_share_within_limit"]

    assert verdict.blocks is blocks


def test_one_quarantined_bar_never_excludes_a_session(backend: Backend) -> None:
    """One of three symbols is 33%, more than the limit; two of three exclude the session."""
    three = Universe(FIVE.listings[:3])
    source = calm_source(three.symbols, [DAY])
    scene = Scene(backend, source, three)
    source.set_bar(three.symbols[0], DAY, BAD_BAR)
    scene.run([DAY])

    assert keys(published_rows(scene.backend)) == {(symbol, DAY) for symbol in three.symbols[1:]}
    assert keys(published_rows(scene.backend, QUARANTINED_PRICES)) == {(three.symbols[0], DAY)}

    source.set_bar(three.symbols[1], DAY, BAD_BAR)
    scene.deliver_again()
    with pytest.raises(LoadRejected, match=r"quarantined_share_within_limit: .*2 of 3 symbols"):
        scene.run([DAY])


@pytest.mark.parametrize(("present", "blocks"), [(28, False), (27, True)])
def test_a_coverage_equal_to_the_limit_is_published(backend: Backend, present: int, *, blocks: bool) -> None:
    """28 of 50 is exactly 56%, although 0.56 * 50 is more than 28 in binary fractions."""
    scene = Scene(
        backend,
        calm_source(FIFTY.symbols[:present], [DAY]),
        FIFTY,
        Limits(min_coverage=0.56, max_quarantined_share=0.25),
    )
    scene.fetch([DAY])

    verdict = verdicts_by_name(scene, scene.stage([DAY]))["minimum_coverage"]

    assert verdict.blocks is blocks


@pytest.mark.parametrize(("close", "warns"), [("140", False), ("140.01", True), ("60", False), ("59.99", True)])
def test_a_close_that_moves_by_exactly_the_limit_is_no_jump(backend: Backend, close: str, *, warns: bool) -> None:
    assert UNEXPLAINED_JUMP == 0.4
    source = calm_source(sessions=[])
    for symbol in FIVE.symbols:
        source.set_bars(symbol, {SECOND_WEEK[0]: "100,160,50,100,1000", SECOND_WEEK[1]: f"100,160,50,{close},1001"})
    scene = Scene(backend, source)
    scene.fetch(SECOND_WEEK[:2])

    verdict = verdicts_by_name(scene, scene.stage(SECOND_WEEK[:2]))["no_unexplained_jump"]

    assert verdict.bad_rows == (len(FIVE.symbols) if warns else 0)


def test_a_symbol_counts_for_coverage_only_while_it_is_listed(empty: Scene) -> None:
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

    assert failed_audits(verdicts_by_name(empty, empty.stage(SECOND_WEEK))) == set()


def test_a_changed_limit_applies_to_a_load_that_is_already_staged(empty: Scene) -> None:
    load = vendor_writes(BAD_BAR, symbols=("IBM", "MSFT"))(empty)
    assert not verdicts_by_name(empty, load)["quarantined_share_within_limit"].passed

    empty.change(limits=replace(empty.limits, max_quarantined_share=0.4))

    assert verdicts_by_name(empty, load)["quarantined_share_within_limit"].passed
    empty.publish(SECOND_WEEK)
    assert {("IBM", DAY), ("MSFT", DAY)} == keys(published_rows(empty.backend, QUARANTINED_PRICES))
