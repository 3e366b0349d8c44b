"""The health check asks a code server on a real port, and imports no Dagster."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from stock_assets.orchestration.instance.code_server_health import SERVICE, is_serving
from stock_assets_tests.support.ports import free_port
from stock_assets_tests.support.real_daemon import station, wait_for

MODULE = "stock_assets.orchestration.instance.code_server_health"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def servicer(port: int) -> Iterator[HealthServicer]:
    """What Dagster's code server reports its health with, on a real port."""
    servicer = HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    yield servicer
    server.stop(None)


def test_a_code_server_is_healthy_while_it_serves(port: int, servicer: HealthServicer) -> None:
    assert not is_serving(port), "a server without Dagster's service"
    servicer.set(SERVICE, HealthCheckResponse.SERVING)
    assert is_serving(port)
    servicer.set(SERVICE, HealthCheckResponse.NOT_SERVING)
    assert not is_serving(port)


def test_without_a_server_the_exit_code_is_1(port: int) -> None:
    done = subprocess.run([sys.executable, "-m", MODULE, str(port)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_it_imports_no_dagster() -> None:
    """Importing it takes ten times as long as the check."""
    names = f"import sys, {MODULE}; print([name for name in sys.modules if name.partition('.')[0] == 'dagster'])"
    shown = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.daemon
def test_dagsters_own_code_server_is_healthy(port: int, tmp_path: Path) -> None:
    with station(tmp_path, {}) as made:
        made.start("dagster", "api", "grpc", "--port", str(port), "--module-name", "stock_assets.definitions")
        wait_for(lambda: is_serving(port), "healthy code server")
        check = [sys.executable, "-m", MODULE, str(port)]
        assert subprocess.run(check, check=False).returncode == 0
