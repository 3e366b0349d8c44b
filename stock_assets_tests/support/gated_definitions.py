"""The real definitions with gates inside the steps. An import adds the gates: use the module in separate processes.

The calendar stands still at the start of the test: the schedule never starts a run, and no new session becomes due for
catch-up or freshness while a test runs.
"""

import os
from collections.abc import Callable
from datetime import datetime
from functools import wraps

import pytest

from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.interface import FetchKind
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage import freshness
from stock_assets.coverage.catch_up import CatchUpWindow
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.schedules import weekdays
from stock_assets.pipeline import Pipeline
from stock_assets.publish import publishing
from stock_assets.settings import Settings
from stock_assets.stage import staging
from stock_assets_tests.support.dagster_internals import SqlRunStorage
from stock_assets_tests.support.gates import FAILED, NOTIFIED, STARTED_VARIABLE, pass_gate


def _put(owner: object, name: str, gate: Callable[..., str | None]) -> None:
    """Put a gate before a function of a module or class; the arguments of a call decide which gate."""
    call = getattr(owner, name)

    @wraps(call)
    def gated(*args: object, **kwargs: object) -> object:
        closed = gate(*args, **kwargs)
        if closed is not None:
            pass_gate(closed)
        return call(*args, **kwargs)

    pytest.MonkeyPatch().setattr(owner, name, gated)


def put_gates() -> None:
    """Put every gate where a kill does most damage: after the work, and before its record."""
    _put(
        SqliteLedger,
        "record",
        lambda _, *fetches: "raw" if any(fetch.kind is FetchKind.PRICES for fetch in fetches) else None,
    )
    _put(staging, "record_load", lambda *_: "staged")
    _put(Pipeline, "audit", lambda *_, **__: "audits")
    # Commits one of the two tables, the quarantine first.
    _put(publishing, "_replace", lambda *args: "between_commits" if args[1] is DAILY_PRICES else "publish")
    # A message about a run is delivered, and recorded next.
    _put(
        Notifier,
        "_put",
        lambda *args: NOTIFIED if args[1].startswith("alerts/open/run-") and "/opened-" in args[1] else None,
    )
    # Dagster has stored the event of a run's failure, and stores the run's status next.
    _put(SqlRunStorage, "handle_run_event", lambda _, __, event, *___: FAILED if event.is_run_failure else None)


def stop_calendar(started: datetime) -> None:
    """Let no session become due after a timestamp."""
    patch = pytest.MonkeyPatch()
    sessions, expected = CatchUpWindow.sessions, freshness.expected_session
    patch.setattr(CatchUpWindow, "sessions", lambda window, _at: sessions(window, started))
    patch.setattr(freshness, "expected_session", lambda _at: expected(started))
    patch.setattr(weekdays, "CRON", "0 0 29 2 *")


put_gates()
if STARTED_VARIABLE in os.environ:
    stop_calendar(datetime.fromisoformat(os.environ[STARTED_VARIABLE]))
defs = build_definitions(Settings.from_env())
