"""The typed error of a statement that DuckDB could not run.

Belongs here: its text. Does not belong here: running statements (`warehouse`, `staged_files`).
"""

from stock_assets.core.errors import QueryFailed

_OUT_OF_MEMORY = "Out of Memory Error"
"""Start of DuckDB's message; if the rows leave DuckDB as Arrow batches, the error has another class."""


def query_failed(error: Exception, statement: str) -> QueryFailed:
    """Return the error of a statement; if the memory was not sufficient, it names the setting."""
    remedy = ""
    if _OUT_OF_MEMORY in str(error):
        remedy = "\nSet STOCK_ASSETS_MEMORY_LIMIT_MB to more memory, or load fewer sessions at a time."
    return QueryFailed(f"DuckDB could not run a statement: {error}{remedy}\n{statement}")
