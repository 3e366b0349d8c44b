"""Construct the backend from settings.

Belongs here: which backend the settings describe. Does not belong here: the backends (`backends`).

Each backend is imported in the function that constructs it: it needs large libraries (boto3, pyiceberg), and a process
needs one at most. Trino's client is an optional dependency.
"""

from typing import assert_never

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import SettingsError
from stock_assets.settings import AwsOptions, BackendName, Settings, read_trino_password

_MEGABYTE = 1024 * 1024


def construct_backend(settings: Settings) -> Backend:
    """Construct the backend of one universe.

    Raises:
        SettingsError: a setting or the library of the backend is missing.
    """
    match settings.backend:
        case BackendName.LOCAL:
            from stock_assets.backends.local.backend import LocalBackend  # noqa: PLC0415 (imports large libraries)

            return LocalBackend(settings.root, settings.memory_limit_mb, calls_root=settings.shared_root)
        case BackendName.AWS:
            return _athena_backend(settings, _lakehouse_options(settings))
        case BackendName.TRINO:
            return _trino_backend(settings, _lakehouse_options(settings))
    assert_never(settings.backend)


class _LakehouseOptions(AwsOptions):
    """Arguments that the Athena and Trino backends share."""

    bucket: str
    prefix: str
    calls_prefix: str
    scratch_prefix: str
    database: str
    kms_key: str


def _lakehouse_options(settings: Settings) -> _LakehouseOptions:
    if settings.aws_bucket is None or settings.aws_region is None:
        raise SettingsError(
            f"STOCK_ASSETS_BACKEND={settings.backend} needs STOCK_ASSETS_AWS_BUCKET and STOCK_ASSETS_AWS_REGION"
        )
    return _LakehouseOptions(
        **settings.aws_options,
        bucket=settings.aws_bucket,
        prefix=settings.data_prefix,
        calls_prefix=settings.shared_prefix,
        scratch_prefix=settings.scratch_prefix,
        # Each source and universe has its own databases too.
        database="_".join(filter(None, (settings.aws_database, settings.source, settings.universe_name))),
        kms_key=settings.aws_kms_key or "",
    )


def _athena_backend(settings: Settings, options: _LakehouseOptions) -> Backend:
    from stock_assets.backends.athena.backend import AthenaBackend  # noqa: PLC0415 (imports large libraries)

    # One folder for all universes, which one lifecycle rule of the bucket covers.
    results = settings.aws_results or f"s3://{options['bucket']}/{options['calls_prefix']}/results/"
    return AthenaBackend(
        **options,
        workgroup=settings.aws_workgroup,
        results="" if results == "workgroup" else results,
        scan_limit=settings.aws_scan_limit_mb * _MEGABYTE if settings.aws_scan_limit_mb else None,
        query_timeout_seconds=settings.aws_query_timeout_seconds,
        price_per_terabyte=settings.aws_price_per_tb,
    )


def _trino_backend(settings: Settings, options: _LakehouseOptions) -> Backend:
    try:
        from stock_assets.backends.trino.backend import TrinoBackend  # noqa: PLC0415 (needs an optional dependency)
    except ModuleNotFoundError as error:
        raise SettingsError(
            "STOCK_ASSETS_BACKEND=trino needs Trino's client: pip install 'stock-assets[trino]'"
        ) from error
    return TrinoBackend(
        **options,
        scan_limit=settings.trino_scan_limit_mb * _MEGABYTE if settings.trino_scan_limit_mb else None,
        query_timeout_seconds=settings.trino_query_timeout_seconds,
        url=str(settings.trino_url).rstrip("/"),
        user=settings.trino_user,
        password=read_trino_password,
        catalog=settings.trino_catalog,
        hive_catalog=settings.trino_hive_catalog,
    )
