"""The checks on the rows of `published/daily_prices`, as consumers see them after a run.

Belongs here: showing the result in Dagster. Does not belong here: comparing (`coverage.published_sessions`), freshness
(`freshness`), the audits of a load (`audits`). None of these checks blocks: the rows are already published.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from stock_assets.core.calendar import format_ranges
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import plural
from stock_assets.coverage.published_sessions import PublishedSession, published_sessions
from stock_assets.loads.load import Load
from stock_assets.orchestration.checks.run_load import load_of_run
from stock_assets.orchestration.keys import Names
from stock_assets.pipeline import Pipeline


@dataclass(frozen=True)
class _Rule:
    """What is right for a session, and what to do when it is not."""

    is_right: Callable[[PublishedSession], bool]
    severity: dg.AssetCheckSeverity
    description: str
    remedy: str


_RULES = {
    "one_row_per_symbol_and_session": _Rule(
        lambda found: found.row_count == found.symbols,
        dg.AssetCheckSeverity.ERROR,
        "Each symbol has at most one published row per session.",
        "roll back to the snapshot before (`stock-assets history`), and load the sessions again",
    ),
    "every_committed_row_is_published": _Rule(
        lambda found: found.is_as_committed,
        dg.AssetCheckSeverity.ERROR,
        "Each session has the published rows that the load committed, with the same values: a digest of all values is "
        "compared with the one of staging. Another run that publishes the same sessions at the same time can "
        "make it fail once.",
        "load the sessions again; if it fails again, roll back to the snapshot before",
    ),
    "every_listed_symbol_is_published": _Rule(
        lambda found: found.listed_symbols == found.listed,
        dg.AssetCheckSeverity.WARN,
        "Each symbol of the universe has a published row for each session on which it was listed.",
        "the checks of raw/daily_prices name missing bars, published/quarantined_prices has the quarantined ones",
    ),
}


def published_checks(names: Names) -> dg.AssetChecksDefinition:
    """Return one step with all checks; it sends one statement."""

    @dg.multi_asset_check(
        name=names.name("published_rows"),
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=names.key(DAILY_PRICES),
                description=rule.description,
                metadata={"sql": "sql/coverage/session_rows.sql", "remedy": rule.remedy},
            )
            for name, rule in _RULES.items()
        ],
        can_subset=True,
        description="Compares the published rows of the run's sessions; alone, of the newest load's sessions.",
    )
    @names.uses_pipeline
    def rows_of_published_prices(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        load = load_of_run(pipeline.backend, context.run.tags)
        found = published_sessions(pipeline, load)
        for key in context.selected_asset_check_keys:
            yield _result(key, found, load)

    return rows_of_published_prices


def _result(key: dg.AssetCheckKey, found: Sequence[PublishedSession], load: Load) -> dg.AssetCheckResult:
    rule = _RULES[key.name]
    wrong = [session for session in found if not rule.is_right(session)]
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not wrong,
        severity=rule.severity,
        description=f"{format_ranges(session.session for session in wrong)}: {_counts(wrong[0])}" if wrong else None,
        metadata={
            "covers": format_ranges(load.sessions),
            "load": load.load_id,
            "rows": sum(session.row_count for session in found),
            "sessions with a problem": len(wrong),
            **({"remedy": rule.remedy} if wrong else {}),
        },
    )


def _counts(found: PublishedSession) -> str:
    committed = "" if found.committed is None else f", {found.committed} committed by the load"
    if found.committed == found.row_count and not found.is_as_committed:
        committed = ", with other values than the load committed"
    return (
        f"session {found.session} has {plural(found.row_count, 'published row')} of {plural(found.symbols, 'symbol')}, "
        f"{found.listed_symbols} of {plural(found.listed, 'listed symbol')}{committed}"
    )
