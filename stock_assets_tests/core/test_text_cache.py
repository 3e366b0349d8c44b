"""The cache of translations: same text as without it, shared by processes, and never in the way."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.core import queries, text_cache
from stock_assets.core.errors import InvalidQuery
from stock_assets.core.queries import parse_query, transpile
from stock_assets.core.text_cache import MAX_FILES, cache_folder, cached_text

SELECT = "SELECT DATE '2012-03-01' AS a, 'load_20261125t000000_ab' AS b, \"c\" FROM d WHERE e = DATE '2012-03-02'"
KIND = "texts"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    transpile.cache_clear()
    return cache_folder(KIND)


def translated(select: str) -> str:
    """Translate without the cache."""
    return parse_query(select).sql(dialect="duckdb", comments=False)


def never(*_: object) -> str:
    raise AssertionError("computed again")


def test_a_statement_is_translated_once_for_all_sessions_and_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transpile(SELECT) == translated(SELECT)
    other = SELECT.replace("2012-03-01", "2013-01-31").replace("000000_ab", "111111_cd")
    expected = translated(other)
    assert "2013-01-31" in expected
    assert "load_20261125t111111_cd" in expected
    monkeypatch.setattr(queries, "parse_query", never)
    assert transpile(other) == expected


@pytest.mark.parametrize(
    "select",
    [
        "SELECT DATE '9001-12-31' AS looks_like_a_mask, DATE '2012-03-01' AS b",
        "SELECT 'load_9001-12-31' AS looks_like_a_mask, DATE '2012-03-01' AS b",
        "SELECT 1 AS \"DATE '2012-03-01'\"",
        "SELECT 'DATE ''2012-03-01''' AS text",
        "SELECT a FROM b WHERE c IN ("
        + ", ".join(f"DATE '{date(2012, 1, 1) + timedelta(n)}'" for n in range(1001))
        + ")",
        "SELECT date_format(a, '%Y-%m-%d') AS b FROM c WHERE d > date '2012-03-01' -- DATE '2012-03-01'",
    ],
)
def test_texts_that_look_like_masks_are_translated_as_they_are(select: str) -> None:
    expected = translated(select)
    assert [transpile(select), transpile.__wrapped__(select)] == [expected, expected]


def test_an_error_shows_the_text_as_it_was_written_each_time() -> None:
    for _ in range(2):
        with pytest.raises(InvalidQuery, match="DATE '2012-03-01'"):
            transpile("SELECT DATE '2012-03-01' FROM")


def test_another_version_of_the_translator_translates_again(monkeypatch: pytest.MonkeyPatch) -> None:
    transpile(SELECT)
    transpile.cache_clear()
    monkeypatch.setattr(queries, "_program", lambda: "another version")
    monkeypatch.setattr(queries, "parse_query", never)
    with pytest.raises(AssertionError, match="computed again"):
        transpile(SELECT)


def test_a_damaged_file_is_computed_and_written_again(folder: Path) -> None:
    assert cached_text(KIND, ["a"], lambda: "text é") == "text é"
    [file] = folder.iterdir()
    for damaged in (b"", b"\0" * 80, file.read_bytes()[:-1], b"\xff\xfe"):
        file.write_bytes(damaged)
        assert cached_text(KIND, ["a"], lambda: "new") == "new"
        assert cached_text(KIND, ["a"], never) == "new"


@pytest.mark.parametrize("obstacle", ["file", "no permission"])
def test_a_folder_that_cannot_be_written_costs_only_time(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle == "file":
        (tmp_path / "stock_assets").write_text("in the way")
    else:
        # The superuser may write anywhere.
        monkeypatch.setattr(Path, "mkdir", refuse(PermissionError("read-only")))
    texts = iter(["one", "two"])
    assert [cached_text(KIND, ["a"], lambda: next(texts)) for _ in range(2)] == ["one", "two"]


def refuse(error: OSError) -> Callable[..., None]:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it


def test_the_oldest_files_are_deleted(folder: Path) -> None:
    for number in range(MAX_FILES):
        cached_text(KIND, [str(number)], lambda: "text")
    oldest = min(folder.iterdir())
    os.utime(oldest, (1, 1))
    cached_text(KIND, ["one more"], lambda: "text")
    assert len(list(folder.iterdir())) == MAX_FILES
    assert not oldest.exists()


def write_many(cache: str, number: int) -> None:
    os.environ["XDG_CACHE_HOME"] = cache
    for repetition in range(200):
        text = f"{repetition % 7}" * 50_000
        assert cached_text(KIND, [text[0]], partial(str, text)) == text, number
        if repetition % 3 == 0:
            for file in cache_folder(KIND).iterdir():
                file.unlink(missing_ok=True)


def test_processes_share_the_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(str(tmp_path), number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert not list(cache_folder(KIND).glob("*.*"))


def test_a_cached_translation_needs_no_parser(tmp_path: Path) -> None:
    code = (
        "import sys; from stock_assets.core.queries import transpile; "
        f"print(transpile({SELECT!r})); print('sqlglot' in sys.modules)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    outputs = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert [output.splitlines() for output in outputs] == [
        [translated(SELECT), "True"],
        [translated(SELECT), "False"],
    ]
    assert text_cache.MAX_FILES > len(list(cache_folder("duckdb").iterdir())) > 0
