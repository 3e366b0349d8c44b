"""Dagster's web server in a separate process, with the GraphQL requests that its pages send."""

import json
import urllib.request
from typing import Any

from stock_assets_tests.support.ports import free_port
from stock_assets_tests.support.real_daemon import Station, wait_for


class WebServer:
    """The web server of a station."""

    def __init__(self, made: Station, *command: str) -> None:
        """Start it, and wait until it responds.

        Args:
            made: the station.
            command: a command that starts a web server; by default the web server alone, without a daemon.
        """
        self.station = made
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        made.start(*(command or ("dagster_webserver", "-w", str(made.workspace))), "--port", str(port))
        wait_for(self._is_up, "web server")

    def request(self, query: str, **variables: object) -> dict[str, Any]:
        """Send a GraphQL query; return the data of the response."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        post = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 (fixed scheme)
        with urllib.request.urlopen(post, timeout=180) as response:  # noqa: S310 (as above)
            result = json.load(response)
        assert "errors" not in result, result
        data: dict[str, Any] = result["data"]
        return data

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=60) as response:  # noqa: S310 (fixed scheme)
                return bool(response.status == 200)
        except OSError:
            return False
