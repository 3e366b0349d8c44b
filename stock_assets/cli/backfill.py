"""The runs of the command `backfill`: a range, only what is missing, or stored bars again; and what was not published.

Belongs here: the order of the runs, and what is printed about them. Does not belong here: arguments (`load`), following
a run (`run_progress`), which sessions are missing and why (`coverage`).
"""

from collections.abc import Sequence
from datetime import date

from stock_assets.cli.output import print_error, print_line, print_summary, print_warning
from stock_assets.core.calendar import format_ranges, sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_lines, shorten_list
from stock_assets.coverage.explain import explain_gaps, explain_quarantined, explain_rejections
from stock_assets.coverage.missing_sessions import Missing, find_missing, rejected_sessions
from stock_assets.ingest.request_again import failed_since, split_by_history
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

_FEW_SHOWN = 10


def load_range(settings: Settings, pipeline: Pipeline, sessions: Sequence[date]) -> bool:
    """Load all sessions as one run; return whether every session that has bars is published."""
    from stock_assets.cli.run_progress import run_and_print

    succeeded = run_and_print(settings, pipeline, sessions)
    return _finish(pipeline, sessions, loaded=succeeded) and succeeded


def request_again(settings: Settings, pipeline: Pipeline, sessions: Sequence[date], symbols: Sequence[str]) -> bool:
    """Request stored bars again and load the sessions; return whether every request succeeded and was published."""
    started = utc_now()
    available, too_old = split_by_history(pipeline, sessions, started)
    if too_old:
        print_warning(f"Not requested again: {too_old}.")
    if not available:
        print_error("No session was requested again, and nothing has changed.")
        return False
    print_line(f"Requested again: {shorten_list(symbols, _FEW_SHOWN)}. The older responses are kept.")
    from stock_assets.cli.run_progress import run_and_print

    succeeded = run_and_print(
        settings, pipeline, sessions, {"request_symbols": list(symbols), "request_again": list(symbols)}
    )
    failed = failed_since(pipeline, symbols, started)
    for line in shorten_lines([f"Not replaced: {reason}" for reason in failed], _FEW_SHOWN):
        print_error(line)
    return _finish(pipeline, sessions, loaded=succeeded) and succeeded and not failed and not too_old


def load_missing(settings: Settings, pipeline: Pipeline, sessions: Sequence[date]) -> bool:
    """Load the sessions with missing bars; return whether every expected bar is published or in quarantine."""
    found = find_missing(pipeline, sessions, at=utc_now())
    _print_plan(found)
    succeeded = [_run(settings, pipeline, sessions_between(first, last), again) for first, last, again in found.runs()]
    left = find_missing(pipeline, sessions, at=utc_now()) if found.sessions else found
    for text in explain_quarantined(left.quarantined):
        print_warning(text)
    gaps = [f"Still missing: {line}" for line in explain_gaps([*left.unavailable, *left.waiting])]
    for line in shorten_lines(gaps, SYMBOLS_SHOWN):
        print_error(line)
    complete = all(succeeded) and not left.unavailable and not left.waiting
    return _finish(pipeline, sessions, loaded=any(succeeded) or not succeeded) and complete


def _run(settings: Settings, pipeline: Pipeline, sessions: Sequence[date], again: Sequence[str]) -> bool:
    # Dagster takes longer to import than everything else; where nothing is missing, no run needs it.
    from stock_assets.cli.run_progress import run_and_print

    return run_and_print(settings, pipeline, sessions, {"request_again": list(again)})


def print_rejected(pipeline: Pipeline, sessions: Sequence[date]) -> bool:
    """Print the sessions that audits rejected, with reasons and remedies; return whether there are none."""
    rejected = rejected_sessions(pipeline, sessions)
    for text in explain_rejections(rejected):
        print_error(text)
    return not rejected


def _finish(pipeline: Pipeline, sessions: Sequence[date], *, loaded: bool) -> bool:
    """Print the rejected sessions, and what is published if a run loaded it; return whether none is rejected."""
    published = print_rejected(pipeline, sessions)
    if loaded:
        print_summary(pipeline)
    return published


def _print_plan(found: Missing) -> None:
    """Print what is loaded and requested again, and what waits for calls."""
    if found.sessions:
        count, runs = plural(len(found.sessions), "session"), plural(len(found.ranges), "run")
        print_line(f"Missing: {format_ranges(found.sessions)} ({count}, {runs}).")
    elif found.is_complete:
        print_line("Missing: no sessions." if not found.quarantined else "Missing: only quarantined bars.")
    else:
        print_line("Missing: only sessions and bars that cannot be loaded now; the reasons follow.")
    again = sorted({symbol for _, _, symbols in found.runs() for symbol in symbols})
    if again:
        print_line(f"Requested again, because bars are in quarantine: {shorten_list(again, _FEW_SHOWN)}.")
    waiting = sorted({gap.symbol for gap in found.quarantined if not gap.unobtainable} - found.request_again)
    if waiting:
        print_warning(
            f"Not requested again now: {shorten_list(waiting, _FEW_SHOWN)}. Bars are in quarantine, and today's "
            "calls are used or reserved for tonight's prices (stock-assets quota)."
        )
