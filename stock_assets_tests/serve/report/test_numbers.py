"""The promised limits for 20 symbols and 10 years: time to draw, size, time to open."""

from pathlib import Path

import pytest

from benchmarks.report import draw_seconds, made_up_home, open_seconds


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Path]:
    folder = tmp_path_factory.mktemp("numbers")
    home, file = made_up_home(folder / "home"), folder / "report.html"
    return draw_seconds(home, file), file


@pytest.mark.slow
def test_it_is_drawn_in_five_seconds_and_is_three_megabytes_at_most(drawn: tuple[float, Path]) -> None:
    seconds, file = drawn
    assert seconds < 5
    assert file.stat().st_size < 3_000_000


@pytest.mark.slow
@pytest.mark.browser
def test_it_opens_in_two_seconds(drawn: tuple[float, Path]) -> None:
    assert open_seconds(drawn[1]) < 2
