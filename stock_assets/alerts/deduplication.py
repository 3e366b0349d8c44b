"""Deduplicate alerts: one notification when an incident opens, one when it is resolved.

Belongs here: the open incidents, and which channel has delivered which message. Does not belong here: what an incident
is (`incident`), how a message is sent (`channels`).

An open incident is an object of the backend, and so is the record that a channel has delivered its message. The record
is written right after the delivery: a process that is killed between the two delivers the message again, with the same
reference (the log file recognises it). A message that was not delivered stays pending, and `deliver_pending` sends it
again, only on the channels that failed: a failing channel does not prevent delivery through the others. If a record
cannot be stored, the message is sent all the same, and this process remembers it. An unreadable incident is moved to
`alerts/unreadable/` and reported; it does not prevent notifications of the others.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter

from stock_assets.alerts.channels import Channel, try_to_send
from stock_assets.alerts.incident import Incident, Message
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import IncidentUnreadable, ObjectExists, StockAssetsError

_FOLDER = "alerts/open"
_UNREADABLE = "alerts/unreadable"
_RESOLVED = "resolved.txt"

_INCIDENT = TypeAdapter(Incident)
_UNRECORDED: set[tuple[str, str]] = set()
"""Incidents, with state and channel, of delivered messages whose records could not be stored."""


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
        opened, problems = self._opened_or_moved(incident.reference)
        if opened is None:
            note = asdict(incident) | {"opened_at": at.isoformat()}
            body = json.dumps(note, default=str).encode()
            opened = _Opened(incident, at)
            stored = self._put(self._key(incident.reference, "incident.json"), body)
            if stored is None:
                with suppress(IncidentUnreadable):
                    opened = self._opened(incident.reference) or opened
            problems += stored or []
        # An incident that opens again after it was resolved is another message.
        message = incident.message(at)
        message = replace(message, reference=f"{message.reference}-{opened.at:%Y%m%dT%H%M%S}")
        return problems + self._deliver(message, "opened")

    def resolve(self, reference: str, at: datetime, how: str) -> list[str]:
        """Notify that an open incident is resolved, then delete it; return the failed deliveries."""
        opened, problems = self._opened_or_moved(reference)
        if opened is None:
            _forget(reference)
            return problems
        problems += self._put(self._key(reference, _RESOLVED), how.encode()) or []
        title = f"Resolved: {opened.incident.title}"
        message = Message(
            reference=f"{reference}-{opened.at:%Y%m%dT%H%M%S}-resolved",
            title=title,
            text=f"{title}\n{how}",
            fields={"kind": opened.incident.kind, "resolved": how},
            sent_at=at,
        )
        undelivered = problems + self._deliver(message, "resolved")
        if not undelivered:
            self.discard(reference)
        return undelivered

    def discard(self, reference: str) -> None:
        """Delete an incident without a message; its own object last: if the process is killed, it is still open."""
        _forget(reference)
        keys = self.backend.objects.keys(f"{_FOLDER}/{reference}/")
        for key in sorted(keys, key=lambda key: key.endswith("/incident.json")):
            self.backend.objects.delete(key)

    def deliver_pending(self, at: datetime) -> list[str]:
        """Send the messages that are still undelivered; return the failed deliveries and the unreadable incidents."""
        incidents, unreadable = self._read_all()
        undelivered = [line for name, error in unreadable.items() for line in self._move_aside(name, error, at)]
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
                undelivered += self._put(self._key(incident.reference, name), b"") or []
            if self._done(incident.reference).issuperset(incident.sessions):
                undelivered += self.resolve(incident.reference, at, how)
        return undelivered

    def _read_all(self) -> tuple[list[Incident], dict[str, IncidentUnreadable]]:
        """Return the open incidents, and the errors of those that cannot be read, by reference."""
        names = {
            key.split("/")[2] for key in self.backend.objects.keys(f"{_FOLDER}/") if key.endswith("/incident.json")
        }
        incidents, unreadable = [], {}
        for name in sorted(names):
            try:
                opened = self._opened(name)
            except IncidentUnreadable as error:
                unreadable[name] = error
            else:
                incidents += [opened.incident] if opened is not None else []
        return incidents, unreadable

    def _opened_or_moved(self, reference: str) -> tuple[_Opened | None, list[str]]:
        """Read an open incident; move an unreadable one, since its records would suppress the next one forever."""
        try:
            return self._opened(reference), []
        except IncidentUnreadable as error:
            return None, self._move_aside(reference, error)

    def _move_aside(self, reference: str, error: IncidentUnreadable, at: datetime | None = None) -> list[str]:
        """Move an unreadable incident to another folder, and report it; its message may not have reached anybody.

        Args:
            reference: reference of the incident.
            error: why it cannot be read.
            at: now; with it, people are notified. An incident that happens again has a message of its own.
        """
        key = self._key(reference, "incident.json")
        try:
            body = self.backend.objects.get(key)
            moved = f"{_UNREADABLE}/{reference}-{content_hash(body)[:8]}.json"
            if problems := self._put(moved, body):
                return [str(error), *problems]
            self.discard(reference)
        except (OSError, KeyError) as problem:
            return [f"{error}. It cannot be moved either ({problem})"]
        line = f"{error}. It was moved to {moved}"
        if at is None:
            return [line]
        title = "stock_assets: an open incident cannot be read; see the Dagster UI for what is wrong"
        message = Message(f"unreadable-{reference}", title, f"{title}\n{line}", {"kind": "alerts"}, at)
        return [line, *(failure for channel in self.channels if (failure := try_to_send(channel, message)))]

    def _opened(self, reference: str) -> _Opened | None:
        key = self._key(reference, "incident.json")
        try:
            body = self.backend.objects.get(key)
        except KeyError:
            return None
        except OSError as error:
            raise IncidentUnreadable(f"{key} cannot be read ({error.strerror})") from error
        try:
            note: dict[str, Any] = json.loads(body)
            at = datetime.fromisoformat(note.pop("opened_at"))
            incident = _INCIDENT.validate_python(note)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IncidentUnreadable(f"{key} is not an incident of this version ({type(error).__name__})") from error
        if incident.reference != reference:
            raise IncidentUnreadable(f"{key} contains {incident.reference}")
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
            unrecorded = reference, f"{state}-{channel.name}"
            if record in stored or unrecorded in _UNRECORDED:
                continue
            failure = try_to_send(channel, message)
            if failure:
                undelivered.append(failure)
            elif problems := self._put(record, b""):
                _UNRECORDED.add(unrecorded)
                undelivered += problems
        return undelivered

    def _key(self, reference: str, name: str) -> str:
        return f"{_FOLDER}/{reference}/{name}"

    def _put(self, key: str, body: bytes) -> list[str] | None:
        """Store a record and return an empty list, or the reason why that failed; a full disk must not stop an alert.

        Return None if another process has just stored the same record.
        """
        try:
            self.backend.objects.put(key, body)
        except ObjectExists:
            return None
        except (OSError, StockAssetsError) as error:
            return [f"{key} cannot be stored ({error}); check the permissions and the free disk space"]
        return []


def _forget(reference: str) -> None:
    """Forget the deliveries of an incident that is over: the next one is another message."""
    _UNRECORDED.difference_update([one for one in _UNRECORDED if one[0] == reference])
