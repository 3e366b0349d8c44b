"""Dagster's web server as a process of its own, asked as its pages ask it."""

import json
import urllib.request
from typing import Any

from stock_assets_tests.support.real_daemon import Station, free_port, wait_for


class WebServer:
    """The web server of a station, asked as its pages ask it."""

    def __init__(self, made: Station) -> None:
        self.station = made
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        made.start("dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(made.workspace))
        wait_for(self._is_up, "web server")

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Send GraphQL; give the data."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 (fixed scheme)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (as above)
            found = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5) as answer:  # noqa: S310 (fixed scheme)
                return bool(answer.status == 200)
        except OSError:
            return False
