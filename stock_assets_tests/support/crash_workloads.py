"""The work whose system calls the tests of power failures record, and what must hold after a crash in it.

Belongs here: the work, which another process does, and the checks of a folder after a crash. Does not belong here: the
states of the folder (`crash_disk`).
"""

import hashlib
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyiceberg.manifest import clear_manifest_cache

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local.packs import opened_pack
from stock_assets.core.errors import Outcome
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets_tests.support.publishers import version
from stock_assets_tests.support.scenes import FIRST_WEEK, TWO_WEEKS, Scene, content
from stock_assets_tests.support.steps import FIVE, local_backend

_RETENTION = RetentionPolicy(staging=timedelta(days=7), snapshots=timedelta(days=30), runs=timedelta(days=90))

Content = tuple[list[dict[str, object]], list[dict[str, object]]]


@dataclass(frozen=True)
class Workload:
    """A piece of work.

    Attributes:
        prepare: brings a folder into the state before the work.
        work: the recorded work.
        finish: the load that follows, with the same rows whatever happened before.
    """

    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    finish: Callable[[Path], None]


@dataclass(frozen=True)
class Expected:
    """What consumers may see: before the work, after it, and after the load that follows."""

    before: Content
    after: Content
    finished: Content


def _scene(root: Path, name: str) -> Scene:
    return Scene(local_backend(root), version(name))


def _load(root: Path, name: str) -> None:
    _scene(root, name).run(TWO_WEEKS)


def _deliver_and_load(root: Path, name: str) -> None:
    _scene(root, name).deliver_again()
    _load(root, name)


def _publish_again(root: Path) -> None:
    scene = _scene(root, "B")
    scene.stage(TWO_WEEKS)
    scene.publish(TWO_WEEKS)


def _publish_and_deliver(root: Path) -> None:
    _load(root, "A")
    _scene(root, "B").deliver_again()


def _request_again(root: Path) -> None:
    fetch_prices(_scene(root, "B"), TWO_WEEKS, rules=RequestRules(again=frozenset(FIVE.symbols)))


def _request_and_load(root: Path) -> None:
    _request_again(root)
    _publish_again(root)


def _publish_each_week(root: Path) -> None:
    for sessions in (FIRST_WEEK, TWO_WEEKS):
        _scene(root, "A").run(sessions)


def _maintain(root: Path) -> None:
    at = datetime.now(UTC) + timedelta(days=400)
    maintain(local_backend(root), _RETENTION, at)


def _nothing(_: Path) -> None:
    return


WORKLOADS: Mapping[str, Workload] = {
    "first load": Workload(_nothing, lambda root: _load(root, "A"), lambda root: _load(root, "A")),
    "publish": Workload(
        _publish_and_deliver,
        _publish_again,
        lambda root: _deliver_and_load(root, "B"),
    ),
    "fetch": Workload(
        lambda root: _load(root, "A"),
        _request_again,
        _request_and_load,
    ),
    "maintenance": Workload(_publish_each_week, _maintain, lambda root: _deliver_and_load(root, "B")),
}


def damaged_responses(backend: Backend) -> list[str]:
    """Return the responses of the ledger that are missing or differ from their checksum."""
    damaged = []
    with backend.ledger.read() as ledger:
        fetches = [fetch for kind in FetchKind for fetch in ledger.fetches(kind, outcome=Outcome.OK)]
    for fetch in fetches:
        if not fetch.response_key or fetch.kind is FetchKind.LANDING_FILES:
            continue
        try:
            body = backend.objects.get(fetch.response_key)
        except KeyError:
            damaged.append(f"{fetch.response_key} is missing")
        else:
            if fetch.content_hash and hashlib.sha256(body).hexdigest() != fetch.content_hash:
                damaged.append(f"{fetch.response_key} has other bytes")
    return damaged


def examine(root: Path, name: str, expected: Expected, *, finish: bool) -> str:
    """Return what is wrong in a folder after a crash; an empty text if nothing is."""
    # What another process would not know: the same files had other contents after other crashes.
    clear_manifest_cache()
    opened_pack.cache_clear()
    try:
        return _problem(root, name, expected, finish=finish)
    except Exception:  # noqa: BLE001 (any error is a result)
        return traceback.format_exc()


def _problem(root: Path, name: str, expected: Expected, *, finish: bool) -> str:
    backend = local_backend(root)
    prices, quarantine = content(backend)
    if prices not in (expected.before[0], expected.after[0]):
        return f"{len(prices)} published rows are neither the old nor the new rows"
    if quarantine not in (expected.before[1], expected.after[1]):
        return "the quarantine is neither the old nor the new one"
    if prices == expected.after[0] != expected.before[0] and quarantine != expected.after[1]:
        return "the prices are new and the quarantine is old: a bar is in neither table"
    for table in PUBLISHED_TABLES:
        backend.warehouse.history(table)
    damaged = damaged_responses(backend)
    if damaged:
        return "; ".join(damaged)
    if finish:
        WORKLOADS[name].finish(root)
        if content(local_backend(root)) != expected.finished:
            return "the load after the crash published other rows"
        damaged = damaged_responses(local_backend(root))
    return "; ".join(damaged)


if __name__ == "__main__":
    WORKLOADS[sys.argv[1]].work(Path(sys.argv[2]))
