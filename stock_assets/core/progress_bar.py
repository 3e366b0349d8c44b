"""DuckDB's progress bar, which our connections do not show.

Belongs here: the setting, for each place that opens DuckDB and runs long statements.
"""

from contextlib import suppress

import duckdb


def hide_progress_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Let DuckDB print no progress bar: it takes a spawned process for an interactive one, and prints to its output."""
    # In a notebook without ipywidgets it prints nothing, and refuses the setting.
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar=false")
