"""A disk that loses what was not synced: the states in which a power failure can leave a folder.

Belongs here: what each system call changes in memory and on disk, and the states after a crash. Does not belong here:
recording the calls (`system_calls`), what must hold after a crash (`faults`).

The rules are those of POSIX, which promises less than ext4 or XFS do: the content of a file is on disk after an fsync
of the file, and the entries of a folder are on disk after an fsync of the folder. Between two syncs a disk may have
kept anything. As in ALICE and CrashMonkey, five states stand for these possibilities:

- `nothing`: everything that was not synced is lost.
- `entries`: entries of folders are kept, contents that were not synced are lost: a renamed file is empty.
- `contents`: contents are kept, entries are lost: a new file is missing, a deleted file is back.
- `torn`: entries are kept, and the first half of the writes to each file since its last sync.
- `everything`: nothing is lost, as after a kill.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from stock_assets_tests.support.system_calls import Descriptor, SystemCall

VARIANTS = ("nothing", "entries", "contents", "torn", "everything")

Tree = dict[str, "Tree | bytes"]


@dataclass
class _File:
    live: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    writes: list[tuple[int, bytes] | int] = field(default_factory=list)
    """Writes since the last sync: position and bytes, or the new length."""

    def write(self, at: int, data: bytes) -> None:
        _write(self.live, at, data)
        self.writes.append((at, data))

    def truncate(self, length: int) -> None:
        _truncate(self.live, length)
        self.writes.append(length)

    def sync(self) -> None:
        self.synced, self.writes = bytes(self.live), []

    def content(self, variant: str) -> bytes:
        if variant in ("contents", "everything"):
            return bytes(self.live)
        body = bytearray(self.synced)
        for change in self.writes[: len(self.writes) // 2] if variant == "torn" else ():
            if isinstance(change, int):
                _truncate(body, change)
            else:
                _write(body, *change)
        return bytes(body)


@dataclass
class _Folder:
    live: dict[str, "_File | _Folder"] = field(default_factory=dict)
    synced: dict[str, "_File | _Folder"] = field(default_factory=dict)

    def sync(self) -> None:
        self.synced = dict(self.live)


@dataclass(frozen=True)
class CrashState:
    """A folder after a crash: after how many changes it happened, what the disk kept, and what was called last."""

    changes: int
    variant: str
    last: str
    tree: Tree

    def write(self, root: Path) -> None:
        """Replace a folder by this state."""
        shutil.rmtree(root, ignore_errors=True)
        _write_tree(self.tree, root)


class CrashDisk:
    """The folder `root`, whose present content is on disk; `replay` applies calls to it."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folder = _Folder({root.name: _read_folder(root)} if root.exists() else {})
        self._folder.sync()
        self._positions: dict[str, int] = {}
        self._appending: set[str] = set()

    def replay(self, calls: Sequence[SystemCall]) -> Iterator[CrashState]:
        """Yield the distinct states of a crash before the first call and after each one."""
        seen: set[bytes] = set()
        changes, last = 0, "the start"
        yield from self._states(changes, last, seen)
        for call in calls:
            if self._apply(call):
                changes += 1
                last = self._describe(call)
                yield from self._states(changes, last, seen)

    def final(self, variant: str) -> CrashState:
        """Return the state of a crash after the last call."""
        return CrashState(-1, variant, "the end", self._tree(variant))

    def _states(self, changes: int, last: str, seen: set[bytes]) -> Iterator[CrashState]:
        for variant in VARIANTS:
            tree = self._tree(variant)
            digest = _digest(tree)
            if digest not in seen:
                seen.add(digest)
                yield CrashState(changes, variant, last, tree)

    def _tree(self, variant: str) -> Tree:
        root = _entries(self._folder, variant).get(Path(self._root).name)
        return _tree(root, variant) if isinstance(root, _Folder) else {}

    def _describe(self, call: SystemCall) -> str:
        paths = [part.path if isinstance(part, Descriptor) else part for part in call.arguments]
        names = [os.fsdecode(path) for path in paths if path and self._is_inside(os.fsdecode(path))]
        return f"{call.name} {' '.join(name.removeprefix(self._root) for name in names)}"

    def _is_inside(self, path: str) -> bool:
        return path == self._root or path.startswith(f"{self._root}/")

    def _apply(self, call: SystemCall) -> bool:
        """Apply a call; return whether it can have changed a state."""
        if call.name in ("open", "openat", "creat"):
            return self._open(call)
        if call.name in ("lseek", "read"):
            return self._move(call)
        change = self._changes.get(call.name)
        if change is None:
            assert not any(self._is_inside(path) for path in _paths(call)), f"{call.name} is not simulated"
            return False
        return change(self, call)

    def _open(self, call: SystemCall) -> bool:
        flags = next(part for part in call.arguments if isinstance(part, str) and part.startswith("O_")).split("|")
        self._positions[str(call.result)] = 0
        self._appending.discard(str(call.result))
        if not self._is_inside(call.path) or "O_DIRECTORY" in flags:
            return False
        if "O_APPEND" in flags:
            self._appending.add(str(call.result))
        existing = self._find(call.path)
        if existing is None:
            assert "O_CREAT" in flags, call.path
            self._enter(call.path, _File())
            return True
        if "O_TRUNC" in flags and isinstance(existing, _File):
            existing.truncate(0)
            return True
        return False

    def _move(self, call: SystemCall) -> bool:
        number = call.arguments[0]
        if isinstance(number, Descriptor):
            self._positions[number.number] = call.result
        elif isinstance(number, str):
            key = str(int(number, 0))
            self._positions[key] = self._positions.get(key, 0) + call.result
        return False

    def _file(self, call: SystemCall) -> _File | None:
        """Return the file of a descriptor, unless it is outside, or already has no name."""
        descriptor = call.arguments[0]
        assert isinstance(descriptor, Descriptor), call
        found = self._find(descriptor.path) if self._is_inside(descriptor.path) else None
        return found if isinstance(found, _File) else None

    def _write(self, call: SystemCall) -> bool:
        file = self._file(call)
        descriptor, data = call.arguments[:2]
        assert isinstance(descriptor, Descriptor)
        if file is None:
            return False
        assert isinstance(data, bytes), call.name
        data = data[: call.result]
        if call.name == "pwrite64":
            file.write(int(str(call.arguments[3]), 0), data)
            return bool(data)
        at = len(file.live) if descriptor.number in self._appending else self._positions[descriptor.number]
        file.write(at, data)
        self._positions[descriptor.number] = at + len(data)
        return bool(data)

    def _ftruncate(self, call: SystemCall) -> bool:
        file = self._file(call)
        if file is not None:
            file.truncate(int(str(call.arguments[1]), 0))
        return file is not None

    def _sync(self, call: SystemCall) -> bool:
        descriptor = call.arguments[0]
        assert isinstance(descriptor, Descriptor), call
        if descriptor.path == str(Path(self._root).parent):
            self._folder.sync()
            return True
        found = self._find(descriptor.path) if self._is_inside(descriptor.path) else None
        if found is not None:
            found.sync()
        return found is not None

    def _make_folder(self, call: SystemCall) -> bool:
        [path] = [os.fsdecode(part) for part in call.arguments if isinstance(part, bytes)]
        if self._is_inside(path):
            self._enter(path, _Folder())
        return self._is_inside(path)

    def _remove(self, call: SystemCall) -> bool:
        [path] = _absolute(call)
        if self._is_inside(path):
            self._parent(path).live.pop(Path(path).name)
        return self._is_inside(path)

    def _link(self, call: SystemCall) -> bool:
        source, target = _absolute(call)
        if not self._is_inside(target):
            return False
        found = self._find(source)
        assert found is not None, source
        self._enter(target, found)
        if call.name.startswith("rename"):
            self._parent(source).live.pop(Path(source).name)
        return True

    def _find(self, path: str) -> "_File | _Folder | None":
        node: _File | _Folder = self._folder
        for name in (Path(self._root).name, *path[len(self._root) :].strip("/").split("/")):
            if name:
                if not isinstance(node, _Folder) or name not in node.live:
                    return None
                node = node.live[name]
        return node

    def _parent(self, path: str) -> _Folder:
        if path == self._root:
            return self._folder
        parent = self._find(str(Path(path).parent))
        assert isinstance(parent, _Folder), path
        return parent

    def _enter(self, path: str, node: "_File | _Folder") -> None:
        self._parent(path).live[Path(path).name] = node

    _changes: ClassVar[Mapping[str, Callable[["CrashDisk", SystemCall], bool]]] = {
        "write": _write,
        "pwrite64": _write,
        "ftruncate": _ftruncate,
        "fsync": _sync,
        "fdatasync": _sync,
        "mkdir": _make_folder,
        "mkdirat": _make_folder,
        "unlink": _remove,
        "unlinkat": _remove,
        "rmdir": _remove,
        "link": _link,
        "linkat": _link,
        "rename": _link,
        "renameat": _link,
        "renameat2": _link,
        "close": lambda _, __: False,
    }


