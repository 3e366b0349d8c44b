"""Daily stock prices: requested, audited, published.

In a notebook or script:

    import stock_assets

    stock_assets.tables()
    stock_assets.read("daily_prices", symbols=["IBM"], start="2012-01-03")
    stock_assets.query("SELECT symbol, MAX(trade_date) AS newest FROM published.daily_prices GROUP BY symbol")

The packages follow the path of the data: `ingest` stores raw responses, `stage` converts them to typed rows, `audit`
checks the rows, `publish` commits them, `serve` reads what is published. `pipeline` constructs their common parts from
the settings, and `orchestration` runs them with Dagster.

The names below are imported when they are first used, so that `import stock_assets` imports no large library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stock_assets.api import query, read, tables
    from stock_assets.orchestration.component import DailyPrices
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

__all__ = ["DailyPrices", "Pipeline", "Settings", "query", "read", "tables"]

_MODULES = {
    "DailyPrices": "stock_assets.orchestration.component",
    "Pipeline": "stock_assets.pipeline",
    "Settings": "stock_assets.settings",
    "query": "stock_assets.api",
    "read": "stock_assets.api",
    "tables": "stock_assets.api",
}


if not TYPE_CHECKING:  # mypy would accept any name otherwise

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names too, for completion in a notebook."""
    return sorted({*globals(), *__all__})
