"""Deduplicate alerts: one notification when an incident opens, one when it is resolved.

Belongs here: the open incidents, and which channel has delivered which message. Does not belong here: what an incident
is (`incident`), how a message is sent (`channels`).

An open incident is an object of the backend, and so is the record that a channel has delivered its message. The record
is written right after the delivery: a process that is killed between the two delivers the message again, with the same
reference (the log file recognises it). A message that was not delivered stays pending, and `deliver_pending` sends it
again, only on the channels that failed: a failing channel does not prevent delivery through the others. An unreadable
incident does not prevent notifications of the others.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter

from stock_assets.alerts.channels import Channel, try_to_send
from stock_assets.alerts.incident import Incident, Message
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import IncidentUnreadable, ObjectExists

_FOLDER = "alerts/open"
_RESOLVED = "resolved.txt"

_INCIDENT = TypeAdapter(Incident)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Opened:
    """An open incident, and the timestamp at which it opened."""

    incident: Incident
    at: datetime


@dataclass(frozen=True)
class Notifier:
    """The incidents of one backend, and the channels that notify people."""

    backend: Backend
    channels: Sequence[Channel]

    def notify(self, incident: Incident, at: datetime) -> list[str]:
        """Open an incident and send its message, unless that was done before; return the failed deliveries."""
        opened = self._opened_or_discarded(incident.reference)
        if opened is None:
            note = asdict(incident) | {"opened_at": at.isoformat()}
            opened = _Opened(incident, at)
            if not self._put(self._key(incident.reference, "incident.json"), json.dumps(note, default=str).encode()):
                opened = self._opened(incident.reference) or opened
        # An incident that opens again after it was resolved is another message.
        message = incident.message(at)
        return self._deliver(replace(message, reference=f"{message.reference}-{opened.at:%Y%m%dT%H%M%S}"), "opened")

    def resolve(self, reference: str, at: datetime, how: str) -> list[str]:
        """Notify that an open incident is resolved, then delete it; return the failed deliveries."""
        opened = self._opened_or_discarded(reference)
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
        undelivered = self._deliver(message, "resolved")
        if not undelivered:
            self.discard(reference)
        return undelivered

    def discard(self, reference: str) -> None:
        """Delete an incident without a message; its own object last: if the process is killed, it is still open."""
        keys = self.backend.objects.keys(f"{_FOLDER}/{reference}/")
        for key in sorted(keys, key=lambda key: key.endswith("/incident.json")):
            self.backend.objects.delete(key)

    def deliver_pending(self, at: datetime) -> list[str]:
        """Send the messages that are still undelivered; return the failed deliveries and the unreadable incidents."""
        incidents, undelivered = self._read_all()
        for incident in incidents:
            resolved = self._key(incident.reference, _RESOLVED)
            if resolved in self.backend.objects.keys(f"{_FOLDER}/{incident.reference}/"):
                how = self.backend.objects.get(resolved).decode(errors="replace")
                undelivered += self.resolve(incident.reference, at, how)
            else:
                undelivered += self.notify(incident, at)
        return undelivered

    def open_incidents(self) -> list[Incident]:
        """Return the open incidents that can be read."""
        return self._read_all()[0]

    def record_success(self, sessions: Sequence[date], steps: set[str], at: datetime, how: str) -> list[str]:
        """Record that steps succeeded for sessions, and resolve the incidents that waited for them."""
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
        """Return the open incidents, and a line for each that cannot be read."""
        names = {
            key.split("/")[2] for key in self.backend.objects.keys(f"{_FOLDER}/") if key.endswith("/incident.json")
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

    def _opened_or_discarded(self, reference: str) -> _Opened | None:
        """Read an open incident; discard an unreadable one, since its records would suppress the next one forever."""
        try:
            return self._opened(reference)
        except IncidentUnreadable as error:
            _log.warning("discarded: %s", error)
            self.discard(reference)
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
                f"{key} is not an incident of this version ({type(error).__name__}); delete it to stop this message"
            ) from error
        if incident.reference != reference:
            raise IncidentUnreadable(f"{key} contains {incident.reference}; delete it to stop this message")
        return _Opened(incident, at)

    def _done(self, reference: str) -> set[date]:
        """Return the sessions that were loaded after the incident opened."""
        found: set[date] = set()
        for key in self.backend.objects.keys(f"{_FOLDER}/{reference}/"):
            name = key.rpartition("/")[2]
            if name.startswith("done-"):
                first, last = name[5:15], name[16:26]
                found |= set(sessions_between(date.fromisoformat(first), date.fromisoformat(last)))
        return found

    def _deliver(self, message: Message, state: str) -> list[str]:
        reference = message.reference.removesuffix("-resolved").rpartition("-")[0]
        stored = set(self.backend.objects.keys(f"{_FOLDER}/{reference}/"))
        undelivered = []
        for channel in self.channels:
            record = self._key(reference, f"{state}-{channel.name}")
            if record in stored:
                continue
            failure = try_to_send(channel, message)
            if failure:
                undelivered.append(failure)
            else:
                self._put(record, b"")
        return undelivered

    def _key(self, reference: str, name: str) -> str:
        return f"{_FOLDER}/{reference}/{name}"

    def _put(self, key: str, body: bytes) -> bool:
        """Store a record; return False if another process has just stored it."""
        try:
            self.backend.objects.put(key, body)
        except ObjectExists:
            return False
        return True
