"""A real Trino server for tests: downloaded once by Maven, stored outside the repository, started on a free port.

Belongs here: downloading the server, starting it over the AWS emulator, stopping it. Does not belong here: backends on
it (`trino_backends`).

`python -m stock_assets_tests.support.trino_server` downloads the server without starting it. It needs `mvn` (once,
0.8 GB) and Java 24 or later; Maven's configuration decides which repository it uses.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import requests

from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.support.ports import free_port

VERSION = "476"
"""The last version whose archive is in Maven's central repository; later ones are published elsewhere only."""
LEAST_JAVA = 24
MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
PLUGINS = ("iceberg", "hive")
CATALOG = "iceberg"
SECONDS_TO_START = 180
SECONDS_TO_DOWNLOAD = 1200
HEAP = "2G"
_WHOLE = "complete"


class NoTrino(Exception):
    """No server is available; the message contains the reason and the remedy."""


def server_folder() -> Path:
    """Return the folder of the server; download it if it is missing.

    Raises:
        NoTrino: the server cannot be downloaded.
    """
    cache = Path(os.environ.get("STOCK_ASSETS_TEST_CACHE") or Path.home() / ".cache" / "stock_assets")
    folder = cache / f"trino-{VERSION}"
    if not (folder / _WHOLE).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / "server"
            _unpack(_download(Path(scratch)), made)
            (made / _WHOLE).touch()
            shutil.rmtree(folder, ignore_errors=True)
            # Another process may have created the same folder first.
            with contextlib.suppress(OSError):
                made.rename(folder)
    return folder


def java() -> Path:
    """Return a Java that is new enough: from JAVA_HOME, from the PATH, or from the usual folders.

    Raises:
        NoTrino: none is installed.
    """
    named = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [Path(named) / "bin" / "java"] if named else []
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    for candidate in candidates:
        if candidate.exists() and _java_version(candidate) >= LEAST_JAVA:
            return candidate
    raise NoTrino(f"Trino {VERSION} needs Java {LEAST_JAVA} or later; install it, or set JAVA_HOME")


@contextmanager
def running_trino(aws_endpoint: str) -> Iterator[str]:
    """Start a server whose tables are in the Glue and S3 of an emulator; yield its address.

    Raises:
        NoTrino: the server cannot be downloaded or does not start.
    """
    program, server = java(), server_folder()
    with tempfile.TemporaryDirectory(prefix="trino-") as root:
        port = free_port()
        folder = Path(root)
        _configure(folder, server, port, aws_endpoint)
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(program), *_jvm_options(), *_program(server, folder)],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **CREDENTIALS},
            )
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _download(folder: Path) -> Path:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise NoTrino(f"install Maven, then run `python -m {__spec__.name}` to download Trino {VERSION} (0.8 GB, once)")
    command = [
        mvn,
        "--batch-mode",
        "--quiet",
        f"{MAVEN_DEPENDENCY_PLUGIN}:copy",
        f"-Dartifact=io.trino:trino-server:{VERSION}:tar.gz",
        f"-DoutputDirectory={folder}",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS_TO_DOWNLOAD, cwd=folder)
    except subprocess.CalledProcessError as error:
        raise NoTrino(f"Maven cannot download io.trino:trino-server:{VERSION}: {error.stdout[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoTrino(
            f"Maven did not download io.trino:trino-server:{VERSION} within {SECONDS_TO_DOWNLOAD} s"
        ) from error
    return folder / f"trino-server-{VERSION}.tar.gz"


def _unpack(archive: Path, target: Path) -> None:
    """Unpack the server and the plugins in use; a file that several plugins share becomes a hard link.

    The archive is read as a stream: seeking backwards would decompress it again from the start.
    """
    wanted = ("lib/", *(f"plugin/{plugin}/" for plugin in PLUGINS))
    places: dict[str, list[Path]] = {}
    with tarfile.open(archive, "r|gz") as packed:
        for member in packed:
            inside = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
            if inside.startswith(wanted) and not member.isdir():
                places.setdefault(member.linkname if member.islnk() else member.name, []).append(target / inside)
    with tarfile.open(archive, "r|gz") as packed:
        for member in packed:
            files = places.get(member.name, []) if member.isfile() and not member.islnk() else []
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                if file is not files[0]:
                    os.link(files[0], file)
                    continue
                content = packed.extractfile(member)
                if content is None:
                    raise NoTrino(f"{archive.name} contains no data for {member.name}")
                with content, file.open("wb") as output:
                    shutil.copyfileobj(content, output)


def _configure(folder: Path, server: Path, port: int, aws_endpoint: str) -> None:
    address = f"http://127.0.0.1:{port}"
    storage = {
        "hive.metastore.glue.region": REGION,
        "hive.metastore.glue.endpoint-url": aws_endpoint,
        "hive.metastore.glue.aws-access-key": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "hive.metastore.glue.aws-secret-key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        "fs.native-s3.enabled": "true",
        "s3.region": REGION,
        "s3.endpoint": aws_endpoint,
        "s3.path-style-access": "true",
        "s3.aws-access-key": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "s3.aws-secret-key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    files: dict[str, dict[str, str]] = {
        "etc/config.properties": {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(port),
            "discovery.uri": address,
            "plugin.dir": str(server / "plugin"),
            "query.max-memory": "1GB",
            "query.max-memory-per-node": "1GB",
            # Trino allows 150; the rest is for audits of users, and for engines that allow fewer.
            "query.max-stage-count": "140",
        },
        f"etc/catalog/{CATALOG}.properties": {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "glue",
            # Allow statements to expire and remove what is of any age.
            "iceberg.expire-snapshots.min-retention": "0s",
            "iceberg.remove-orphan-files.min-retention": "0s",
            **storage,
        },
        "etc/catalog/hive.properties": {
            "connector.name": "hive",
            "hive.metastore": "glue",
            "hive.partition-projection-enabled": "true",
            # Each fetch has its own folder in its partition.
            "hive.recursive-directories": "true",
            **storage,
        },
        "etc/log.properties": {"io.trino": "WARN"},
    }
    for name, properties in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))


def _jvm_options() -> list[str]:
    return [
        f"-Xmx{HEAP}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-OmitStackTraceInFastThrow",
        "-Djdk.attach.allowAttachSelf=true",
        "-Dfile.encoding=UTF-8",
        "-Duser.timezone=UTC",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


def _program(server: Path, folder: Path) -> list[str]:
    return [
        f"-Dlog.levels-file={folder / 'etc/log.properties'}",
        f"-Dconfig={folder / 'etc/config.properties'}",
        "-Dnode.environment=test",
        f"-Dnode.data-dir={folder / 'data'}",
        "-Dnode.bind-ip=127.0.0.1",
        "-Dnode.internal-address=127.0.0.1",
        "-cp",
        f"{server / 'lib'}/*",
        "io.trino.server.TrinoServer",
    ]


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NoTrino(f"Trino {VERSION} did not start:\n{log.read_text()[-3000:]}")
        with contextlib.suppress(requests.RequestException):
            if not requests.get(f"{address}/v1/info", timeout=2).json()["starting"]:
                return
        time.sleep(0.2)
    raise NoTrino(f"Trino {VERSION} has not started in {SECONDS_TO_START} s:\n{log.read_text()[-3000:]}")


def _java_version(program: Path) -> int:
    output = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=300).stderr
    found = re.search(r'version "(\d+)', output)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    java()
    sys.stdout.write(f"{server_folder()}\n")
