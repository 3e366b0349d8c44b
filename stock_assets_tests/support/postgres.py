"""A PostgreSQL server of the tests' own, for the production instance and the container image.

Belongs here: starting and stopping it, and databases. Does not belong here: what Dagster stores in it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from stock_assets_tests.support.ports import free_port


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a server as an ordinary user: PostgreSQL does not run as root. Yield its address without a database."""
    pytest.importorskip("dagster_postgres", reason="pip install 'stock-assets[aws]'")
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="stock_assets_pg_", dir="/tmp"))  # the path of a socket must be short
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    port = free_port()
    if as_user:
        shutil.chown(folder, "postgres")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(folder / "data")]
    try:
        subprocess.run([*control, "initdb", "-s", "-o", "-U stock -A trust"], check=True, cwd=folder)
        subprocess.run(
            [*control, "start", "-w", "-t", "300", "-s", "-l", str(folder / "log"), "-o", options],
            check=True,
            cwd=folder,
        )
        yield f"postgresql+psycopg2://stock@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "stop", "-m", "immediate", "-s"], check=False, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """Return the address of an empty database."""
    return empty_database(postgres_server)


def empty_database(server: str) -> str:
    """Create a database and return its address."""
    name = f"db_{uuid4().hex}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"
