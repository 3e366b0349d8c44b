"""Why a day, or a range of days, has no trading session.

Belongs here: the sentence for users. Does not belong here: which days are sessions (`calendar`). The names of holidays
are in exchange_calendars, which imports slowly; only these messages import it.
"""

from datetime import date, timedelta

from stock_assets.core.calendar import CALENDAR_END, CALENDAR_START, EXCHANGE, is_session, next_session

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
    return f"{there}: {', '.join(reasons)}. The next session is {next_session(last)}."


def _why_closed(day: date) -> str:
    if day.weekday() >= _SATURDAY:
        return f"is a {day:%A}"
    import exchange_calendars  # noqa: PLC0415 (imports slowly)

    calendar = exchange_calendars.get_calendar(EXCHANGE, start=f"{day - timedelta(days=7)}", end=f"{day}")
    names = calendar.regular_holidays.holidays(f"{day}", f"{day}", return_name=True)
    if len(names):
        return f"is a holiday ({names.iloc[0]})"
    if any(closed.date() == day for closed in calendar.adhoc_holidays):
        return "was an unscheduled closure of the exchange"
    return "is declared as closed by STOCK_ASSETS_CLOSURES"
