"""What AWS runs, as objects of the bucket: the package with its lock file, settings, the Lambda function.

Belongs here: building and uploading them, and which of them the running processes have read. Does not belong here: what
the settings are (`deployment`), the content of the zip file (`lambda_zip`).

An object is written only if its content changes. Who has read which content is recorded after a restart, so that a
repeated deployment restarts nothing, and one that was interrupted before the restart does it the next time.
"""

import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_errors
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DeploymentFailed
from stock_assets.core.sql import bundled
from stock_assets.deployment import lambda_zip
from stock_assets.pipeline.universe import UNIVERSES_FOLDER, universe_key

_NAME = "stock-assets"
_CHECKOUT = Path(__file__).parents[2]
_LOCK = "requirements-server.lock"
_PACKAGE = "artifacts/package/"
SETTINGS_KEY = "artifacts/settings.env"
_OWN_SETTINGS = "artifacts/own_settings.env"
_FUNCTION = "artifacts/lambda-{digest}.zip"
_STARTED = "artifacts/started/{stack}"
_DIGEST = "sha256"
# What an installer adds to the files of a wheel.
_OF_INSTALLERS = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD"})


@dataclass(frozen=True)
class Artifacts:
    """The folder `artifacts/` of the data bucket."""

    access: AwsAccess
    bucket: str

    def upload_package(self) -> str:
        """Upload the wheel of this package and the lock file; return a digest of both."""
        name, body = build_wheel()
        lock = bundled("").joinpath(_LOCK).read_bytes()
        self._put(f"{_PACKAGE}{name}", body)
        self._put(f"{_PACKAGE}requirements.lock", lock)
        # The instance installs the only wheel.
        with typed_errors(f"removing earlier versions from s3://{self.bucket}/{_PACKAGE}"):
            listed = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=_PACKAGE).get("Contents", [])
            for key in (entry["Key"] for entry in listed):
                if key.endswith(".whl") and key != f"{_PACKAGE}{name}":
                    self._s3.delete_object(Bucket=self.bucket, Key=key)
        return content_hash(body + lock)

    def upload_settings(self, settings: Mapping[str, str]) -> str:
        """Upload the settings, one variable per line; return their digest."""
        body = settings_text(settings).encode()
        self._put(SETTINGS_KEY, body)
        return content_hash(body)

    def own_settings(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """Change and return the settings that the user has given; an empty value removes one."""
        stored = dict(line.split("=", 1) for line in self._read(_OWN_SETTINGS).splitlines())
        kept = {name: value for name, value in (stored | dict(changes or {})).items() if value}
        if kept != stored:
            self._put(_OWN_SETTINGS, settings_text(kept).encode())
        return kept

    def universes(self) -> dict[str, bytes]:
        """Return the content of the stored universe files by the name of the universe."""
        folder = S3Objects(self.access, BucketFolder(self.bucket, UNIVERSES_FOLDER))
        return {key.removesuffix(".csv"): folder.get(key) for key in folder.keys("")}

    def upload_universes(self, bodies: Mapping[str, bytes]) -> None:
        """Upload universe files."""
        for name, body in bodies.items():
            self._put(universe_key(name), body)

    def upload_function(self) -> str:
        """Build the zip file of the Lambda function and upload it, unless it is there; return its key.

        The key contains the digest of the file, so that CloudFormation replaces the code exactly if it has changed. The
        files of earlier versions stay: an update that fails returns to one of them.
        """
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "function.zip"
            lambda_zip.build(target)
            body = target.read_bytes()
        key = _FUNCTION.format(digest=content_hash(body)[:32])
        self._put(key, body)
        return key

    def started_with(self, stack: str) -> str:
        """Return the digest that `record_start` has recorded for a stack; empty without one."""
        return self._read(_STARTED.format(stack=stack))

    def record_start(self, stack: str, digest: str) -> None:
        """Record that the processes of a stack were started after package and settings with a digest were uploaded."""
        self._put(_STARTED.format(stack=stack), digest.encode())

    def _read(self, key: str) -> str:
        """Return the text of an object; empty if there is none."""
        with typed_errors(f"reading s3://{self.bucket}/{key}"):
            try:
                return str(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())
            except ClientError as error:
                if error_code(error) != "NoSuchKey":
                    raise
                return ""

    def _put(self, key: str, body: bytes) -> None:
        digest = content_hash(body)
        with typed_errors(f"uploading s3://{self.bucket}/{key}"):
            try:
                stored = self._s3.head_object(Bucket=self.bucket, Key=key)["Metadata"].get(_DIGEST)
            except ClientError as error:
                if error_code(error) not in {"404", "NoSuchKey", "NotFound"}:
                    raise
                stored = None
            if stored != digest:
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata={_DIGEST: digest})

    @property
    def _s3(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self.access.client("s3")


def digest_of(universes: Mapping[str, bytes]) -> str:
    """Return a digest of universe files; empty without one."""
    return (
        content_hash(b"".join(f"{name}\n".encode() + universes[name] for name in sorted(universes)))
        if universes
        else ""
    )


def settings_text(settings: Mapping[str, str]) -> str:
    """Format settings as lines of `NAME=value`."""
    return "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))


def build_wheel() -> tuple[str, bytes]:
    """Return name and content of the wheel of this package.

    A checkout is built. An installed package is packed again from its files, so that no checkout is needed.
    """
    if _CHECKOUT.joinpath("pyproject.toml").is_file() and not bundled("sql").is_relative_to(_CHECKOUT / "stock_assets"):  # type: ignore[attr-defined]  # a path, because the package is not zipped
        return _build_checkout()
    return pack_installed(distribution(_NAME))


def _build_checkout() -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        done = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603 (fixed arguments)
        if done.returncode:
            raise DeploymentFailed(f"The wheel of {_CHECKOUT} cannot be built; `make wheel` shows why: {done.stderr}")
        [wheel] = Path(folder).glob("*.whl")
        return wheel.name, wheel.read_bytes()


def pack_installed(installed: Distribution) -> tuple[str, bytes]:
    """Return name and content of a wheel with the files of an installed package."""
    buffer, record = BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in _files_of_wheel(installed):
            _write(archive, path, body)
            digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(body)}")
        stem = f"{installed.metadata['Name'].replace('-', '_')}-{installed.version}"
        own = f"{stem}.dist-info/RECORD"
        _write(archive, own, "".join(f"{line}\n" for line in [*record, f"{own},,"]).encode())
    return f"{stem}-py3-none-any.whl", buffer.getvalue()


def _files_of_wheel(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(installed.files or [], key=str):
        path = PurePosixPath(str(entry))
        # Programs are outside the folder of the packages; an installer writes them.
        if ".." in path.parts or "__pycache__" in path.parts or path.name in _OF_INSTALLERS:
            continue
        yield str(path), Path(str(entry.locate())).read_bytes()


def _write(archive: zipfile.ZipFile, path: str, body: bytes) -> None:
    # A fixed date, so that the same files are the same wheel.
    archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), body, zipfile.ZIP_DEFLATED)
