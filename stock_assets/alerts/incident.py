"""Incidents: what went wrong, as a message for people, with a reference that identifies the incident.

Belongs here: the fields of an incident and how they are written. Does not belong here: recognising an incident in a run
(`orchestration.sensors.alerts`), or sending messages (`channels`, `deduplication`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from stock_assets.core.calendar import format_ranges
from stock_assets.core.text import shorten_lines

MAX_LINES = 20
"""Lines that one list of facts has at most; the last one counts the others."""


@dataclass(frozen=True)
class Message:
    """A message that a channel delivers.

    Attributes:
        reference: identifies the incident and the state it reports; equal messages have equal references.
        title: one line.
        text: the whole message for people; it starts with the title.
        fields: the same facts for programs; they contain no secret.
        sent_at: when it was sent, aware, UTC.
    """

    reference: str
    title: str
    text: str
    fields: Mapping[str, object]
    sent_at: datetime


@dataclass(frozen=True)
class Incident:
    """A failure that people are notified of.

    Attributes:
        kind: what kind of failure it is, such as `run`, `coverage`, `freshness` or `landing_files`.
        subject: what identifies it besides its sessions, such as the step and the class of its error. Two incidents
            with equal kind, subject and sessions are the same incident. It is never shortened, and no message contains
            it: a sensor reads from it which bars or files are reported already. It must not grow with the symbols.
        title: one line for people.
        sessions: the affected sessions, in order; empty if it concerns no particular session.
        steps: steps that must succeed for these sessions before the incident is resolved.
        facts: details by name; each item of a list is written on a separate line. A list keeps its first lines and the
            number of the others, so that a message does not grow with the symbols.
        link: URL of the details.
    """

    kind: str
    subject: str
    title: str
    sessions: tuple[date, ...] = ()
    steps: tuple[str, ...] = ()
    facts: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    link: str = ""

    def __post_init__(self) -> None:
        """Shorten the lists of facts; a list that was shortened before stays as it is."""
        object.__setattr__(self, "facts", {name: _shorten(value) for name, value in self.facts.items()})

    @property
    def reference(self) -> str:
        """Short identifier that stays the same when the incident happens again."""
        about = "\n".join([self.kind, self.subject, *map(str, self.sessions)])
        return f"{self.kind}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def message(self, at: datetime) -> Message:
        """Format the incident as a message."""
        lines = [self.title]
        for name, value in self.facts.items():
            if isinstance(value, str):
                lines.append(f"{name}: {value}")
            elif value:
                lines += [f"{name}:", *(f"  {item}" for item in value)]
        lines += [self.link] if self.link else []
        fields = {"kind": self.kind, "sessions": format_ranges(self.sessions), "link": self.link, **self.facts}
        return Message(self.reference, self.title, "\n".join(lines), fields, at)


def _shorten(value: str | Sequence[str]) -> str | Sequence[str]:
    if isinstance(value, str):
        return value
    return list(value) if len(value) <= MAX_LINES else shorten_lines(value, MAX_LINES - 1)
