"""Keeps the open incidents, so that each is told once, and once more when it is over.

Belongs here: what was told to whom. Does not belong here: what an incident is (`incident`), how a message travels
(`channels`).

An open incident is an object of the backend, and so is the note that a channel has delivered it. The note is written right
after the delivery: a process killed between the two delivers it again, with the same reference (the log file sees that
itself). A message that did not get through stays open and is tried again by the next look, on the channels that failed
only: no channel keeps a message from the others. An incident that cannot be parsed keeps no other from being told.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident, Message
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import IncidentUnreadable, ObjectExists, StockAssetsError

_FOLDER = "alerts/open"
_RESOLVED = "resolved.txt"

_INCIDENT = TypeAdapter(Incident)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Opened:
    """An open incident, and when it opened."""

    incident: Incident
    at: datetime


@dataclass(frozen=True)
class Notifier:
    """The incidents of one backend, and whom to tell."""

    backend: Backend
    channels: Sequence[Channel]

    def report(self, incident: Incident, at: datetime) -> list[str]:
        """Tell of an incident, unless that was done; give what could not be delivered."""
        opened = self._opened_or_dropped(incident.reference)
        if opened is None:
            note = asdict(incident) | {"opened_at": at.isoformat()}
            self._put(self._key(incident.reference, "incident.json"), json.dumps(note, default=str).encode())
            opened = _Opened(incident, at)
        # Each time it opens anew it is another message.
        message = incident.message(at)
        return self._deliver(replace(message, reference=f"{message.reference}-{opened.at:%Y%m%dT%H%M%S}"), "told")

    def resolve(self, reference: str, at: datetime, how: str) -> list[str]:
        """Tell that an incident is over, if it is open, and forget it; give what could not be delivered."""
        opened = self._opened_or_dropped(reference)
        if opened is None:
            return []
        self._put(self._key(reference, _RESOLVED), how.encode())
        title = f"Resolved: {opened.incident.title}"
        message = Message(
            reference=f"{reference}-{opened.at:%Y%m%dT%H%M%S}-resolved",
            title=title,
            text=f"{title}\n{how}",
            fields={"kind": opened.incident.kind, "resolved": how},
            sent_at=at,
        )
        undelivered = self._deliver(message, "over")
        if not undelivered:
            self.forget(reference)
        return undelivered

    def forget(self, reference: str) -> None:
        """Drop an incident without a word; the incident itself last, so that a kill half way leaves it open."""
        keys = self.backend.objects.list(f"{_FOLDER}/{reference}/")
        for key in sorted(keys, key=lambda key: key.endswith("/incident.json")):
            self.backend.objects.delete(key)

    def catch_up(self, at: datetime) -> list[str]:
        """Deliver what did not get through before; give what still does not, and incidents that cannot be read."""
        incidents, undelivered = self._read_all()
        for incident in incidents:
            resolved = self._key(incident.reference, _RESOLVED)
            if resolved in self.backend.objects.list(f"{_FOLDER}/{incident.reference}/"):
                how = self.backend.objects.get(resolved).decode(errors="replace")
                undelivered += self.resolve(incident.reference, at, how)
            else:
                undelivered += self.report(incident, at)
        return undelivered

    def open_incidents(self) -> list[Incident]:
        """List the open ones that can be read."""
        return self._read_all()[0]

    def succeeded(self, sessions: Sequence[date], steps: set[str], at: datetime, how: str) -> list[str]:
        """Note that steps succeeded for sessions, and resolve what is over by that."""
        undelivered = []
        for incident in self.open_incidents():
            if not incident.steps or not steps.issuperset(incident.steps):
                continue
            if incident.sessions and sessions:
                name = f"done-{sessions[0]}-{sessions[-1]}"
                self._put(self._key(incident.reference, name), b"")
            if self._done(incident.reference).issuperset(incident.sessions):
                undelivered += self.resolve(incident.reference, at, how)
        return undelivered

    def _read_all(self) -> tuple[list[Incident], list[str]]:
        """Read the open incidents; give also what is wrong with those that cannot be read."""
        names = {
            key.split("/")[2] for key in self.backend.objects.list(f"{_FOLDER}/") if key.endswith("/incident.json")
        }
        incidents, unreadable = [], []
        for name in sorted(names):
            try:
                opened = self._opened(name)
            except IncidentUnreadable as error:
                unreadable.append(str(error))
            else:
                incidents += [opened.incident] if opened is not None else []
        return incidents, unreadable

    def _opened_or_dropped(self, reference: str) -> _Opened | None:
        """Read an open incident; drop one that cannot be read, since its notes would silence the next one for good."""
        try:
            return self._opened(reference)
        except IncidentUnreadable as error:
            _log.warning("dropped: %s", error)
            self.forget(reference)
            return None

    def _opened(self, reference: str) -> _Opened | None:
        key = self._key(reference, "incident.json")
        try:
            body = self.backend.objects.get(key)
        except KeyError:
            return None
        try:
            note: dict[str, Any] = json.loads(body)
            at = datetime.fromisoformat(note.pop("opened_at"))
            incident = _INCIDENT.validate_python(note)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IncidentUnreadable(
                f"{key} is no incident of this version ({type(error).__name__}); delete it to be rid of this note"
            ) from error
        if incident.reference != reference:
            raise IncidentUnreadable(f"{key} holds {incident.reference}; delete it to be rid of this note")
        return _Opened(incident, at)

    def _done(self, reference: str) -> set[date]:
        """List the sessions that were loaded since."""
        found: set[date] = set()
        for key in self.backend.objects.list(f"{_FOLDER}/{reference}/"):
            name = key.rpartition("/")[2]
            if name.startswith("done-"):
                first, last = name[5:15], name[16:26]
                found |= set(sessions_between(date.fromisoformat(first), date.fromisoformat(last)))
        return found

    def _deliver(self, message: Message, what: str) -> list[str]:
        reference = message.reference.removesuffix("-resolved").rpartition("-")[0]
        told = set(self.backend.objects.list(f"{_FOLDER}/{reference}/"))
        undelivered = []
        for channel in self.channels:
            note = self._key(reference, f"{what}-{channel.name}")
            if note in told:
                continue
            try:
                channel.send(message)
            except StockAssetsError as error:
                undelivered.append(f"{channel.name}: {error}")
            except Exception as error:  # noqa: BLE001 (whatever is wrong with one channel, the others are told)
                # Its text is not shown: it may hold the channel's address, which is a secret.
                undelivered.append(f"{channel.name}: {type(error).__name__}, which this program does not expect")
            else:
                self._put(note, b"")
        return undelivered

    def _key(self, reference: str, name: str) -> str:
        return f"{_FOLDER}/{reference}/{name}"

    def _put(self, key: str, body: bytes) -> None:
        try:
            self.backend.objects.put(key, body)
        except ObjectExists:
            # Somebody else has just noted the same.
            return
