"""The live page: current data, read-only, for this machine only; it ends with the process that started it."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from stock_assets.backends.interface import Backend
from stock_assets.serve.report.live import HOST, LivePage, application, listen
from stock_assets_tests.support.browser import browser
from stock_assets_tests.support.ports import free_port
from stock_assets_tests.support.real_daemon import wait_for
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, wavy_source

# Prints the id of the page's process, and ends when its input ends.
PARENT = """
import subprocess, sys
page = subprocess.Popen([sys.executable, "-m", "stock_assets", "live-page", "--port", sys.argv[1]])
print(page.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def served(page: LivePage) -> Iterator[int]:
    """Serve a page in a thread; yield its port."""
    listening = listen(0)
    server = uvicorn.Server(uvicorn.Config(application(page), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def status(port: int, method: str, path: str, host: str = HOST) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=180)
    connection.request(method, path, headers={"Host": host})
    return connection.getresponse().status


def test_the_page_is_rendered_again_only_after_a_change(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    page = LivePage(scene)
    assert "Nothing is published yet." in page.html()
    scene.run(TWO_WEEKS[:2])
    first = page.html()
    assert f'data-version="{page.version()}"' in first
    assert page.html() is first
    scene.run(TWO_WEEKS[2:3])
    assert f" to {TWO_WEEKS[2]}." in page.html()


def test_the_page_is_read_only_and_for_this_machine(backend: Backend) -> None:
    page = LivePage(Scene(backend, wavy_source()))
    with served(page) as port:
        with urllib.request.urlopen(f"http://{HOST}:{port}/version", timeout=180) as response:
            assert response.read().decode() == page.version() == "none none"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert status(port, "GET", "/") == 200
        assert status(port, "GET", "/", host="rebound.example.org") == 400
        assert status(port, "POST", "/") == 405
        assert status(port, "GET", "/docs") == 404
        with pytest.raises(OSError, match="in use"):
            listen(port)
    assert HOST == "127.0.0.1"


@pytest.mark.browser
def test_an_open_page_updates_after_a_publish(backend: Backend) -> None:
    scene = Scene(backend, wavy_source())
    scene.run(TWO_WEEKS[:5])
    with served(LivePage(scene)) as port, browser(1280, 900, online=True) as page:
        page.visit(f"http://{HOST}:{port}/#IBM&type=candles")
        page.wait_for("document.body.dataset.ready === 'yes'")
        assert f"IBM, {TWO_WEEKS[0]} to {TWO_WEEKS[4]}: 5 sessions" in page.run(
            "return document.getElementById('note').textContent"
        )
        scene.run(TWO_WEEKS[5:6])
        page.wait_for(f"document.getElementById('note').textContent.includes('to {TWO_WEEKS[5]}: 6 sessions')")
        assert page.run("return document.body.dataset.drawn") == "IBM all"
        assert page.run("return document.querySelector('[name=type]:checked').value") == "candles"
        assert page.console() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_page_without_a_message_about_publishing(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stock_assets", "live-page", "--port", "0"],
        env={"PATH": os.environ["PATH"], "STOCK_ASSETS_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as page:
        assert page.stdout is not None
        port = int(page.stdout.readline().rpartition(":")[2])
        assert status(port, "GET", "/version") == 200
        page.send_signal(number)
        _, errors = page.communicate(timeout=180)
    assert page.returncode == 0
    assert "Interrupted" not in errors


@pytest.mark.daemon
def test_the_page_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    port = str(free_port())
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, port],
        env={"PATH": os.environ["PATH"], "STOCK_ASSETS_DATA_DIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == f"Live page with charts: http://127.0.0.1:{port}\n"
        assert status(int(port), "GET", "/") == 200
        parent.kill()
        parent.wait()
        wait_for(
            lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text(), "end of the page"
        )
