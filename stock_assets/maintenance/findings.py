"""What `verify` finds: a file, what is wrong, the consequence, and the one command that fixes it.

Belongs here: the value, and its texts for responses and records. Does not belong here: comparing (`verify`), repairing
(`repair`), the texts about files of a backend (`backends.damage_texts`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePosixPath

from stock_assets.backends.damage_texts import REPAIR, command_for_record, consequence, is_on_s3
from stock_assets.backends.interface import Damage, Fetch, FetchKind, Part
from stock_assets.backends.stored_records import RECORDS
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import Outcome
from stock_assets.core.tables import Table

_ONE_DAY = timedelta(days=1)
_TEN_DAYS = timedelta(days=10)
_UNKNOWN = "the ledger does not contain it"


@dataclass(frozen=True)
class Finding:
    """One file that is missing or damaged, or rows that differ from their raw responses.

    Attributes:
        kind: what is damaged; a list with many findings of one kind shows some of every kind.
        file: path, address or key.
        problem: what is wrong.
        consequence: what does not work until it is fixed.
        command: the command that fixes it.
        damage: the damaged file of the backend, if it is one.
        fetch: the entry of a damaged response in the ledger.
        sessions: sessions whose published rows differ.
    """

    kind: str
    file: str
    problem: str
    consequence: str
    command: str = REPAIR
    damage: Damage | None = None
    fetch: Fetch | None = None
    sessions: tuple[date, ...] = ()

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.file}: {self.problem}. Consequence: {self.consequence}. To fix it, run: {self.command}"


def of_damage(damage: Damage, newest_intact: int | None = None) -> Finding:
    """Return the finding of a damaged file of the backend.

    Args:
        damage: the damaged file.
        newest_intact: newest snapshot of its table that needs no damaged file.
    """
    command = REPAIR
    if is_on_s3(damage.file) and damage.table is not None:
        if not damage.is_current:
            # Maintenance removes the snapshot when its retention period has ended.
            command = "stock-assets maintain"
        elif newest_intact is not None:
            command = f"stock-assets rollback {newest_intact} {damage.table.full_name}"
        else:
            command = f"aws s3 cp COPY {damage.file}, with a copy of the object from a backup"
    kind: str = damage.part
    if damage.part is Part.TABLE:
        kind = "file of current rows" if damage.is_current else "file of an earlier snapshot"
    return Finding(kind, damage.file, damage.why, consequence(damage), command, damage=damage)


def of_response(file: str, fetch: Fetch, why: str) -> Finding:
    """Return the finding of a response that is missing, damaged, or described wrongly in the ledger."""
    if fetch.kind is FetchKind.PURGES:
        effect = f"a rebuilt ledger has the earlier history of {fetch.symbol} again"
        return Finding("purge", file, why, effect, _purge_again(file, fetch.symbol), fetch=fetch)
    if fetch.outcome is not Outcome.OK:
        effect = f"the body of a failed request is lost; no load needs it ({fetch.symbol})"
        return Finding("response of a failed request", file, why, effect, fetch=fetch)
    what = f"{fetch.symbol}, {fetch.first_session} to {fetch.last_session}" if fetch.first_session else fetch.symbol
    command = REPAIR
    if is_on_s3(file):
        # raw/splits of any run requests damaged splits again.
        first, last = fetch.first_session, fetch.last_session
        day = fetch.fetched_at.date()
        closed = sessions_between(day - _TEN_DAYS, day - _ONE_DAY)[-1]
        command = (
            f"stock-assets backfill {first} {last} --again --symbol {fetch.symbol}"
            if fetch.kind is FetchKind.PRICES and first is not None
            else f"stock-assets backfill {closed} {closed}"
        )
    return Finding("response", file, why, f"loads that need it are rejected ({what})", command, fetch=fetch)


def of_unknown_response(file: str) -> Finding:
    """Return the finding of a stored response that the ledger does not contain."""
    if f"/raw/{FetchKind.PURGES}/" in file:
        symbol = PurePosixPath(file).stem
        return Finding("purge", file, _UNKNOWN, "the symbol is not purged", _purge_again(file, symbol))
    command = f"stock-assets import {file}" if is_on_s3(file) else REPAIR
    return Finding("unknown response", file, _UNKNOWN, "no load uses its bars", command)


def of_purged_symbol(symbol: str, tables: Iterable[Table]) -> Finding:
    """Return the finding of published rows of a purged symbol."""
    names = " and ".join(table.full_name for table in tables)
    problem = f"it has rows of {symbol}, which was purged"
    return Finding("purge", names, problem, "consumers read these rows", f"stock-assets symbols purge {symbol} --yes")


def _purge_again(file: str, symbol: str) -> str:
    """Return the command that fixes a marker: only the local backend has a repair."""
    return f"stock-assets symbols purge {symbol} --yes" if is_on_s3(file) else REPAIR


def of_record(file: str, folder: str, why: str) -> Finding:
    """Return the finding of a damaged record in one of the folders of `RECORDS`."""
    return Finding(f"record in {folder}", file, why, RECORDS[folder], command_for_record(file))
