"""The command `acknowledge`: an acknowledged warning is not shown by the next load."""

from pathlib import Path

import pytest

from stock_assets.core.errors import InvalidAcknowledgement
from stock_assets_tests.support.shell import Shell

JUMP = ("no_unexplained_jump", "AAPL", "2000-09-29")
LOAD = ("backfill", "2000-09-28", "2000-09-29")


def test_an_acknowledged_warning_is_not_shown_until_it_is_removed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert "AAPL 2000-09-29: -51.87%" in shell.run(*LOAD).stderr

    output = shell.run("acknowledge", *JUMP, "--reason", "profit warning [1]").stdout
    assert output == "Acknowledged: no_unexplained_jump AAPL 2000-09-29: profit warning [1]\n"
    assert "no_unexplained_jump" not in shell.run(*LOAD).stderr
    listed = shell.run("acknowledge").stdout
    assert all(word in listed for word in (*JUMP, "profit warning [1]"))

    shell.run("acknowledge", *JUMP, "--remove")
    assert "no_unexplained_jump" not in shell.run("acknowledge").stdout
    assert "AAPL 2000-09-29: -51.87%" in shell.run(*LOAD).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense", *JUMP[1:], "--reason", "x"), "'nonsense' is not a warning. Only warnings can be acknowledged"),
        (("prices_positive", *JUMP[1:], "--reason", "x"), "'prices_positive' is not a warning"),
        ((JUMP[0], "../x", JUMP[2], "--reason", "x"), "'../X' is not a ticker"),
        (JUMP, "An acknowledgement needs a reason"),
        ((*JUMP, "--reason", "  "), "An acknowledgement needs a reason"),
        ((*JUMP, "--remove"), "no_unexplained_jump AAPL 2000-09-29 is not acknowledged"),
    ],
)
def test_an_invalid_acknowledgement_is_rejected_with_the_reason(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidAcknowledgement) as rejected:
        Shell(tmp_path).invoke("acknowledge", *arguments)
    assert message in str(rejected.value)


def test_a_finding_needs_its_symbol_and_session(tmp_path: Path) -> None:
    assert "Name the warning" in Shell(tmp_path).run("acknowledge", "no_unexplained_jump", code=2).stderr
