"""Repair a data folder: request lost responses again, rebuild the ledger and the tables, roll back, move aside.

Belongs here: which remedy is used for which finding, in which order. Does not belong here: finding damage (`verify`),
computing again (`rebuild`), changing files (`backends.local.repair`).

Remedies are tried in this order: other intact copies, a new request, the ledger from the responses, tables from the
responses, the newest intact snapshot. What cannot be recovered is moved aside, never deleted. Each step leaves the
folder usable if the process is killed, and running the repair again continues. While a step changes tables, no other
process of this machine publishes.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from stock_assets.backends.damage_texts import REPAIR
from stock_assets.backends.interface import Damage, Fetch, FetchKind, Part
from stock_assets.backends.local import packs
from stock_assets.backends.local import repair as files
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.database import CATALOG_FILE, LEDGER_FILE, database_problem
from stock_assets.backends.local.durable import sync
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.scratch import ScratchBackend
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.local.table_reader import metadata_location
from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import DamagedResponses, ObjectExists, Outcome, UnsupportedLayout
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, Table
from stock_assets.core.text import plural, shorten_list
from stock_assets.ingest.ledger_queries import forget_splits, missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.ingest.purges import put_marker
from stock_assets.ingest.request_again import split_by_history
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.loads.load import staged_sessions
from stock_assets.maintenance.rebuild import load_again, record_responses, response_keys
from stock_assets.maintenance.verify import Depth, Progress, verify

_SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One step of a repair: what it does, and the function that does it."""

    what: str
    run: Callable[[], None]


