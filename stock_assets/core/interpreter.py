"""Settings of Python's interpreter with which a process of ours starts and runs faster.

Belongs here: what changes the whole process. Only programs call it (the command line, the definitions of Dagster's
processes), never a module that other programs import. Does not belong here: lazy imports, which each module has itself.
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

_OBJECTS_BEFORE_COLLECTION = 100_000
_YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS = 20, 100


def collect_garbage_rarely() -> None:
    """Search for unused reference cycles after 100,000 new objects, not after 700.

    The modules, classes and functions of the libraries stay until the end. Searching through them while they are
    imported took a tenth of the CPU time of a run.
    """
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, _YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS)


def run_and_end(program: Callable[[], None]) -> None:
    """Run a program that ends with `sys.exit`, and end the process without destroying its objects.

    Destroying the modules, classes and functions of the libraries took a sixth of the CPU time of a run, and the system
    takes back their memory anyway. Until then everything ends as usual: Python waits for threads, calls the handlers of
    `atexit`, and writes what is buffered. After an unexpected error Python itself ends the process.
    """
    status: list[int] = []
    # Handlers are called in reverse order: the first one registered is the last one called.
    atexit.register(_end, status)
    try:
        program()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            status.append(ended.code or 0)
        raise
    status.append(0)


def _end(status: Sequence[int]) -> None:
    if not status:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            # None if the process was started without the stream.
            if stream is not None:
                stream.flush()
    except OSError:
        # Such as a pipe that nobody reads any more: Python tries again, reports the error and exits with 120.
        return
    os._exit(status[0])


def use_pyarrow_without_pandas() -> None:
    """Let pyarrow convert its first list while pandas cannot be found, unless pandas is imported already.

    pyarrow imports pandas then, if it is installed, to recognize a Series. That is a twelfth of the CPU time of a run,
    and this program has no Series. A later `to_pandas()` imports pandas as usual.
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
