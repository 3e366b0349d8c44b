"""The real definitions, with gates inside the steps at which a test can hold a run, and kill it.

A gate is a file in the folder that the environment names: a process that comes to it writes its id beside it and waits
until the file is gone. The test, which is another process, closes a gate before it starts anything.
"""

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest

from stock_assets.audit import checks
from stock_assets.build import build_definitions
from stock_assets.homes.interfaces import FetchKind
from stock_assets.homes.local.ledger import SqliteLedger
from stock_assets.publish import publishing
from stock_assets.serve import assets as views
from stock_assets.settings import Settings
from stock_assets.stage import staging
from stock_assets.tables import DAILY_PRICES

FOLDER_VARIABLE = "STOCK_ASSETS_TESTS_GATES"
GATES = ("raw", "staged", "audits", "publish", "between_commits", "views")
"""In the order of the path: amid each step, for publishing also between its two commits."""
_LOOK_SECONDS = 0.02


def pass_gate(name: str) -> None:
    """Wait as long as the gate is closed."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    closed = folder / name
    if closed.exists():
        (folder / f"{name}.{os.getpid()}").touch()
    while closed.exists():
        time.sleep(_LOOK_SECONDS)


def _put(owner: object, name: str, gate: Callable[..., str | None]) -> None:
    """Put a gate in front of a function of a module or class; the arguments of a call decide which."""
    call = getattr(owner, name)

    @wraps(call)
    def gated(*args: object, **kwargs: object) -> object:
        closed = gate(*args, **kwargs)
        if closed is not None:
            pass_gate(closed)
        return call(*args, **kwargs)

    pytest.MonkeyPatch().setattr(owner, name, gated)


def put_gates() -> None:
    """Put every gate where a kill hurts most: work is done, and not noted yet."""
    _put(SqliteLedger, "record", lambda _, fetch: "raw" if fetch.kind is FetchKind.PRICES else None)
    _put(staging, "remember", lambda *_: "staged")
    _put(checks, "audit_load", lambda *_, **__: "audits")
    # What commits one of the two tables, the quarantine first.
    _put(publishing, "_replace", lambda *args: "between_commits" if args[2] is DAILY_PRICES else "publish")
    _put(views, "run_query", lambda *_: "views")


put_gates()
defs = build_definitions(Settings.from_env())
