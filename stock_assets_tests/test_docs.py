"""The documents are true: every setting and command is described, every link leads to a file."""

import re
from pathlib import Path

import pytest
import typer

from docs.settings_page import PAGE, render, variable
from stock_assets.cli.app import app
from stock_assets.settings import API_KEY_VARIABLE, Settings

PROJECT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]
IDS = [path.name for path in DOCUMENTS]
# The changelog names former commands and targets too.
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


def test_the_settings_page_is_generated_from_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "docs/settings.md is out of date: run `make settings-docs`"


def test_the_settings_page_lists_every_variable_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*)`? \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert API_KEY_VARIABLE in listed
    for name, field in Settings.model_fields.items():
        default = getattr(Settings(), name)
        assert listed[variable(name, field)].strip() == ("" if default is None else str(default).rstrip("/")), name


def test_every_command_is_shown() -> None:
    group = typer.main.get_command(app)
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCUMENTS)
    for command in group.commands:  # type: ignore[attr-defined]  # several commands make a group
        assert f"stock-assets {command}" in text, command


def test_every_command_that_is_shown_exists() -> None:
    group = typer.main.get_command(app)
    for document in CURRENT:
        shown = set(re.findall(r"(?:^|`)stock-assets ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert shown <= set(group.commands), document.name  # type: ignore[attr-defined]  # several commands make a group


def test_every_make_target_that_is_shown_exists() -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for document in CURRENT:
        shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert shown <= set(targets.split()), document.name


def test_the_readme_has_at_most_150_lines() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_to_a_file_and_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", document.read_text(encoding="utf-8"))
    for link, heading in links:
        if link.startswith("http"):
            continue
        target = document.parent / link if link else document
        assert target.exists(), link
        if heading:
            assert heading in _anchors(target), f"{link}#{heading}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_no_document_names_a_path_of_the_machine_on_which_it_was_written(document: Path) -> None:
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp)/", document.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """Return the anchors that code hosts give to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
