"""Settings from a `.env` file, and data folders that are found from another working directory."""

import os
from pathlib import Path

import pytest

from stock_assets.backends.layout import LAYOUT_KEY
from stock_assets.core.env_file import find_upwards
from stock_assets.core.errors import SettingsError
from stock_assets.settings import API_KEY_VARIABLE, Settings, SourceName, read_api_key


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `.env`, and an empty folder below it as the working directory."""
    monkeypatch.delenv("STOCK_ASSETS_ENV_FILE")
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    (tmp_path / ".env").write_text(
        "# comment\nSTOCK_ASSETS_SOURCE=alpha_vantage\nexport ALPHAVANTAGE_API_KEY='K$1'\n"
        "STOCK_ASSETS_UNIVERSE=my.csv\n"
        "STOCK_ASSETS_CLOSURES=2026-12-09\nSTOCK_ASSETS_UI_URL=\nOTHER_TOOL=1\n",
        encoding="utf-8",
    )
    below = tmp_path / "notebooks" / "new"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path


def test_a_file_in_a_parent_sets_what_the_environment_does_not_set(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_env()
    assert settings.source is SourceName.ALPHA_VANTAGE
    assert settings.universe == project / "my.csv"
    assert settings.data_dir == project / "data"
    assert str(settings.ui_url) == "http://localhost:3000/"
    assert [str(day) for day in settings.closures] == ["2026-12-09"]
    assert read_api_key() == "K$1"
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "recorded")
    monkeypatch.setenv(API_KEY_VARIABLE, "other")
    assert Settings.from_env().source is SourceName.RECORDED
    assert read_api_key() == "other"
    assert list(Path.cwd().iterdir()) == []


def test_an_unknown_or_invalid_variable_of_the_file_is_an_error(project: Path) -> None:
    (project / ".env").write_text("STOCK_ASSETS_SORCE=recorded\nSTOCK_ASSETS_MIN_COVERAGE=7\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_SORCE is not a setting; did you mean STOCK_ASSETS_SOURCE\?"):
        Settings.from_env()
    (project / ".env").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"The settings file .*\.env cannot be read"):
        Settings.from_env()


def test_the_nearest_data_folder_of_the_source_is_found(project: Path) -> None:
    (project / ".env").unlink()
    assert Settings.from_env().data_dir == Path("data")
    for source, folder in (("recorded", project), ("alpha_vantage", Path.cwd())):
        layout = folder / "data" / source / LAYOUT_KEY
        layout.parent.mkdir(parents=True)
        layout.touch()
    assert Settings.from_env().data_dir == project / "data"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for folder in (tmp_path, tmp_path / "a"):
        (folder / ".env").touch()
    os.chown(tmp_path / "a" / ".env", 12345, 12345)
    assert find_upwards(tmp_path / "a", ".env") == tmp_path / ".env"
