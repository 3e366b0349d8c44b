"""Why a day, or a range of days, has no trading session.

Belongs here: the sentence for users. Does not belong here: which days are sessions, and the names of holidays
(`calendar`).
"""

from datetime import date, timedelta

from stock_assets.core.calendar import CALENDAR_END, CALENDAR_START, closed_weekdays, is_session, next_session

_SATURDAY = 5
_FEW_DAYS = 14


def why_no_session(first: date, last: date) -> str:
    """Return in one sentence why there is no session from one day to another, and in a second one what to do."""
    if last < first:
        return f"{last} is before {first}. Write the earlier day first: {last} {first}."
    if first < CALENDAR_START or last > CALENDAR_END:
        return f"The calendar has the days from {CALENDAR_START} to {CALENDAR_END} only. Choose days between them."
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    reasons = [f"{day} {_why_closed(day)}" for day in days[:_FEW_DAYS] if not is_session(day)]
    there = "No session is on these days" if len(days) > 1 else "There is no session"
    later = f" The next session is {next_session(last)}." if last < CALENDAR_END else ""
    return f"{there}: {', '.join(reasons)}.{later}"


def _why_closed(day: date) -> str:
    if day.weekday() >= _SATURDAY:
        return f"is a {day:%A}"
    closed = closed_weekdays()
    if day not in closed:
        return "is declared as closed by STOCK_ASSETS_CLOSURES"
    return f"is a holiday ({closed[day]})" if closed[day] else "was an unscheduled closure of the exchange"
