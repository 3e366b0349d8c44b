"""One process of a machine publishes at a time; the lock ends with its process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets.backends.local.publish_lock import publishing
from stock_assets.core.errors import ConcurrentPublish

HOLD = """
import sys
from pathlib import Path
from stock_assets.backends.local.publish_lock import publishing
with publishing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_publish_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    pauses: list[float] = []
    first = publishing(tmp_path)
    first.__enter__()

    def end_the_first(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            first.__exit__(None, None, None)

    with publishing(tmp_path, sleep=end_the_first):
        assert len(pauses) == 3


def test_a_publish_that_waited_too_long_names_the_other_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        publishing(tmp_path),
        pytest.raises(ConcurrentPublish, match=f"process {os.getpid()} has been publishing into {tmp_path} for more"),
        publishing(tmp_path, longest_seconds=0.2, sleep=lambda _: None),
    ):
        pass

    assert caplog.messages == [f"Process {os.getpid()} publishes into {tmp_path}; this publish waits until it ends."]


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConcurrentPublish, match=str(holder.pid)), publishing(tmp_path, longest_seconds=0):
        pass
    holder.kill()
    holder.communicate()

    with publishing(tmp_path, longest_seconds=0):
        pass
