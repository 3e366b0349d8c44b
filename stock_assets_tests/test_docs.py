"""The README says what is true: every setting, every command, every file it links to."""

import re
from pathlib import Path

import pytest
import typer

from stock_assets.cli.app import app
from stock_assets.settings import Settings
from stock_assets.sources.plans import API_KEY_VARIABLE

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def test_every_setting_is_in_the_table() -> None:
    variables = {
        str(field.validation_alias or f"STOCK_ASSETS_{name.upper()}") for name, field in Settings.model_fields.items()
    }
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert listed == variables | {API_KEY_VARIABLE}


def test_the_defaults_in_the_table_are_the_defaults() -> None:
    for name, default in re.findall(r"^\| `STOCK_ASSETS_([A-Z_]+)` \| `([^`]*)` \|", README, re.MULTILINE):
        assert str(Settings().__getattribute__(name.lower())).rstrip("/") == default


def test_every_command_is_shown() -> None:
    group = typer.main.get_command(app)
    for command in group.commands:  # type: ignore[attr-defined]  # several commands make a group
        assert any(
            f"stock-assets {command}" in page.read_text(encoding="utf-8") or command == "ui" for page in DOCUMENTS
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    broken = [link for link in links if not link.startswith("http") and not (document.parent / link).exists()]
    assert broken == []


def test_no_document_names_a_path_of_the_machine_it_was_written_on() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"(?<![\w.])/(work|backend|root|tmp)/", document.read_text(encoding="utf-8")), document
