"""Restrict the API key to the network connection.

Belongs here: recognising the key in every encoding in which a response may repeat it, and sending the key without
showing it to a library. Does not belong here: where the key is stored (`settings`, `api_key`).

A key in a URL appears in urllib3's debug logs and in the texts and causes of its exceptions. Therefore the URL contains
a placeholder, and the connection replaces it by the key when it writes the request line.
"""

import html
import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.poolmanager import PoolManager

from stock_assets.sources.send_observer import sending

PLACEHOLDER = "key-is-added-on-the-wire"
"""Text in place of the key in the URL."""

REDACTED = "[redacted]"


def redact(text: bytes, key: str) -> bytes:
    """Replace the key everywhere, in plain text or encoded for a URL, JSON or HTML, in upper or lower case."""
    return _encodings(key).sub(REDACTED.encode(), text) if key else text


def redact_text(text: str, key: str) -> str:
    """Replace the key in a text, as `redact` does in bytes."""
    return redact(text.encode(), key).decode()


class KeyOnWireAdapter(HTTPAdapter):
    """Connections, direct or through a proxy, that replace the placeholder by the key when they send."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key
        self._connections: WeakSet[HTTPConnection] = WeakSet()
        super().__init__()

    def abort(self) -> None:
        """Shut down the connections of this adapter, from another thread: a blocked read ends at once."""
        for connection in list(self._connections):
            sock = connection.sock
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    # Not the method of a TLS socket, which would remove the TLS state under the reading thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the library's signature)
        """Create the pool manager of direct connections."""
        super().init_poolmanager(*args, **options)
        self._use_own_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (the library's signature)
        """Create the pool manager of a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        self._use_own_connections(manager)
        return manager

    def _use_own_connections(self, manager: PoolManager) -> None:
        key, connections = self._key, self._connections

        class Plain(HTTPConnection):
            def connect(self) -> None:
                connections.add(self)
                super().connect()

            def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:  # noqa: ANN401 (as above)
                super().putrequest(method, url.replace(PLACEHOLDER, quote(key(), safe="")), *args, **options)

            def endheaders(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (as above)
                if self.sock is None:
                    self.connect()
                with sending():
                    super().endheaders(*args, **options)

        class Encrypted(Plain, HTTPSConnection):
            """Plain's methods call those of HTTPSConnection here."""

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}


@cache
def _encodings(key: str) -> re.Pattern[bytes]:
    forms = {key, quote(key, safe=""), quote(key), quote_plus(key), json.dumps(key)[1:-1], html.escape(key)}
    # The longest form first, so that no part of a longer form remains.
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile(b"|".join(re.escape(form.encode()) for form in ordered), re.IGNORECASE)
