"""Functions that the processes of kill and race tests run; they share only the backend's folder with the test.

Version A and version B of the bars differ in every row, and in which bar is bad.
"""

import time
from collections.abc import Sequence
from datetime import date
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from stock_assets.audit.gate import audit_load
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.processes import BEGIN
from stock_assets_tests.support.scenes import BAD_BAR, TWO_WEEKS, Scene
from stock_assets_tests.support.steps import FIVE, local_backend

VERSIONS = ("A", "B")
_BAD_DAY = {"A": TWO_WEEKS[2], "B": TWO_WEEKS[5]}
PATIENCE_SECONDS = 120


def version(name: str) -> ScriptedSource:
    """Return a source with one version of the bars."""
    source = ScriptedSource()
    for symbol in FIVE.symbols:
        source.set_bars(symbol, walk(f"{symbol} {name}", TWO_WEEKS))
    source.set_bar("IBM", _BAD_DAY[name], BAD_BAR)
    return source


def publish_version(root: Path, name: str, events: Connection) -> None:
    """Fetch, stage and publish one version; send when publishing begins and ends, then wait to be killed."""
    scene = Scene(local_backend(root), version(name))
    scene.deliver_again()
    load = scene.stage(TWO_WEEKS)
    # The first audit of a process takes longer. It runs here, so that the kills are spread over the publish itself.
    audit_load(scene, load)
    events.send(BEGIN)
    scene.publish(TWO_WEEKS)
    events.send("end")
    time.sleep(PATIENCE_SECONDS)


def publish_at_once(roots: Sequence[Path], first: date, last: date, barrier: Barrier) -> None:
    """Stage and publish one range in each backend, at the same time as the other processes."""
    sessions = [day for day in TWO_WEEKS if first <= day <= last]
    try:
        for root in roots:
            scene = Scene(local_backend(root), ScriptedSource())
            barrier.wait(PATIENCE_SECONDS)
            scene.stage(sessions)
            barrier.wait(PATIENCE_SECONDS)
            scene.publish(sessions)
    except BaseException:
        # The other processes must not wait for a failed one.
        barrier.abort()
        raise