@dataclass
class Repair:
    """The repair of one data folder.

    Attributes:
        parts: the pipeline, on a local backend.
        announce: receives a line for each step.
        notes: what the user should know at the end.
    """

    parts: PipelineParts
    backend: LocalBackend
    announce: Callable[[str], None]
    progress: Progress = lambda *_: None
    notes: list[str] = field(default_factory=list)
    at: datetime = field(default_factory=utc_now)

    def plan(self) -> list[Step]:
        """Return the steps for what is damaged now; later steps can become necessary when these are done."""
        self._open_again()
        try:
            found = list(verify(self.parts, Depth(deep=True), progress=self.progress))
        except UnsupportedLayout:
            return [Step("write layout.json again", self._write_layout)]
        damage = [one.damage for one in found if one.damage is not None]
        steps = [step for part in _ORDER for step in self._of_part(part, [one for one in damage if one.part is part])]
        if any(one.part in _FIRST for one in damage):
            return steps
        responses = [one.fetch for one in found if one.fetch is not None]
        if responses:
            # Tables are rebuilt from responses, so these come first.
            return [Step(_of_responses(responses), lambda: self._recover(responses))]
        others = [one for one in found if one.damage is None and one.fetch is None and one.command == REPAIR]
        unknown = [one.file for one in others if "/raw/" in one.file]
        records = [Path(one.file) for one in others if "/raw/" not in one.file]
        if unknown:
            steps.append(
                Step(f"record {plural(len(unknown), 'response')} in the ledger", lambda: self._record(unknown))
            )
        if records:
            names = shorten_list([one.name for one in records], _SHOWN)
            steps.append(Step(f"move damaged records aside: {names}", lambda: self._move_aside(records)))
        return steps

    def apply(self) -> bool:
        """Do the steps, and those that become necessary; return whether nothing is damaged at the end."""
        before: list[str] = []
        while steps := self.plan():
            if [step.what for step in steps] == before:
                return False
            before = [step.what for step in steps]
            for step in steps:
                self.announce(step.what)
                step.run()
        return True

    def move_run_history(self, damaged: Sequence[Path]) -> None:
        """Move damaged databases of the Dagster instance aside; Dagster starts new ones."""
        self._move_aside(damaged)
        self.notes.append("The history of runs was damaged and starts again; prices are not affected.")

    def _open_again(self) -> None:
        """Forget what this process has read."""
        packs.opened_pack.cache_clear()
        self.backend = replace(self.backend)
        self.parts = replace(self.parts, backend=self.backend)

    @property
    def _root(self) -> Path:
        return self.backend.root.absolute()

    def _of_part(self, part: Part, damage: Sequence[Damage]) -> list[Step]:
        if not damage:
            return []
        file = Path(damage[0].file)
        match part:
            case Part.PACK:
                names = shorten_list([Path(one.file).name for one in damage], _SHOWN)
                return [Step(f"read the responses that {names} still have", lambda: self._salvage(damage))]
            case Part.LEDGER:
                return [Step("rebuild ledger.db from the raw responses", self._rebuild_ledger)]
            case Part.CALLS:
                return [Step("start a new calls.db; calls of today are not counted", lambda: self._move_aside([file]))]
            case Part.CATALOG:
                return [Step("write catalog.db again from the metadata of the tables", self._attach)]
            case _:
                return [Step(self._of_tables(damage), lambda: self._repair_tables(damage))]

    def _write_layout(self) -> None:
        if not files.restore_layout(self._root, self.at):
            raise UnsupportedLayout(
                f"{self._root} was not written by a release with layout version 2, so it cannot be repaired. Run "
                "stock-assets verify to see what to do"
            )

    def _move_aside(self, damaged: Iterable[Path]) -> None:
        files.move_aside(self._root, damaged, self.at)

    def _salvage(self, damage: Sequence[Damage]) -> None:
        """Store the readable responses of packs as single files, and move the packs aside."""
        for pack in (Path(one.file) for one in damage):
            for key, body in files.salvage(pack):
                # A single file may be intact, or is examined later.
                with suppress(ObjectExists):
                    self.backend.objects.put(key, body)
            self._move_aside([pack])

    def _rebuild_ledger(self) -> None:
        scratch = ScratchBackend(self.backend, new_ledger=True)
        scratch.clear()
        parts = replace(self.parts, backend=scratch)
        done = record_responses(parts, response_keys(self.backend), self.at)
        ledger = self._root / LEDGER_FILE
        self._move_aside([ledger])
        (scratch.root / LEDGER_FILE).rename(ledger)
        sync(self._root)
        scratch.clear()
        self._note("responses are not used, as before or because of the settings", done.not_used)

    def _record(self, unknown: Sequence[str]) -> None:
        keys = sorted(file.removeprefix(f"{self._root}/") for file in unknown)
        done = record_responses(self.parts, [key for key in response_keys(self.backend) if key in set(keys)], self.at)
        self._note("responses are not used", done.not_used)

    def _recover(self, damaged: Sequence[Fetch]) -> None:
        """Restore responses from an intact copy, or request them again; what is lost is moved aside."""
        for marker in [fetch for fetch in damaged if fetch.kind is FetchKind.PURGES]:
            self._move_aside([self._root / marker.response_key])
            put_marker(self.backend, marker)
        responses = [fetch for fetch in damaged if fetch.kind is not FetchKind.PURGES]
        left = [fetch for fetch in responses if not self._use_packed_copy(fetch)]
        failed = self._request(left)
        # A request that failed may succeed later: nothing is given up for it.
        lost = [fetch for fetch in left if not self._restore_same_bytes(fetch) and fetch.symbol not in failed]
        ledger = SqliteLedger(self.backend.data_folder)
        for fetch in lost:
            self._move_aside([self._root / fetch.response_key])
            with ledger.read() as table:
                ledger.retire([fetch.response_key], "the stored response was damaged and was moved aside")
                missing = missing_sessions(table, {fetch.symbol: _sessions_of(fetch)})[fetch.symbol]
            if missing:
                self.notes.append(
                    f"{fetch.symbol}: the bars of {missing[0]} to {missing[-1]} ({plural(len(missing), 'session')}) "
                    "are lost: the vendor does not return them now. Published rows of these sessions stay. Restore "
                    f"{fetch.response_key} from a backup, or put a CSV file with the bars into the landing area."
                )

    def _use_packed_copy(self, fetch: Fetch) -> bool:
        """Use the copy in a pack where a single file is damaged."""
        file = self._root / fetch.response_key
        if not file.is_file():
            return False
        try:
            intact = fetch.is_response(packs.Packs(self._root).read(fetch.response_key))
        except (KeyError, OSError):
            return False
        if intact:
            self._move_aside([file])
        return intact

    def _request(self, damaged: Sequence[Fetch]) -> set[str]:
        """Request damaged responses again, as far as the vendor has them; return the symbols whose request failed."""
        failed: set[str] = set()
        prices = [one for one in damaged if one.kind is FetchKind.PRICES and one.outcome is Outcome.OK]
        symbols = frozenset(one.symbol for one in prices) & set(self.parts.universe.symbols)
        sessions = sorted({session for one in prices if one.symbol in symbols for session in _sessions_of(one)})
        available, too_old = split_by_history(self.parts, sessions, self.at) if sessions else ([], "")
        if too_old:
            self.notes.append(f"Not requested again: {too_old}.")
        if available:
            self.announce(f"requesting {shorten_list(sorted(symbols), _SHOWN)} again")
            rules = RequestRules(symbols=symbols, again=symbols)
            results = [one for one in fetch_prices(self.parts, available, rules=rules) if one.symbol in symbols]
            failed = {one.symbol for one in results if one.outcome not in _ANSWERED}
            self.notes += [f"{one.detail}. Run the repair again later." for one in results if one.symbol in failed]
        if any(one.kind is FetchKind.SPLITS for one in damaged):
            forget_splits()
            failures = fetch_splits(self.parts)
            self.notes += [f"{why}. Run the repair again later." for why in failures.values()]
            failed |= failures.keys()
        return failed

    def _restore_same_bytes(self, fetch: Fetch) -> bool:
        """Write a response again if a newer response of the same symbol has the same bytes."""
        for other in self.backend.ledger.fetches(fetch.kind, symbol=fetch.symbol):
            if other.response_key == fetch.response_key or other.content_hash != fetch.content_hash:
                continue
            with suppress(KeyError, OSError):
                body = self.backend.objects.get(other.response_key)
                if fetch.is_response(body):
                    self._move_aside([self._root / fetch.response_key])
                    with suppress(ObjectExists):
                        self.backend.objects.put(fetch.response_key, body)
                    return True
        return False

    def _attach(self) -> None:
        with self.backend.publishing():
            self._write_catalog()

    def _write_catalog(self) -> None:
        catalog = self._root / CATALOG_FILE
        lost = list(PUBLISHED_TABLES)
        if database_problem(catalog):
            self._move_aside([catalog])
        else:
            lost = [table for table in PUBLISHED_TABLES if not self._is_named(table)]
        unattached = [table for table in lost if files.attach(self._root, table) is None]
        self._rebuild([table for table in unattached if (self._root / table.schema / table.name).exists()])

    def _is_named(self, table: Table) -> bool:
        location = metadata_location(self._root, table)
        return location is not None and Path(path_of(location)).exists()

    def _of_tables(self, damage: Sequence[Damage]) -> str:
        names = sorted({one.table.full_name for one in damage if one.table is not None})
        if any(one.is_current for one in damage):
            return f"rebuild {' and '.join(names)} from the raw responses"
        count = len({snapshot for one in damage for snapshot in one.snapshots})
        return f"remove {plural(count, 'snapshot')} that cannot be read from {' and '.join(names)}"

    def _repair_tables(self, damage: Sequence[Damage]) -> None:
        current = [one.table for one in damage if one.is_current and one.table is not None]
        with self.backend.publishing():
            self._rebuild(list(dict.fromkeys(current)))
            for table in PUBLISHED_TABLES:
                old = {snapshot for one in damage if one.table == table for snapshot in one.snapshots}
                if old and table not in current:
                    files.drop_snapshots(self._root, table, old)
            self._move_aside(Path(one.file) for one in damage)

    def _rebuild(self, tables: Sequence[Table]) -> None:
        """Compute tables again in a folder of their own, and let them replace the damaged ones."""
        if not tables:
            return
        before = {table: metadata_location(self._root, table) for table in tables}
        # If no file of the table is left, the records of the latest loads are.
        sessions = files.published_sessions(self._root, DAILY_PRICES) or staged_sessions(self.backend)
        if not sessions:
            self.notes.append(
                f"{DAILY_PRICES.full_name}: no file shows which sessions were published. Load them from the stored "
                "responses: stock-assets backfill FIRST LAST"
            )
        scratch = ScratchBackend(self.backend)
        scratch.clear()
        try:
            done = load_again(replace(self.parts, backend=scratch), sessions, self.announce)
        except DamagedResponses as error:
            self._roll_back(tables, str(error))
            return
        for table in tables:
            if not files.adopt(self._root, scratch.root, table, before[table]):
                self._move_aside([self._root / table.schema / table.name])
        scratch.clear()
        self.notes.append(
            f"{' and '.join(table.full_name for table in tables)}: rebuilt with {plural(len(sessions), 'session')}; "
            "earlier snapshots are no longer available."
        )
        self._note("sessions were not published again", done.not_loaded)

    def _roll_back(self, tables: Sequence[Table], why: str) -> None:
        for table in tables:
            found = files.roll_back(self._root, table)
            state = f"rolled back to snapshot {found[1]}" if found else "it stays, since no snapshot is intact"
            self.notes.append(f"{table.full_name}: {state}, because it cannot be rebuilt: {why}")

    def _note(self, what: str, lines: Sequence[str]) -> None:
        if lines:
            self.notes.append(f"{plural(len(lines), 'entry', 'entries')}: {what}: {shorten_list(list(lines), _SHOWN)}")


_ANSWERED = (Outcome.OK, Outcome.LATE, Outcome.UNOBTAINABLE)
"""The vendor has sent what it has."""
_FIRST = (Part.PACK, Part.LEDGER)
"""Without these nothing else can be repaired, so the folder is checked again after them."""
_ORDER = (Part.PACK, Part.LEDGER, Part.CALLS, Part.CATALOG, Part.TABLE)


def _of_responses(responses: Sequence[Fetch]) -> str:
    names = shorten_list([f"{one.symbol} ({one.response_key})" for one in responses], _SHOWN)
    return f"recover {plural(len(responses), 'response')}, from copies or from the vendor: {names}"


def _sessions_of(fetch: Fetch) -> list[date]:
    if fetch.first_session is None or fetch.last_session is None:
        return []
    absent = set(fetch.missing_sessions)
    return [one for one in sessions_between(fetch.first_session, fetch.last_session) if one not in absent]
