"""The Python blocks of docs/use-the-data.md run, in their order, on recorded data."""

import re
from datetime import date
from pathlib import Path

import pytest

from stock_assets import Pipeline, Settings
from stock_assets.core.calendar import sessions_between
from stock_assets.serve.views import store_views

PAGE = Path(__file__).parent.parent / "docs" / "use-the-data.md"
SESSIONS = sessions_between(date(2013, 2, 25), date(2013, 3, 1))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose data folder has a published week."""
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline.from_settings(Settings())
    pipeline.fetch(SESSIONS)
    pipeline.stage(SESSIONS)
    pipeline.publish(SESSIONS)
    store_views(pipeline.backend)
    return tmp_path


def test_the_blocks_run_and_read_the_published_rows(folder: Path) -> None:
    files = {file: file.stat().st_mtime_ns for file in (folder / "data").rglob("*") if file.is_file()}
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)  # noqa: S102 (the project's own page)
    week = {session.isoformat() for session in SESSIONS}
    for name in ("prices", "trends", "arrow", "frame"):
        found = eval(f"{{str(day)[:10] for day in {name}['trade_date'].{_TO_LIST.get(name, 'to_list')}()}}", names)  # noqa: S307 (as above)
        assert found == week, name
    assert {file: file.stat().st_mtime_ns for file in (folder / "data").rglob("*") if file.is_file()} == files


_TO_LIST = {"arrow": "to_pylist"}
