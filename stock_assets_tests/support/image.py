"""The container image: built by buildah on a base of Debian packages, and run without a container engine.

Belongs here: building it, and starting commands in it. Does not belong here: what a test expects
(`infra/test_image`).

No registry of images is needed: the base is made by mmdebstrap and kept in the cache folder of the user. Commands run
in a mount namespace, in which the root file system is read-only, as the user that the image names.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
_SUITE = "bookworm"
_BASE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stock_assets_tests" / f"base-{_SUITE}.tar"
_PROGRAMS = ("buildah", "mmdebstrap", "unshare", "setpriv", "chroot")
# Mounts belong to the namespace, so they end with the process. `exec` keeps the process id and the signals.
_ENTER = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmp "$1/tmp" &&
mount --bind /proc "$1/proc" && mount --bind "$2" "$1/var/lib/stock-assets" && mount -o remount,bind,ro "$1" || exit 125
shift 2
exec setpriv --no-new-privs chroot "$@"
"""


def why_not() -> str:
    """Return why the image cannot be built here; empty if it can."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install buildah mmdebstrap"
    return "" if os.geteuid() == 0 else "needs root, for chroot and mounts"


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        config: what the image sets, as `docker inspect` shows it.
        root: its root file system.
    """

    config: dict[str, Any]
    root: Path

    def start(
        self, command: list[str], volume: Path, environment: dict[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a command as the image's user; the root file system is read-only, `volume` and /tmp are not."""
        with log.open("ab") as output:
            return subprocess.Popen(self._words(command, volume, environment), stdout=output, stderr=output)

    def run(self, command: list[str], volume: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        words = self._words(command, volume, environment)
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)

    def _words(self, command: list[str], volume: Path, environment: dict[str, str]) -> list[str]:
        own = dict(pair.split("=", 1) for pair in self.config["Env"])
        variables = [f"{name}={value}" for name, value in {**own, **environment}.items()]
        user = f"--userspec={self.config['User']}"
        inside = [user, "--groups=", str(self.root), "/usr/bin/env", "-i", "-C", self.config["WorkingDir"], *variables]
        return ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), str(volume), *inside, *command]


def build(folder: Path) -> Image:
    """Build the image of the Dockerfile in a storage below a folder."""
    if not _BASE.exists():
        _make_base()

    def buildah(*words: str) -> str:
        storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
        command = [str(shutil.which("buildah")), *storage, *words]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, str(_BASE), "/")
    buildah("commit", "--quiet", "--rm", base, "base")
    # How this machine reaches its package index is part of no image.
    mounts = [path for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
    options = [word for path in mounts for word in ("--volume", f"{path}:{path}:ro")]
    options += ["--isolation", "chroot", "--network", "host", "--format", "docker", "--layers=false"]
    buildah("build", *options, "--build-arg", "BASE=localhost/base", "--tag", "stock-assets", ".")
    container = buildah("from", "stock-assets")
    config = json.loads(buildah("inspect", "--type", "image", "stock-assets"))["Docker"]["config"]
    return Image(config, Path(buildah("mount", container)))


def _make_base() -> None:
    _BASE.parent.mkdir(parents=True, exist_ok=True)
    fresh = _BASE.with_suffix(f".{os.getpid()}.tar")
    packages = "--include=python3,python3-venv,ca-certificates"
    command = [str(shutil.which("mmdebstrap")), "--quiet", "--variant=minbase", packages, _SUITE, str(fresh)]
    subprocess.run(command, check=True)
    fresh.replace(_BASE)
