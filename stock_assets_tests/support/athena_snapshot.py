"""The snapshot of every statement that Athena receives: its file and its sections."""

from pathlib import Path

SNAPSHOT = Path(__file__).parent.parent / "snapshots" / "athena_statements.sql"
END = "\n;\n"
OTHER = "queries of users and counts of rows"
"""Statements that come from no file: `query` sends what a user wrote, `tables` counts the rows of every relation."""


def recorded() -> list[tuple[str, str]]:
    """Return the sections of the snapshot: path of the file, or OTHER, and bound statement."""
    sections = []
    for section in SNAPSHOT.read_text(encoding="utf-8").removesuffix(END).split(f"{END}\n"):
        header, _, text = section.partition("\n")
        sections.append((header.removeprefix("-- ").removeprefix("sql/").partition(" (")[0], text))
    return sections
