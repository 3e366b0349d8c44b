"""Construct the pipeline for those who only read: notebooks, and the commands that read published tables.

Belongs here: the error of a reader whose settings lead to no data. Does not belong here: reading (`serve`).
"""

from stock_assets.core.errors import NoData
from stock_assets.pipeline.pipeline import Pipeline
from stock_assets.settings import BackendName, Settings, environment_variable


def pipeline_to_read(settings: Settings) -> Pipeline:
    """Construct the pipeline, whose data must exist: in another folder, a reader would find no rows.

    Raises:
        NoData: the data folder of the local backend does not exist; the message says where to look.
        SettingsError: as `Pipeline.from_settings`.
    """
    pipeline = Pipeline.from_settings(settings)
    # A path that is a file is an error of its own.
    absent = not settings.root.exists() and not settings.data_dir.is_file()
    if settings.backend is BackendName.LOCAL and absent:
        parents = "" if settings.data_dir.is_absolute() else ", nor do the parents of the working directory"
        raise NoData(
            f"No data of the source {settings.source} exist: the folder {settings.root} does not exist{parents}. "
            f"Change to the folder that contains your data, or set {environment_variable('data_dir')}. To load data "
            "here: stock-assets backfill FIRST LAST"
        )
    return pipeline
