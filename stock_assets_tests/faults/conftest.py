"""The table of results, printed at the end of a test run."""

import pytest

from stock_assets_tests.faults.table import Tally

_TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """The results of this test run."""
    return pytestconfig.stash.setdefault(_TALLY, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    counted = config.stash.get(_TALLY, None)
    if counted is not None:
        terminalreporter.section("faults")
        for line in counted.lines():
            terminalreporter.line(line)
