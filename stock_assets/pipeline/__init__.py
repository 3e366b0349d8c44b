"""The pipeline as one object, and the construction of its parts from settings.

Belongs here: constructing backend, source, alert channels and the like; the steps as methods of `Pipeline`. Does not
belong here: reading the environment (`settings`), how a step works (its package), when it runs (`orchestration`).

`Pipeline` is imported when it is first used: the Lambda function constructs a source, and has not the libraries of the
steps.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stock_assets.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]

if not TYPE_CHECKING:  # mypy would accept any name otherwise

    def __getattr__(name: str) -> object:
        """Import the class when it is first used."""
        if name != "Pipeline":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from stock_assets.pipeline.pipeline import Pipeline  # noqa: PLC0415 (see above)

        return Pipeline
