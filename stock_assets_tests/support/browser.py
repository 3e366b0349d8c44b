"""Headless Chromium for tests, offline by default. Without Chromium a test is skipped."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 180
_OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}


class Browser:
    """One page at one size."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a file and wait until its script has drawn all charts."""
        self.visit(page.absolute().as_uri() + fragment)
        self.wait_for("document.body.dataset.ready === 'yes'")

    def load(self, page: Path) -> None:
        """Load a file without waiting for its script."""
        self._driver.get(page.absolute().as_uri())

    def visit(self, url: str) -> None:
        """Load an address."""
        self._driver.get(url)

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition is true."""
        WebDriverWait(self._driver, PATIENCE_SECONDS).until(lambda driver: driver.execute_script(f"return {condition}"))

    def run(self, script: str) -> Any:  # noqa: ANN401 (the result of any script)
        """Run JavaScript in the page."""
        return self._driver.execute_script(script)

    def press(self, keys: str) -> None:
        """Press keys in the focused element."""
        self._driver.switch_to.active_element.send_keys(keys)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Send a mouse event at a position in the window: `mouseMoved`, `mousePressed` or `mouseReleased`."""
        pressed = 0 if kind == "mouseMoved" else 1
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": pressed}
        self._driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def download_into(self, folder: Path) -> None:
        """Save downloads in a folder."""
        self._driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def accessibility_problems(self) -> list[str]:
        """Return what axe-core finds in the page by the rules of WCAG 2.1 AA."""
        self.run(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        found = self._driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})"
            # A rule that raised an error is listed as incomplete, with a stack.
            ".then((result) => done([...result.violations, ...result.incomplete.filter((one) => one.stack)]), "
            "(error) => done(String(error)))"
        )
        assert isinstance(found, list), found
        return [
            f"{one['id']}: {one.get('message', one.get('help'))}: {node['html'][:200]}"
            for one in found
            for node in one["nodes"] or [{"html": ""}]
        ]

    def console(self) -> list[str]:
        """Return the messages in the console since the last call."""
        return [str(entry["message"]) for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def type(self, selector: str, text: str) -> None:
        """Replace the text of the last field that matches a selector."""
        field = self._driver.find_elements(By.CSS_SELECTOR, selector)[-1]
        field.send_keys(f"{Keys.CONTROL}a")
        field.send_keys(f"{Keys.NULL}{text}{Keys.ENTER}")

    def screenshot(self) -> bytes:
        """Return the whole page as a PNG."""
        found = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        return base64.b64decode(found["data"])

    def media(self, name: str) -> None:
        """Lay the page out for a medium, such as `print`."""
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": name})

    def pdf(self) -> bytes:
        """Return the printed page as a PDF."""
        return base64.b64decode(self._driver.execute_cdp_cmd("Page.printToPDF", {})["data"])


@contextmanager
def browser(
    width: int, height: int, *, dark: bool = False, script: bool = True, online: bool = False
) -> Iterator[Browser]:
    """Start Chromium with a window size; skip the test if it is not installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_script_timeout(PATIENCE_SECONDS)
    try:
        _set_up(started, width, height, dark=dark, script=script)
        if not online:
            started.execute_cdp_cmd("Network.emulateNetworkConditions", _OFFLINE)
        yield Browser(started)
    finally:
        started.quit()


def _set_up(driver: webdriver.Chrome, width: int, height: int, *, dark: bool, script: bool) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})


def colours(png: bytes) -> int:
    """Return the number of different colours of a picture."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    return len(picture.getcolors(picture.width * picture.height) or [])
