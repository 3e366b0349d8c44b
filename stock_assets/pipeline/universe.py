"""Read the universe that the settings describe: a file of this machine, of the package, or of the bucket.

Belongs here: where the file is. Does not belong here: its format (`core.universe`), its upload (`deployment`).
"""

from stock_assets.core.errors import SettingsError
from stock_assets.core.universe import Universe, parse_universe, read_universe
from stock_assets.settings import Settings

UNIVERSES_FOLDER = "artifacts/universes"
"""Folder of the bucket with universe files, which the pipeline may read only."""


def configured_universe(settings: Settings) -> Universe:
    """Read the universe of the settings.

    Raises:
        SettingsError: the file is missing, or invalid.
    """
    if not settings.universe_in_bucket:
        return read_universe(settings.symbols_file)
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects  # noqa: PLC0415 (as above)

    bucket = S3Objects(AwsAccess(**settings.aws_options), BucketFolder(settings.aws_bucket or "", ""))
    try:
        body = bucket.get(universe_key(settings.universe_name))
    except KeyError:
        name = settings.universe_name
        raise SettingsError(
            f"The file of the universe {name} is missing: {stored_universe_address(settings)}. Upload it with "
            f"`stock-assets aws deploy --universe {name}.csv`, or remove {name} from STOCK_ASSETS_AWS_UNIVERSES."
        ) from None
    return parse_universe(body, stored_universe_address(settings))


def universe_address(settings: Settings) -> str:
    """Return where the symbols are; empty for the file of the package."""
    if settings.universe_in_bucket:
        return stored_universe_address(settings)
    return str(settings.universe_file or "")


def stored_universe_address(settings: Settings) -> str:
    """Return the address of the universe file in the bucket."""
    return f"s3://{settings.aws_bucket}/{universe_key(settings.universe_name)}"


def universe_key(name: str) -> str:
    """Return the key of a universe file in the bucket."""
    return f"{UNIVERSES_FOLDER}/{name}.csv"
