"""Files in a folder that other programs write into.

Belongs here: walking the folder, and finding what must not be opened. Does not belong here: the content of the files.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class FoundFile:
    """A file, or something else that is no folder, or a folder that cannot be listed.

    Attributes:
        path: absolute path.
        size: bytes.
        modified_at: time of the last change of the content, in seconds since 1970; 0 if it is unknown.
        changed_at: time of the last change of content or metadata, likewise.
        problem: why it must not be opened; empty for a file that may be read.
    """

    path: str
    size: int = 0
    modified_at: float = 0.0
    changed_at: float = 0.0
    problem: str = ""


def walk(
    folder: str,
    *,
    enter: Callable[["os.DirEntry[str]"], bool] = lambda _: True,
    unreadable: Callable[[str, OSError], None] | None = None,
) -> Iterator["os.DirEntry[str]"]:
    """Yield everything below a folder that is no folder; `Path.rglob` takes five times as long.

    Args:
        folder: the folder; nothing is yielded if it does not exist. Links to folders are yielded, not followed.
        enter: returns whether a folder is listed.
        unreadable: called for a folder below it that cannot be listed; without it, the error is raised.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if unreadable is None:
            raise
        unreadable(folder, error)
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            yield entry
        elif enter(entry):
            yield from walk(entry.path, enter=enter, unreadable=unreadable)


def found_files(folder: str, *, enter: Callable[["os.DirEntry[str]"], bool] = lambda _: True) -> Iterator[FoundFile]:
    """Yield what is below a folder, with the reason why it must not be opened; open nothing.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    area, locked = os.path.realpath(folder), list[FoundFile]()

    def unreadable(path: str, error: OSError) -> None:
        if path == folder:
            raise error
        locked.append(FoundFile(path, problem=_no_access("the folder cannot be listed", error)))

    for entry in walk(folder, enter=enter, unreadable=unreadable):
        if (file := _examine(entry, area)) is not None:
            yield file
    yield from locked


def _examine(entry: "os.DirEntry[str]", area: str) -> FoundFile | None:
    """Return what an entry is; None if it was deleted since the folder was listed."""
    try:
        problem = _problem(entry, area)
        found = entry.stat(follow_symlinks=not problem)
    except FileNotFoundError:
        return None
    except OSError as error:
        return FoundFile(entry.path, problem=_no_access("it cannot be examined", error))
    return FoundFile(entry.path, found.st_size, found.st_mtime, found.st_ctime, problem)


def _problem(entry: "os.DirEntry[str]", area: str) -> str:
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not target.startswith(f"{area}/"):
            return "it is a symbolic link that leaves the folder; copy the file instead of the link"
        return "" if Path(target).is_file() else "it is a symbolic link that leads to no file; delete it"
    if entry.is_file(follow_symlinks=False):
        return ""
    kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
    return f"it is {_KINDS.get(kind, 'something else')}, no regular file; delete it"


def _no_access(what: str, error: OSError) -> str:
    return f"{what} ({error.strerror}); change its permissions"
