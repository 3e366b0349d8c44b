"""The documents are true: every setting and command, every link, and the words that all texts use."""

import ast
import re
from collections.abc import Iterator
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
        assert listed[variable(name, field)].strip() == ("" if default in (None, ()) else str(default).rstrip("/")), (
            name
        )


def test_every_command_is_shown() -> None:
    group = typer.main.get_command(app)
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCUMENTS)
    for command in group.commands:  # type: ignore[attr-defined]  # several commands make a group
        assert f"stock-assets {command}" in text, command


def test_every_command_that_is_shown_exists() -> None:
    group = typer.main.get_command(app)
    for document in CURRENT:
        command = r"(?:^|`)stock-assets (?:--universe \w+ )?([a-z-]+)"
        shown = set(re.findall(command, document.read_text(encoding="utf-8"), re.MULTILINE))
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


# Private words of earlier versions, replaced by the glossary of docs/architecture.md.
FORBIDDEN = (
    "share basis",
    "taken over",
    "takeover",
    "arrivals",
    "upkeep",
    "mend",
    "in vain",
    "all told",
    "set aside",
    "of one's own",
    "made anew",
    "asked for again",
    "could be had",
    "the bell",
    "what readers lack",
    "once more when it is over",
)
_PATTERN = re.compile(rf"\b({'|'.join(FORBIDDEN)})\b", re.IGNORECASE)
_TEXTS = ("*.md", "Makefile", "docs/*.md", "infra/**/*.json", "infra/**/*.yaml", "sql/**/*.md", "sql/**/*.sql")
_PACKAGE_TEXTS = ("stock_assets/**/*.html", "stock_assets/**/*.js", "stock_assets/universes/*.csv")
_PYTHON = ("stock_assets/**/*.py", "infra/**/*.py")


def folder_of(path: Path) -> str:
    """Return the package or folder under which the test reports a file."""
    return "/".join(path.relative_to(PROJECT).parts[:-1][:2]) or "."


SCANNED = sorted({path for pattern in (*_TEXTS, *_PACKAGE_TEXTS, *_PYTHON) for path in PROJECT.glob(pattern)})
_FOLDERS = sorted({folder_of(path) for path in SCANNED})


@pytest.mark.parametrize("folder", _FOLDERS)
def test_texts_use_no_forbidden_phrase(folder: str) -> None:
    found = {
        str(path.relative_to(PROJECT)): phrases
        for path in SCANNED
        if folder_of(path) == folder
        and (phrases := [match.group() for text in _texts(path) for match in _PATTERN.finditer(text)])
    }
    assert found == {}, "use the words of the glossary in docs/architecture.md"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-- on the row's\n-- own SHARE\n-- basis", ["SHARE basis"]),
        ("Mend the file. It is recommended.", ["Mend"]),
        ("The bells; setting asides; amended", []),
    ],
)
def test_phrases_are_found_as_whole_words_across_lines(text: str, found: list[str]) -> None:
    assert [match.group() for match in _PATTERN.finditer(_one_line(text))] == found


def _texts(path: Path) -> Iterator[str]:
    """Return the texts of a file that people may see: of Python code its strings, docstrings included."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        strings = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        yield from (_one_line(value) for value in strings if isinstance(value, str))
        return
    if path.name == "CHANGELOG.md":
        # It names what was renamed, as code.
        text = re.sub(r"`[^`]*`", "", text)
    yield _one_line(text)


def _one_line(text: str) -> str:
    """Join lines, without the marks of SQL and YAML comments, so that a phrase is found across a line break."""
    return " ".join(re.sub(r"^\s*(--|#)", " ", text, flags=re.MULTILINE).split())
