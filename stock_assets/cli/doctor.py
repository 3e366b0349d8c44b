"""The command `doctor`: check settings, key, universe, connections, versions and disk space.

Belongs here: the checks, each of which is one line, and changes nothing. Does not belong here: the state of the data
(`status`), damaged files (`data_folder`).
"""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from stock_assets.cli.output import print_error, print_line

if TYPE_CHECKING:
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

_LIBRARIES = ("stock-assets", "dagster", "duckdb", "pyiceberg", "pyarrow", "pandas", "sqlglot")
_LEAST_FREE_GB = 1.0
_SECONDS = 10


def doctor() -> None:
    """Check settings, key, universe, connections, versions and disk space; no call of the quota is used."""
    from stock_assets.core.errors import StockAssetsError
    from stock_assets.core.text import plural
    from stock_assets.pipeline import Pipeline
    from stock_assets.pipeline.universe import universe_address
    from stock_assets.settings import Settings

    print_line(f"{'versions':12}Python {platform.python_version()}, {', '.join(_versions())}")
    # An invalid setting or universe is the error of the command itself: nothing else can be checked.
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    changed = ", ".join(sorted(settings.model_fields_set))
    print_line(f"{'settings':12}source {settings.source}, backend {settings.backend}; set: {changed or 'nothing'}")
    symbols = plural(len(pipeline.universe.symbols), "symbol")
    print_line(f"{'universe':12}{symbols} of {universe_address(settings) or 'the package'}")
    checks: dict[str, Callable[[Settings, Pipeline], str]] = {
        "disk": _disk,
        "backend": _backend,
        "key": _key,
        "vendor": _vendor,
    }
    failed = False
    for name, check in checks.items():
        try:
            print_line(f"{name:12}{check(settings, pipeline)}")
        except (StockAssetsError, OSError) as error:
            failed = True
            print_error(f"{name:12}{error}")
    if failed:
        raise typer.Exit(code=1)


def _versions() -> Iterator[str]:
    return (f"{name} {version(name)}" for name in _LIBRARIES)


def _disk(settings: "Settings", pipeline: "Pipeline") -> str:  # noqa: ARG001 (the same parameters for all checks)
    from stock_assets.core.errors import StockAssetsError
    from stock_assets.settings import BackendName

    if settings.backend is not BackendName.LOCAL:
        return "not used: the data are in a bucket"
    folder = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    if free < _LEAST_FREE_GB:
        raise StockAssetsError(
            f"{free:.1f} GB are free for {settings.root}, less than {_LEAST_FREE_GB:.0f} GB. Free space, or set "
            "STOCK_ASSETS_DATA_DIR to a folder on another disk."
        )
    if not os.access(folder, os.W_OK):
        raise StockAssetsError(f"{folder} cannot be written. Change its permissions, or set STOCK_ASSETS_DATA_DIR.")
    state = "" if folder == settings.root else ", which the first load creates"
    return f"{free:.1f} GB free for {settings.root}{state}"


def _backend(settings: "Settings", pipeline: "Pipeline") -> str:  # noqa: ARG001 (as above)
    from stock_assets.core.tables import DAILY_PRICES
    from stock_assets.core.text import plural

    with pipeline.backend.warehouse.connect_to_read() as sql:
        [row] = sql.query(f"SELECT COUNT(*) AS n FROM {sql.name(DAILY_PRICES).value}").to_pylist()  # noqa: S608 (a name)
    return f"{plural(row['n'], 'published row')} in {pipeline.backend.warehouse.location(DAILY_PRICES)}"


def _key(settings: "Settings", pipeline: "Pipeline") -> str:  # noqa: ARG001 (as above)
    from stock_assets.core.errors import StockAssetsError
    from stock_assets.settings import API_KEY_VARIABLE, SourceName, read_api_key

    if settings.source is SourceName.RECORDED:
        return "not needed by the recorded sample"
    if settings.aws_api_key_secret is not None:
        return f"read from the secret {settings.aws_api_key_secret}"
    if not read_api_key():
        raise StockAssetsError(f"{API_KEY_VARIABLE} is not set, so no price can be requested. Set it to your API key.")
    return f"{API_KEY_VARIABLE} is set, plan {settings.alpha_vantage_plan}"


def _vendor(settings: "Settings", pipeline: "Pipeline") -> str:  # noqa: ARG001 (as above)
    import socket

    from stock_assets.core.errors import StockAssetsError
    from stock_assets.settings import SourceName

    if settings.source is SourceName.RECORDED:
        return "not needed by the recorded sample"
    address = settings.alpha_vantage_base_url
    host, port = address.host or "", address.port or 443
    try:
        # A connection without a request, which would use a call.
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        raise StockAssetsError(
            f"{host}:{port} cannot be reached ({error}). Check the network, the firewall and "
            "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL."
        ) from error
    return f"{host}:{port} accepts connections"
