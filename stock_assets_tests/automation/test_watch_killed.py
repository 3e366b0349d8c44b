"""Killed runs: one that Dagster repeats is not told; one that nobody can repeat is."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.utils import make_new_run_id

from stock_assets.alerts.channels import LogFile
from stock_assets.automation.watch import Watch, alert_sensor
from stock_assets.homes.interfaces import Home
from stock_assets_tests.support.path import FIVE
from stock_assets_tests.support.scenes import calm_source

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("stock_assets.definitions"), "__repository__"), "daily_prices"
)


@pytest.mark.parametrize(("origin", "told"), [(ORIGIN, False), (None, True)], ids=["daemon", "command line"])
def test_only_a_killed_run_that_nobody_repeats_is_told(
    home: Home, tmp_path: Path, origin: RemoteJobOrigin | None, *, told: bool
) -> None:
    """Dagster marks both as to be repeated, and then finds that the latter has no origin to start it from."""
    log = tmp_path / "alerts.log"
    sensor = alert_sensor(Watch(FIVE, [LogFile(log)], "http://localhost:3000"))
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(
            job_name="daily_prices",
            run_id=make_new_run_id(),
            status=dg.DagsterRunStatus.FAILURE,
            tags={WILL_RETRY_TAG: "true"},
            remote_job_origin=origin,
        )
        instance.add_run(run)
        with dg.build_sensor_context(instance=instance, resources={"home": home, "source": calm_source()}) as context:
            sensor(context)
    assert log.exists() is told
