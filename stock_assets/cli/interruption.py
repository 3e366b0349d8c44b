"""What a command does when it is interrupted: SIGINT (Ctrl-C), SIGTERM, or SIGHUP.

Belongs here: recognising an interruption, its message and exit code. Does not belong here: postponing signals
(`core.signals`), ending the run in Dagster, which Dagster does.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import FrameType

from stock_assets.cli.output import print_error
from stock_assets.core.clock import utc_now
from stock_assets.core.signals import SIGNALS


class Interrupted(BaseException):
    """The command was interrupted; no Exception, like KeyboardInterrupt, so that nothing handles it as an error.

    Its text, if it has one, is printed instead of what was published.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Run a command; if a signal interrupts it, print the consequence and exit with 128 and the signal's number."""
    started = utc_now()
    # Dagster replaces the handlers during a run, and does not say which signal it received.
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        # nohup and the shell's background jobs ignore signals.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        print_error(str(error) or _message(started))
        raise SystemExit(128 + _received(reader)) from None
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # During a run, Dagster replaces the handler of SIGINT, so that the run ends in Dagster too.
    current = signal.getsignal(signal.SIGINT)
    if callable(current) and current is not _interrupt:
        current(number, frame)
        return
    raise Interrupted


def _received(reader: int) -> int:
    with suppress(BlockingIOError):
        return next((number for number in os.read(reader, 1000) if number in SIGNALS), signal.SIGINT)
    return signal.SIGINT


def _message(started: datetime) -> str:
    """Return whether rows were published before the interruption, and what to do."""
    from stock_assets.core.tables import PUBLISHED_TABLES
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    try:
        warehouse = Pipeline.from_settings(Settings.from_env()).backend.warehouse
        changed = [
            f"{table.full_name} at {snapshot.committed_at:%H:%M:%S} UTC"
            for table in PUBLISHED_TABLES
            for snapshot in warehouse.history(table)[:1]
            if snapshot.committed_at >= started
        ]
    except Exception as error:  # noqa: BLE001 (the interruption is reported in any case)
        return f"Interrupted. What was published cannot be read ({type(error).__name__}). Run the same command again."
    if changed:
        return f"Interrupted. Published before: {', '.join(changed)}. Run the same command again for the rest."
    return "Interrupted. Nothing was published. Run the same command again."
