"""What went wrong, in a form that people read and that tells one incident from another.

Belongs here: the fields of an incident and how they are written. Does not belong here: recognising one in a run
(`automation.watch`), or sending (`channels`, `notifier`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from stock_assets.core.calendar import format_ranges

MOST_LINES = 20
"""Lines of one list in a message; the rest is counted."""


@dataclass(frozen=True)
class Message:
    """What a channel delivers.

    Attributes:
        reference: of the incident and of what is said about it; the same message has the same one.
        title: one line.
        text: all of it, for people, the title first.
        fields: the same, for machines; nothing secret.
        sent_at: aware, UTC.
    """

    reference: str
    title: str
    text: str
    fields: Mapping[str, object]
    sent_at: datetime


@dataclass(frozen=True)
class Incident:
    """One thing that went wrong.

    Attributes:
        kind: what sort of incident; `run`, `coverage` or `freshness`.
        subject: what it is about beside its sessions, such as the step and the class of its error. Two incidents of
            one kind, subject and sessions are the same.
        title: one line for people.
        sessions: those it is about, in order; none if it is about no particular ones.
        steps: steps that have to succeed for these sessions before it is over.
        facts: what people want to know, by name; lists are written one item a line.
        link: where to look.
    """

    kind: str
    subject: str
    title: str
    sessions: tuple[date, ...] = ()
    steps: tuple[str, ...] = ()
    facts: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    link: str = ""

    @property
    def reference(self) -> str:
        """Short name that stays the same when it happens again."""
        about = "\n".join([self.kind, self.subject, *map(str, self.sessions)])
        return f"{self.kind}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def message(self, at: datetime) -> Message:
        """Write it."""
        lines = [self.title]
        for name, value in self.facts.items():
            if isinstance(value, str):
                lines.append(f"{name}: {value}")
            elif value:
                lines += [f"{name}:", *(f"  {item}" for item in value[:MOST_LINES])]
                lines += [f"  and {len(value) - MOST_LINES} more"] if len(value) > MOST_LINES else []
        lines += [self.link] if self.link else []
        facts = {name: v if isinstance(v, str) else list(v[:MOST_LINES]) for name, v in self.facts.items()}
        fields = {"kind": self.kind, "sessions": format_ranges(self.sessions), "link": self.link, **facts}
        return Message(self.reference, self.title, "\n".join(lines), fields, at)
