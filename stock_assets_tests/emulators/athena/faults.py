"""Faults that a test can order, and the record of the calls that the emulator received.

Two kinds of faults: a call gets an HTTP error instead of the service's response, or none; a query starts and then
fails, hangs, or reads too much.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_QUERY_SERVICES = ("sts", "sns")
"""Services that wrap an error in one more element."""


@dataclass
class CallFault:
    """An error instead of the service's response.

    Attributes:
        matches: part of the request `METHOD path target`; the target of JSON services, else the service.
        status: HTTP status; 0 closes the connection without a response.
        code: error code of the service.
        message: error message.
        times: number of calls that fail.
        after: whether the service carries out the call before: its response is lost.
        first_attempts: whether only the first attempt of each call fails, not those that the client repeats.
    """

    matches: str
    status: int
    code: str
    message: str = "injected"
    times: int = 1
    after: bool = False
    first_attempts: bool = False

    def applies(self, call: "Call") -> bool:
        """Return whether the call fails."""
        attempt = re.search(r"\battempt=(\d+)", call.headers.get("HTTP_AMZ_SDK_REQUEST", ""))
        repeated = self.first_attempts and (attempt is None or attempt[1] != "1")
        return bool(self.times) and self.matches in call.named and not repeated


@dataclass(frozen=True)
class Call:
    """One HTTP request that the emulator received.

    Attributes:
        service: service in the signature, such as `s3`; empty without a signature.
        access_key: access key in the signature.
        request: `METHOD path?query`, and the target of JSON services.
        headers: all headers, with the names that WSGI uses.
    """

    service: str
    access_key: str
    request: str
    headers: dict[str, str]

    @property
    def named(self) -> str:
        """Return `METHOD path target`; the target of JSON services, else the service."""
        method, _, path = self.request.partition(" ")
        return f"{method} {path.partition('?')[0]} {self.headers.get('HTTP_X_AMZ_TARGET') or self.service}"

    @classmethod
    def of(cls, environ: dict[str, Any]) -> "Call":
        signed = re.search(
            r"Credential=([^/]+)/[0-9]+/[^/]*/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", "")
        )
        headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        path = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        request = f"{environ['REQUEST_METHOD']} {path} {headers.get('HTTP_X_AMZ_TARGET', '')}".strip()
        return cls(signed.group(2) if signed else "", signed.group(1) if signed else "", request, headers)


@dataclass
class QueryFault:
    """A different end of the next statements that match.

    Attributes:
        matches: regular expression that is searched in the statement.
        reason: failure reason; empty to execute the statement normally in the end.
        times: number of statements.
        hangs: whether the query runs until it is stopped.
        scanned_bytes: bytes that the query reports as read.
        first: called before anything else.
        retryable: whether Athena reports that a retry may help.
    """

    matches: str
    reason: str = ""
    times: int = 1
    hangs: bool = False
    scanned_bytes: int = 0
    first: Callable[[], object] | None = None
    retryable: bool = False


def lost_response(matches: str, *, times: int = 1, first_attempts: bool = False) -> CallFault:
    """Return the fault of calls that the service carries out, and whose connections are closed before the response."""
    return CallFault(matches, 0, "", times=times, after=True, first_attempts=first_attempts)


def fault_body(fault: CallFault, target: str, service: str) -> str:
    if target:
        return json.dumps({"__type": fault.code, "message": fault.message})
    error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>" if service in _QUERY_SERVICES else error
