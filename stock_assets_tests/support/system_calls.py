"""Record the system calls with which a process changes files, with strace, also those of SQLite, DuckDB and Arrow.

Belongs here: running a program under strace and reading its record. Does not belong here: what a disk makes of the
calls (`crash_disk`).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALLS = (
    "open openat creat close lseek read write writev pwrite64 pwritev pwritev2 ftruncate truncate fallocate fsync "
    "fdatasync sync_file_range rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat "
    "rmdir copy_file_range sendfile fork vfork clone3"
)
_LINE = re.compile(r"(?P<thread>\d+) +(?P<rest>.*)")
_UNFINISHED = re.compile(r"(?P<begin>.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<end>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?(?:0x)?[0-9a-f]+)(?:<(?P<path>[^>]*)>)?.*")
_ARGUMENT = re.compile(
    r'"(?P<text>[^"]*)"|(?P<number>[\w|-]+)?<(?P<path>[^>]*)>(?P<deleted>\(deleted\))?|(?P<other>[^,\s][^,]*)'
)


@dataclass(frozen=True)
class SystemCall:
    """A system call that succeeded.

    Attributes:
        name: its name.
        arguments: bytes of texts, paths of descriptors as `Descriptor`, everything else as it is written.
        result: the returned number.
        path: path of the returned descriptor.
    """

    name: str
    arguments: tuple["bytes | Descriptor | str", ...]
    result: int
    path: str = ""


@dataclass(frozen=True)
class Descriptor:
    """A file descriptor of the process; its path is empty if the file has no name any more."""

    number: str
    path: str


def why_no_record() -> str | None:
    """Return why this machine cannot record system calls, or None."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed; on Debian: apt-get install strace"
    done = subprocess.run([strace, "-qq", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"strace is not allowed here: {done.stderr.strip()}"


def record(command: Sequence[str], file: Path) -> list[SystemCall]:
    """Run a program to its end and return its calls that succeeded, of all threads, in the order of their end."""
    traced = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "1000000000", "-e", "signal=none"]
    traced += ["-e", f"trace={','.join(f'?{name}' for name in _CALLS.split())}", "-e", "raw=read", "-o", str(file)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*traced, *command], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(_read(file))


def _read(file: Path) -> Iterator[SystemCall]:
    begun: dict[str, str] = {}
    with file.open(encoding="ascii") as lines:
        for line in lines:
            found = _LINE.match(line)
            assert found is not None, line[:200]
            thread, rest = found["thread"], found["rest"]
            if unfinished := _UNFINISHED.fullmatch(rest):
                begun[thread] = unfinished["begin"]
                continue
            if resumed := _RESUMED.fullmatch(rest):
                rest = begun.pop(thread) + resumed["end"]
            call = _CALL.fullmatch(rest)
            if call is not None and not call["result"].startswith("-"):
                arguments = tuple(map(_argument, _ARGUMENT.finditer(call["arguments"])))
                yield SystemCall(call["name"], arguments, int(call["result"], 0), _text(call["path"] or ""))


def _argument(found: re.Match[str]) -> "bytes | Descriptor | str":
    if found["text"] is not None:
        return _bytes(found["text"])
    if found["path"] is not None:
        return Descriptor(found["number"], "" if found["deleted"] else _text(found["path"]))
    return found["other"]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(path: str) -> str:
    return os.fsdecode(_bytes(path)) if path.startswith("\\x") else path
