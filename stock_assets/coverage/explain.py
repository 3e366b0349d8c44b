"""Explain bars and sessions that are not published: grouped by reason, with ranges of sessions and the remedy.

Belongs here: the lines that the command line prints, and the command that alerts name too. Does not belong here:
finding missing bars (`missing_bars`), which of them are loaded (`missing_sessions`), printing (`cli`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from stock_assets.core.calendar import format_ranges
from stock_assets.core.text import plural, shorten_list
from stock_assets.coverage.gaps import SESSION, Gap, MissingBar, bars_of
from stock_assets.loads.audit_files import audits
from stock_assets.loads.rejections import REMEDY_FOLLOWS, Rejection

_FINDINGS_SHOWN = 3
_SYMBOLS_SHOWN = 10
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def explain_rejections(rejected: Mapping[date, Rejection]) -> list[str]:
    """Explain rejected sessions: one paragraph for the sessions that the same audits rejected."""
    groups: dict[tuple[str, ...], list[date]] = {}
    for session in sorted(rejected):
        findings = _findings(rejected[session], session)
        audits_of_session = dict.fromkeys(line.partition(":")[0] for line in findings)
        names = tuple(name for name in rejected[session].audits if name in audits_of_session)
        groups.setdefault(names or rejected[session].audits, []).append(session)
    return [
        "\n".join(
            [
                f"Not published: {format_sessions(sessions)}, rejected by {', '.join(names)}.",
                *_format_findings([line for day in sessions for line in _findings(rejected[day], day)], names),
            ]
        )
        for names, sessions in groups.items()
    ]


def explain_gaps(gaps: Iterable[Gap]) -> list[str]:
    """Explain missing bars: one line for the symbols that miss the same sessions for the same reason."""
    sessions: dict[tuple[str, str], list[date]] = {}
    for gap in gaps:
        for reason, days in _general_reasons(gap):
            sessions.setdefault((gap.symbol, reason), []).extend(days)
    symbols: dict[tuple[str, tuple[date, ...]], list[str]] = {}
    for (symbol, reason), days in sessions.items():
        symbols.setdefault((reason, tuple(sorted(days))), []).append(symbol)
    return [
        f"{shorten_list(sorted(names), _SYMBOLS_SHOWN)}: {format_sessions(days)}: {reason}"
        for (reason, days), names in symbols.items()
    ]


def explain_quarantined(gaps: Iterable[Gap]) -> list[str]:
    """Explain quarantined bars: one paragraph for the bars that the same audits quarantined."""
    groups: dict[tuple[str, ...], list[MissingBar]] = {}
    for bar in bars_of(gaps):
        groups.setdefault(bar.audits, []).append(bar)
    return [
        "\n".join(
            [
                f"{plural(len(found), 'bar stays', 'bars stay')} in quarantine: {', '.join(names)}.",
                *_shorten(list(map(str, found))),
                *_remedies(names),
            ]
        )
        for names, found in groups.items()
    ]


def format_sessions(sessions: Sequence[date]) -> str:
    """Format sessions as ranges, with their number if there are several."""
    ranges = format_ranges(sessions)
    return ranges if len(sessions) == 1 else f"{ranges} ({plural(len(sessions), 'session')})"


def backfill_command(sessions: Sequence[date], universe: str) -> str:
    """Return the command that loads the missing bars from the first to the last of some sessions, in order.

    Args:
        sessions: the sessions.
        universe: name of the universe; empty if it has none.
    """
    program = f"stock-assets --universe {universe}" if universe else "stock-assets"
    return f"{program} backfill {sessions[0]} {sessions[-1]} --missing"


def _general_reasons(gap: Gap) -> Iterator[tuple[str, Sequence[date]]]:
    """Yield the reason of a gap without its symbol and sessions, so that equal reasons are one, and the sessions."""
    reason, others = gap.reason.replace(f"{gap.symbol}: ", ""), gap.sessions
    if dates := set(_DATE.findall(reason)):
        # The reason itself may name one of the sessions.
        for day in (day for day in gap.sessions if str(day) in dates):
            yield _without_session(reason, str(day)), [day]
        others = tuple(day for day in gap.sessions if str(day) not in dates)
    if others:
        yield _without_session(reason, SESSION), others


def _without_session(reason: str, session: str) -> str:
    for text in (session, SESSION):
        reason = reason.replace(f"{text} to {text} (1 session)", "the session").replace(text, "the session")
    return reason


def _findings(rejection: Rejection, session: date) -> Sequence[str]:
    return rejection.findings.get(session.isoformat(), ())


def _format_findings(findings: Sequence[str], names: Sequence[str]) -> list[str]:
    """Format what the audits found, then each remedy once."""
    # The finding of a session audit names the quarantined bars too.
    parts = [line.partition(REMEDY_FOLLOWS) for line in findings if line.partition(":")[0] in names]
    remedies = dict.fromkeys(remedy for _, _, remedy in parts if remedy)
    shown = _shorten(list(dict.fromkeys(what for what, _, _ in parts)))
    return [*shown, *([f"  What to do: {remedy}" for remedy in remedies] or _remedies(names))]


def _remedies(names: Sequence[str]) -> list[str]:
    return [f"  What to do: {audit.file.remedy}" for audit in audits() if audit.name in names]


def _shorten(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _FINDINGS_SHOWN
    return [*(f"  {line}" for line in lines[:_FINDINGS_SHOWN]), *([f"  and {more:,} more"] if more > 0 else [])]