def _paths(call: SystemCall) -> list[str]:
    return [os.fsdecode(part) for part in call.arguments if isinstance(part, bytes)] + [
        part.path for part in call.arguments if isinstance(part, Descriptor)
    ]


def _absolute(call: SystemCall) -> list[str]:
    """Return the paths of a call, each below the folder that precedes it."""
    paths, folder = [], ""
    for part in call.arguments:
        if isinstance(part, Descriptor):
            folder = part.path
        elif isinstance(part, bytes):
            paths.append(str(Path(folder) / os.fsdecode(part)))
    return paths


def _write(body: bytearray, at: int, data: bytes) -> None:
    if len(body) < at:
        body.extend(bytes(at - len(body)))
    body[at : at + len(data)] = data


def _truncate(body: bytearray, length: int) -> None:
    del body[length:]
    body.extend(bytes(length - len(body)))


def _read_folder(path: Path) -> _Folder:
    folder = _Folder()
    for entry in path.iterdir():
        if entry.is_dir():
            folder.live[entry.name] = _read_folder(entry)
        else:
            file = folder.live[entry.name] = _File(bytearray(entry.read_bytes()))
            file.sync()
    folder.sync()
    return folder


def _entries(folder: _Folder, variant: str) -> Mapping[str, "_File | _Folder"]:
    return folder.synced if variant in ("nothing", "contents") else folder.live


def _tree(folder: _Folder, variant: str) -> Tree:
    return {
        name: _tree(node, variant) if isinstance(node, _Folder) else node.content(variant)
        for name, node in _entries(folder, variant).items()
    }


def _digest(tree: "Tree | bytes") -> bytes:
    if isinstance(tree, bytes):
        return hashlib.blake2b(tree, digest_size=16).digest()
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(tree):
        whole.update(name.encode(errors="surrogateescape") + b"\0" + _digest(tree[name]))
    return whole.digest()


def _write_tree(tree: Tree, path: Path) -> None:
    path.mkdir(parents=True)
    for name, node in tree.items():
        if isinstance(node, bytes):
            (path / name).write_bytes(node)
        else:
            _write_tree(node, path / name)
