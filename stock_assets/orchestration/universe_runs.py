"""Which universe a run belongs to, on an instance that several universes share.

Belongs here: reading it from the tags and the assets of a run. Does not belong here: the names of a universe (`keys`).
"""

import dagster as dg

from stock_assets.orchestration.keys import GROUPS, UNIVERSE_TAG, Names, plain_key


def belongs(run: dg.DagsterRun, names: Names) -> bool:
    """Return whether a run loads, draws or maintains data of a universe."""
    return names.universe in _universes(run)


def belongs_only(run: dg.DagsterRun, names: Names) -> bool:
    """Return whether a run has results of no other universe."""
    return _universes(run) == {names.universe}


def _universes(run: dg.DagsterRun) -> set[str]:
    """Return the names of the universes of a run, with an empty text for the one without a name."""
    if UNIVERSE_TAG in run.tags:
        return {run.tags[UNIVERSE_TAG]}
    # A run of selected assets belongs to no job of a universe, and can have assets of several.
    selected = [*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())]
    return {_universe(key) for key in selected} or {""}


def _universe(key: dg.AssetKey) -> str:
    first, *rest = key.path
    return first if rest == list(plain_key(key).path) and rest[0] in GROUPS else ""
