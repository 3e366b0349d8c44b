"""Settings of Python's interpreter with which a process of ours starts and runs faster.

Belongs here: what changes the whole process. Only programs call it (the command line, the definitions of Dagster's
processes), never a module that other programs import. Does not belong here: lazy imports, which each module has itself.
"""

import gc
import sys
from collections.abc import Sequence
from types import ModuleType

_OBJECTS_BEFORE_COLLECTION = 100_000
_YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS = 20, 100


def collect_garbage_rarely() -> None:
    """Search for unused reference cycles after 100,000 new objects, not after 700.

    The modules, classes and functions of the libraries stay until the end. Searching through them while they are
    imported took a tenth of the CPU time of a run.
    """
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, _YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS)


def use_pyarrow_without_pandas() -> None:
    """Let pyarrow convert lists without pandas, unless pandas is imported already.

    When pyarrow converts its first list it imports pandas if it is installed, to recognize a Series. That is a twelfth
    of the CPU time of a run, and this program has no Series. A later `to_pandas()` imports pandas as usual.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa  # noqa: PLC0415 (imports slowly; commands that only print help do not need it)

    sys.meta_path.insert(0, _NO_PANDAS)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(_NO_PANDAS)


class _NoPandas:
    """An importer that does not find pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002 (Python's signature)
        """Raise the error of a package that is not installed."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used for the conversion of lists", name=name)


_NO_PANDAS = _NoPandas()
