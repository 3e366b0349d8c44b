"""Digest of the inputs of a connection, the same for every backend.

Belongs here: hashing registered tables and the ids of snapshots. Does not belong here: hashing the files of staging
tables, which depends on the backend.
"""

import hashlib
from collections.abc import Mapping

import pyarrow as pa


def inputs_digest(registered: Mapping[str, pa.Table], snapshots: Mapping[str, int | None]) -> str:
    """Return a digest of the registered tables by name, and of the snapshots of the published tables."""
    found = hashlib.sha256(repr(sorted(snapshots.items())).encode())
    for name in sorted(registered):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, registered[name].schema) as stream:
            stream.write_table(registered[name].combine_chunks())
        found.update(name.encode() + b"\0")
        found.update(sink.getvalue())
    return found.hexdigest()
