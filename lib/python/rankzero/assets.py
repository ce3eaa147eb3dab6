"""Contents of assets, each stored once under the digest of its bytes; see lib/artifact for how they travel.

In: a path, bytes, or a reference. Out: the body of an asset record. Invariants: what has its final name is
whole and durable; a file that changes while it is read is an error, and so is whatever else is wrong: errors
are exceptions here, and told by the caller.
"""
import hashlib
import os
import re
import stat
from contextlib import suppress
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from .format import json_bytes
from .limits import (
    ASSET_BYTES_MAX, ASSET_CHUNK_BYTES, ASSET_TYPE_CHARS_MAX, ASSET_URI_CHARS_MAX, NAME_CODEPOINTS_MAX,
    RECORD_BYTES_MAX, TAGS_MAX,
)
from .process import own_directory
from .values import plain, step_of

Content = Dict[str, Any]
"""`size` in bytes and `sha256` in hex; None: not known."""

HEX = frozenset("0123456789abcdef")


def asset_body(
    directory: str, source: Any, name: Optional[str], kind: str, step: Any,
    metadata: Optional[Mapping[str, Any]],
) -> Dict[str, Any]:
    """Stores the bytes, if it has any. `directory`: parent of the run directories."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return {**_described(name or "data", kind, step, metadata), **keep(directory, bytes(source))}
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        described = _described(name or os.path.basename(path), kind, step, metadata)
        return {**described, **keep(directory, path)}
    if isinstance(source, Mapping) and isinstance(source.get("uri"), str):
        uri = source["uri"]
        last = os.path.basename(uri.split("?")[0].split("#")[0])
        described = _described(name or last, kind, step, metadata)
        return {**described, **_referred(uri, source.get("size"), source.get("sha256")), "uri": uri}
    raise ValueError("it is no path, no bytes and no {'uri': …}")


def _described(name: str, kind: str, step: Any, metadata: Any) -> Dict[str, Any]:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CODEPOINTS_MAX:
        raise ValueError("its name must have 1 to %d characters" % NAME_CODEPOINTS_MAX)
    if not isinstance(kind, str) or not 0 < len(kind) <= ASSET_TYPE_CHARS_MAX:
        raise ValueError("%s: its type must have 1 to %d characters" % (name, ASSET_TYPE_CHARS_MAX))
    number = None if step is None else step_of(step)
    if step is not None and number is None:
        raise ValueError("%s: its step must be a whole number from 0 to 2^53-1" % name)
    body: Dict[str, Any] = {"name": name, "type": kind, "step": number}
    if metadata is not None:
        copy = plain(metadata)
        if not isinstance(copy, dict) or len(json_bytes(copy)) > RECORD_BYTES_MAX // 2:
            raise ValueError("%s: its metadata must be a dict of less than %d bytes"
                             % (name, RECORD_BYTES_MAX // 2))
        body["metadata"] = copy
    return body


def _referred(uri: str, size: Any, sha256: Any) -> Content:
    if not 0 < len(uri) <= ASSET_URI_CHARS_MAX:
        raise ValueError("a URI must have 1 to %d characters" % ASSET_URI_CHARS_MAX)
    if size is None and sha256 is None and uri.startswith("file:"):
        return _hashed(_path_of(uri), lambda _: None)
    if size is not None and step_of(size) is None:
        raise ValueError("%s: its size is none" % uri)
    if sha256 is not None and (not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - HEX):
        raise ValueError("%s: its sha256 is none" % uri)
    return {"size": size, "sha256": sha256}


def _path_of(uri: str) -> str:
    """Of a `file:` URI."""
    rest = uri[len("file:"):]
    path = "/" + rest[2:].partition("/")[2] if rest.startswith("//") else rest
    parts = re.split("%([0-9a-fA-F]{2})", path)
    return os.fsdecode(b"".join(
        bytes.fromhex(part) if i % 2 else os.fsencode(part) for i, part in enumerate(parts)
    ))


def is_facts(facts: Any) -> bool:
    """What `facts` records hold, of a copy as JSON has it."""
    tags = facts.get("tags", [])
    return (
        isinstance(facts.get("name", ""), str) and len(tags) <= TAGS_MAX
        and all(isinstance(tag, str) and tag != "" for tag in tags)
    )


def keep(directory: str, source: Any) -> Content:
    """Stores the bytes of a file (its path), or these. Takes as long as a copy does."""
    store = os.path.join(directory, ".assets")
    os.makedirs(directory, exist_ok=True)
    own_directory(store)
    unfinished = os.path.join(store, ".%d-%s" % (os.getpid(), os.urandom(8).hex()))
    out = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        content = _hashed(source, lambda data: _write_all(out, data))
        final = os.path.join(store, content["sha256"])
        if os.path.isfile(final) and os.path.getsize(final) == content["size"]:
            os.unlink(unfinished)  # Equal bytes are there already.
        else:
            os.fsync(out)
            os.rename(unfinished, final)
            _sync_directory(store)
        return content
    except BaseException:
        with suppress(OSError):  # What went wrong first is what is told.
            os.unlink(unfinished)
        raise
    finally:
        os.close(out)


def _hashed(source: Any, take: Callable[[bytes], None]) -> Content:
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        _tell_too_large("the data", len(source))
        take(source)
        digest.update(source)
        return {"size": len(source), "sha256": digest.hexdigest()}
    file = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("%s is no plain file" % source)
        _tell_too_large(source, before.st_size)
        size = 0
        while True:
            data = os.read(file, ASSET_CHUNK_BYTES)
            if not data:
                break
            size += len(data)
            _tell_too_large(source, size)
            digest.update(data)
            take(data)
        after = os.fstat(file)
        # Not the time of change: a file that is replaced by rename has a new one, and is whole all the same.
        if _version(before) != _version(after) or size != after.st_size:
            raise ValueError("%s changed while it was read: log it when it is complete" % source)
        return {"size": size, "sha256": digest.hexdigest()}
    finally:
        os.close(file)


def _version(facts: os.stat_result) -> Tuple[int, int]:
    return facts.st_mtime_ns, facts.st_size


def _tell_too_large(what: str, size: int) -> None:
    if size > ASSET_BYTES_MAX:
        raise ValueError("%s has %d bytes, more than %d: log a reference to it"
                         % (what, size, ASSET_BYTES_MAX))


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest):]


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
