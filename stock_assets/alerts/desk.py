"""Keeps the open incidents, so that each is told once, and once more when it is over.

Belongs here: what was told to whom. Does not belong here: what an incident is (`incident`), how a message travels
(`channels`).

An open incident is an object of the home, and so is the note that a channel has delivered it. The note is written right
after the delivery: a process killed between the two delivers it again, with the same reference (the log file sees that
itself). A message that did not get through stays open and is tried again by the next look.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident, Message
from stock_assets.errors import AlertUndelivered, ObjectExists
from stock_assets.homes.interfaces import Home
from stock_assets.sessions import sessions_between

_FOLDER = "alerts/open"
_RESOLVED = "resolved.txt"


@dataclass(frozen=True)
class Desk:
    """The incidents of one home, and whom to tell."""

    home: Home
    channels: Sequence[Channel]

    def report(self, incident: Incident, at: datetime) -> list[str]:
        """Tell of an incident, unless that was done; give what could not be delivered."""
        opened = self._opened(incident.reference)
        if opened is None:
            note = asdict(incident) | {"opened_at": at.isoformat()}
            self._put(self._key(incident.reference, "incident.json"), json.dumps(note, default=str).encode())
            opened = at
        # Each time it opens anew it is another message.
        message = incident.message(at)
        return self._deliver(replace(message, reference=f"{message.reference}-{opened:%Y%m%dT%H%M%S}"), "told")

    def resolve(self, reference: str, at: datetime, how: str) -> list[str]:
        """Tell that an incident is over, if it is open, and forget it; give what could not be delivered."""
        incident, opened = self.read(reference), self._opened(reference)
        if incident is None or opened is None:
            return []
        self._put(self._key(reference, _RESOLVED), how.encode())
        title = f"Resolved: {incident.title}"
        message = Message(
            reference=f"{reference}-{opened:%Y%m%dT%H%M%S}-resolved",
            title=title,
            text=f"{title}\n{how}",
            fields={"kind": incident.kind, "resolved": how},
            sent_at=at,
        )
        undelivered = self._deliver(message, "over")
        if not undelivered:
            self.forget(reference)
        return undelivered

    def forget(self, reference: str) -> None:
        """Drop an incident without a word; the incident itself last, so that a kill half way leaves it open."""
        keys = self.home.objects.list(f"{_FOLDER}/{reference}/")
        for key in sorted(keys, key=lambda key: key.endswith("/incident.json")):
            self.home.objects.delete(key)

    def catch_up(self, at: datetime) -> list[str]:
        """Deliver what did not get through before; give what still does not."""
        undelivered = []
        for incident in self.open_incidents():
            resolved = self._key(incident.reference, _RESOLVED)
            if resolved in self.home.objects.list(f"{_FOLDER}/{incident.reference}/"):
                undelivered += self.resolve(incident.reference, at, self.home.objects.get(resolved).decode())
            else:
                undelivered += self.report(incident, at)
        return undelivered

    def open_incidents(self) -> list[Incident]:
        """List the open ones."""
        names = {key.split("/")[2] for key in self.home.objects.list(f"{_FOLDER}/") if key.endswith("/incident.json")}
        return [incident for incident in map(self.read, sorted(names)) if incident is not None]

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

    def read(self, reference: str) -> Incident | None:
        """Read an open incident."""
        note = self._note(reference)
        if note is None:
            return None
        note.pop("opened_at")
        sessions = tuple(date.fromisoformat(text) for text in note.pop("sessions"))
        return Incident(**{**note, "sessions": sessions, "steps": tuple(note["steps"])})

    def _note(self, reference: str) -> dict[str, Any] | None:
        try:
            note: dict[str, Any] = json.loads(self.home.objects.get(self._key(reference, "incident.json")))
        except KeyError:
            return None
        return note

    def _opened(self, reference: str) -> datetime | None:
        note = self._note(reference)
        return None if note is None else datetime.fromisoformat(note["opened_at"])

    def _done(self, reference: str) -> set[date]:
        """List the sessions that were loaded since."""
        found: set[date] = set()
        for key in self.home.objects.list(f"{_FOLDER}/{reference}/"):
            name = key.rpartition("/")[2]
            if name.startswith("done-"):
                first, last = name[5:15], name[16:26]
                found |= set(sessions_between(date.fromisoformat(first), date.fromisoformat(last)))
        return found

    def _deliver(self, message: Message, what: str) -> list[str]:
        reference = message.reference.removesuffix("-resolved").rpartition("-")[0]
        told = set(self.home.objects.list(f"{_FOLDER}/{reference}/"))
        undelivered = []
        for channel in self.channels:
            note = self._key(reference, f"{what}-{channel.name}")
            if note in told:
                continue
            try:
                channel.send(message)
            except AlertUndelivered as error:
                undelivered.append(f"{channel.name}: {error}")
            else:
                self._put(note, b"")
        return undelivered

    def _key(self, reference: str, name: str) -> str:
        return f"{_FOLDER}/{reference}/{name}"

    def _put(self, key: str, body: bytes) -> None:
        try:
            self.home.objects.put(key, body)
        except ObjectExists:
            # Somebody else has just noted the same.
            return
