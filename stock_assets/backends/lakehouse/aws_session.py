"""Access to AWS: one boto3 session per process, with the credentials that boto3 finds or a role assumed with them.

Belongs here: credentials, endpoints and the typed errors of failed calls. Does not belong here: any bucket, table or
statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as NotConnected,
)
from botocore.session import Session, get_session
from pydantic import BaseModel, ConfigDict

from stock_assets.core.errors import AccessRefused, ServiceRefused, ServiceUnavailable

_NO_ACCESS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_BUSY = frozenset(
    {
        "InternalError",
        "InternalServerException",
        "InternalServiceException",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
REQUESTS_AT_ONCE = 16
"""Threads that read objects at the same time, and connections that a client keeps: one for each."""
_SECONDS_TO_CONNECT = 10
_SECONDS_TO_READ = 60
_ROLE_SESSION = "stock-assets"


class AwsAccess(BaseModel):
    """Region, role and endpoint for calls of AWS; contains no credentials.

    Attributes:
        region: region of bucket, catalog and workgroup.
        role_arn: role to assume, renewed automatically; empty for none.
        endpoint_url: address of an emulator of all services; empty for AWS.
        attempts: attempts of one call that is throttled or gets no response.
    """

    model_config = ConfigDict(frozen=True)

    region: str
    role_arn: str = ""
    endpoint_url: str = ""
    attempts: int = 5

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Return the client of a service, such as `s3`; one per process."""
        return _client(self, service)

    def session(self) -> boto3.Session:
        """Return the session of all clients; one per process."""
        return _session(self)

    def config(self, **more: Any) -> Config:  # noqa: ANN401 (botocore's own options)
        """Return the retries and timeouts of a client."""
        return Config(
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            connect_timeout=_SECONDS_TO_CONNECT,
            read_timeout=_SECONDS_TO_READ,
            max_pool_connections=REQUESTS_AT_ONCE,
            **more,
        )


@contextmanager
def typed_errors(doing: str) -> Iterator[None]:
    """Convert errors of the AWS clients to errors that name the operation and whether a retry helps.

    Raises:
        AccessRefused: the credentials are missing, have expired, or do not allow the call.
        ServiceUnavailable: the call was throttled or got no response in every attempt.
        ServiceRefused: the service rejected the call for any other reason.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccessRefused(f"{doing}: {error}; set credentials where boto3 looks for them") from error
    except ClientError as error:
        raise typed_error(error, doing) from error
    except (NotConnected, HTTPClientError) as error:
        raise ServiceUnavailable(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise ServiceRefused(f"{doing}: {error}") from error


def typed_error(error: ClientError, doing: str) -> AccessRefused | ServiceUnavailable | ServiceRefused:
    """Return the typed error for a call that AWS rejected."""
    code = error_code(error)
    if code in _NO_ACCESS:
        return AccessRefused(
            f"{doing}: {error}; renew the credentials, or allow the call (docs/aws.md lists the permissions)"
        )
    if code in _BUSY:
        return ServiceUnavailable(f"{doing}: {error}")
    return ServiceRefused(f"{doing}: {error}")


def role_credentials(access: AwsAccess) -> dict[str, str]:
    """Return the current credentials of the role, for libraries that cannot assume it; empty without a role."""
    if not access.role_arn:
        return {}
    with typed_errors(f"assuming {access.role_arn}"):
        now = access.session().get_credentials().get_frozen_credentials()
    return {"access-key-id": now.access_key, "secret-access-key": now.secret_key, "session-token": now.token}


def error_code(error: ClientError) -> str:
    """Return the error code of the service."""
    return str(error.response.get("Error", {}).get("Code", ""))


@cache
def _client(access: AwsAccess, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
    # An emulator has one address for all buckets, so the bucket must be in the path.
    s3 = {"addressing_style": "path"} if access.endpoint_url else None
    return access.session().client(
        service, region_name=access.region, endpoint_url=access.endpoint_url or None, config=access.config(s3=s3)
    )


@cache
def _session(access: AwsAccess) -> boto3.Session:
    core = get_session()
    if access.role_arn:
        _assume(core, access)
    return boto3.Session(botocore_session=core, region_name=access.region)


def _assume(core: Session, access: AwsAccess) -> None:
    """Set up a session to assume the role, and to assume it again before it expires."""

    def sts(service: str, **options: Any) -> Any:  # noqa: ANN401 (botocore's signature)
        return core.create_client(service, endpoint_url=access.endpoint_url or None, **options)

    core.set_config_variable("region", access.region)
    found = core.get_credentials()
    if found is None:
        # Without credentials the fetcher would fail on None, and its message would not name what is missing.
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=sts,
        source_credentials=found,
        role_arn=access.role_arn,
        extra_args={"RoleSessionName": _ROLE_SESSION},
    )
    # The fetcher keeps the credentials that were found first; it creates the client that assumes the role with them.
    core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 (boto3 has no public way to do this)
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
