"""Keeps an API key out of everything but the wire.

Belongs here: recognising a key in whatever form it comes back, and sending it without any library seeing it. Does
not belong here: where the key is kept (`alpha_vantage` reads it when a run starts).

A key that is part of a URL shows up in the debug logs of urllib3 and in the text and the causes of its exceptions.
So the URL bears a placeholder, and only the connection, as it writes the request line, puts the key in its place.
"""

import html
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.poolmanager import PoolManager

PLACEHOLDER = "key-is-added-on-the-wire"
"""Stands for the key in the URL."""

REDACTED = "[redacted]"


def redact(text: bytes, key: str) -> bytes:
    """Replace the key wherever it stands: as it is, or as a URL, JSON or HTML would write it, in either case."""
    return _forms(key).sub(REDACTED.encode(), text) if key else text


def redact_text(text: str, key: str) -> str:
    """Do the same to a text."""
    return redact(text.encode(), key).decode()


class KeyOnWireAdapter(HTTPAdapter):
    """Connections that write the key in place of the placeholder; directly or through a proxy."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the library's signature)
        """Make the pool manager of direct connections use them."""
        super().init_poolmanager(*args, **options)
        self._use_own_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 (the library's signature)
        """Make the pool manager of a proxy use them."""
        manager = super().proxy_manager_for(*args, **options)
        self._use_own_connections(manager)
        return manager

    def _use_own_connections(self, manager: PoolManager) -> None:
        key = self._key

        class Plain(HTTPConnection):
            def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:  # noqa: ANN401
                super().putrequest(method, url.replace(PLACEHOLDER, quote(key(), safe="")), *args, **options)

        class Encrypted(HTTPSConnection):
            def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:  # noqa: ANN401
                super().putrequest(method, url.replace(PLACEHOLDER, quote(key(), safe="")), *args, **options)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}


@cache
def _forms(key: str) -> re.Pattern[bytes]:
    forms = {key, quote(key, safe=""), quote(key), quote_plus(key), json.dumps(key)[1:-1], html.escape(key)}
    # The longest first, so that no rest of a longer form is left over.
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile(b"|".join(re.escape(form.encode()) for form in ordered), re.IGNORECASE)
