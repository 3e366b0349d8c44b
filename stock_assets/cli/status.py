"""The command `status`: what is published, missing, rejected and quarantined, and the quota, on one screen.

Belongs here: choosing and printing the lines. Does not belong here: finding missing bars and the text about them
(`coverage`), the quota (`ingest.quota`), incidents (`alerts`).
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from stock_assets.cli.output import print_line

if TYPE_CHECKING:
    from stock_assets.ingest.quota import Quota
    from stock_assets.pipeline import Pipeline

_LINES_SHOWN = 5
_WEEK = timedelta(days=7)


def status() -> None:
    """Show published, missing, rejected and quarantined data, the quota, the next run and open incidents."""
    from stock_assets.alerts.deduplication import Notifier
    from stock_assets.core.clock import utc_now
    from stock_assets.core.text import plural
    from stock_assets.coverage.catch_up import CatchUpWindow
    from stock_assets.coverage.explain import explain_gaps, explain_quarantined, explain_rejections
    from stock_assets.coverage.missing_sessions import find_missing
    from stock_assets.ingest.quota import read_quota
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings, at = Settings.from_env(), utc_now()
    pipeline = Pipeline.from_settings(settings)
    source = pipeline.source
    window = CatchUpWindow(settings.first_session, source.last_session, settings.catch_up_sessions)
    sessions = window.sessions(at)
    found = find_missing(pipeline, sessions, at=at)

    name = f"{settings.universe_name}: " if settings.universe_name else ""
    print_line(f"{name}{source.label}, backend {settings.backend}, {at:%Y-%m-%d %H:%M} UTC")
    _print("Published", _published(pipeline))
    checked = f"{plural(len(sessions), 'session')}, {sessions[0]} to {sessions[-1]}" if sessions else "no session"
    _print("Checked", [checked])
    loadable = _loadable(found.sessions, settings.universe_name)
    _print("Missing", [*loadable, *explain_gaps([*found.unavailable, *found.waiting])])
    _print("Rejected", explain_rejections(found.rejected))
    _print("Quarantined", explain_quarantined(found.quarantined))
    _print("Quota", _quota(pipeline, read_quota(pipeline)))
    _print("Next run", [_next_run(pipeline, at)])
    _print("Incidents", [incident.title for incident in Notifier(pipeline.backend, ()).open_incidents()])


def _print(name: str, lines: Sequence[str]) -> None:
    """Print a name and its lines, each line of a text below the first; `none` if there are none."""
    from stock_assets.core.text import shorten_lines

    texts = [line for text in shorten_lines(lines, _LINES_SHOWN) for line in text.splitlines()] or ["none"]
    for number, text in enumerate(texts):
        print_line(f"{'' if number else name:12}{text}")


def _published(pipeline: "Pipeline") -> list[str]:
    from stock_assets.core.text import plural

    rows = [row for row in pipeline.summary() if row.row_count]
    if not rows:
        return []
    last = max(row.last_session for row in rows if row.last_session is not None)
    total = sum(row.row_count for row in rows)
    return [f"{plural(total, 'row')} of {plural(len(rows), 'symbol')}, latest session {last}"]


def _loadable(sessions: Sequence[date], universe: str) -> list[str]:
    """Return the missing sessions that can be loaded, with the command that loads them."""
    from stock_assets.coverage.explain import backfill_command, format_sessions

    return [f"{format_sessions(sessions)}: {backfill_command(sessions, universe)}"] if sessions else []


def _quota(pipeline: "Pipeline", quota: "Quota") -> list[str]:
    if pipeline.source.terms.limits.unlimited:
        return ["requests to this source use no calls"]
    left = [f"{one.remaining} of {one.allowed} left per {one.per}" for one in quota.allowances if one.allowed]
    lines = [f"{', '.join(left)}; reset at {quota.next_reset:%Y-%m-%d %H:%M} UTC"]
    if quota.blocked_until is not None:
        lines.append(f"the vendor accepts no call before {quota.blocked_until:%Y-%m-%d %H:%M} UTC")
    return lines


def _next_run(pipeline: "Pipeline", at: datetime) -> str:
    from stock_assets.core.calendar import sessions_between
    from stock_assets.coverage.gaps import SCHEDULED_AT

    if pipeline.source.last_session is not None:
        return f"none: the source ends on {pipeline.source.last_session}"
    runs = [datetime.combine(day, SCHEDULED_AT) for day in sessions_between(at.date(), at.date() + 2 * _WEEK)]
    following = [run for run in runs if run > at]
    if not following:
        return "not within two weeks: the exchange is closed"
    return f"{following[0]:%Y-%m-%d %H:%M} UTC, if Dagster's daemon is running (stock-assets ui)"
