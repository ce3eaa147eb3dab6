"""Where a journal goes, and its files: made under temporary names, locked, filled, renamed into sight last.

Invariants: nothing is mapped that could fault later (only allocated tmpfs; ext4 and xfs on request); shared
memory is used only while it has room for everyone; the lock file is opened once in the owner and never
again, since closing any descriptor of it would free the lock; a disk that does not answer is passed over.
"""
import mmap
import os
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

if sys.platform != "win32":
    import fcntl

from .aside import answers
from .errors import RankzeroError
from .format import LOCK_NONE, LOCK_POSIX, encode_header
from .limits import RING_BYTES, SEGMENT_BYTES, SHM_FACTOR, SHM_FREE_BYTES_MIN
from .process import (
    ForeignDirectory, file_system, free_bytes, own_directory, remove_file, temporary_suffix,
)


class JournalOptions(NamedTuple):
    origin: Dict[str, Any]
    env: Mapping[str, str]
    overflow_cap: int
    """Outstanding segment bytes after which loss is counted."""
    local_world_size: int
    """Ranks on this node: all of their rings must fit."""
    ring_bytes: int = RING_BYTES
    say: Callable[[str], None] = lambda line: None
    """Told once for each place that another user could write in, which is passed over."""


class Place(NamedTuple):
    """Where one journal is."""

    instance: str
    path: str
    map: Optional[mmap.mmap]
    """The mapping of header and ring, or None: then `fd` is the header's file."""
    header_bytes: int
    fd: int
    lock_fd: int
    directories: List[str]
    """Where segments may be, in the order in which they are tried."""
    overflow_cap: int
    may_use: Callable[[str], bool]

    def release(self) -> None:
        """Frees mapping and lock."""
        close_map(self.map)
        for fd in (self.fd, self.lock_fd):
            if fd >= 0:
                os.close(fd)


def close_map(mapping: Optional[mmap.mmap]) -> None:
    try:
        if mapping is not None:
            mapping.close()
    except BufferError:
        pass  # A view of it is still in use: it goes with the view.


def shm_dir(env: Mapping[str, str]) -> str:
    return env.get("RANKZERO_SHM_DIR") or "/dev/shm/rankzero-%d" % os.getuid()


def pending_dirs(directory: str) -> List[str]:
    """Where journals and segments go when shared memory does not take them."""
    home = os.path.expanduser("~")
    return [os.path.join(directory, ".pending"), os.path.join(home, ".rankzero", "pending")]


def nowhere(o: JournalOptions) -> Place:
    """Where an instance has no files: nothing is written, and what is logged is counted as lost."""
    return Place(o.origin["instance"], "", None, 0, -1, -1, [], o.overflow_cap, lambda directory: False)


def find_place(o: JournalOptions, answers: Callable[[str], bool] = answers) -> Place:
    """`answers`: whether a disk does. Raises RankzeroError when no directory takes a journal."""
    shm = os.path.abspath(shm_dir(o.env))
    ranks = max(1, o.local_world_size)
    pending = pending_dirs(o.origin["dir"])
    refusals: List[str] = []

    def may_use(directory: str) -> bool:
        return directory != shm or _is_roomy(shm, SEGMENT_BYTES, ranks)

    if sys.byteorder != "little":
        raise RankzeroError("JOURNAL", "this machine is big-endian", "Run on a little-endian machine.")
    for directory in [shm] + pending:
        try:
            if not _is_in_memory(directory) and not answers(directory):
                raise OSError("its disk does not answer")
            _own(directory, o.say)
            if directory == shm and not _is_roomy(shm, o.ring_bytes, ranks):
                raise OSError("too little is free")
            ring_bytes = o.ring_bytes if directory == shm and _may_map(shm, o.env) else 0
            directories = [shm] + pending if directory == shm else pending
            return _create(o, directory, directories, ring_bytes, may_use)
        except OSError as error:
            refusals.append("%s: %s" % (directory, error))
    raise RankzeroError(
        "JOURNAL", "no directory takes a journal (%s)" % "; ".join(refusals),
        "Make one of them writable, or set RANKZERO_SHM_DIR or RANKZERO_DIR to a directory that is.",
    )


def _is_in_memory(directory: str) -> bool:
    """By its name alone: asking the file system is what may hang."""
    return directory.startswith("/dev/shm/")


def _is_roomy(directory: str, size: int, ranks: int) -> bool:
    """Room in shared memory for each local rank, with others living there too (NCCL, data loaders)."""
    free = free_bytes(directory)
    return free >= SHM_FREE_BYTES_MIN or free >= SHM_FACTOR * size * ranks


def _may_map(directory: str, env: Mapping[str, str]) -> bool:
    """The file system decides: elsewhere a store may stall for write-back or fault."""
    type_ = file_system(directory)
    return type_ == "tmpfs" or ("RANKZERO_SHM_DIR" in env and type_ in ("ext4", "xfs"))


def _own(directory: str, say: Callable[[str], None]) -> None:
    try:
        own_directory(directory)
    except ForeignDirectory as error:
        say("the journal goes elsewhere: %s" % error)
        raise


def _create(
    o: JournalOptions, directory: str, directories: List[str], ring_bytes: int,
    may_use: Callable[[str], bool],
) -> Place:
    instance: str = o.origin["instance"]
    path = os.path.join(directory, instance + ".jnl")
    lock = os.path.join(directory, instance + ".lock")
    suffix = temporary_suffix()
    mapping: Optional[mmap.mmap] = None
    lock_fd = fd = -1
    try:
        lock_fd = _lock_file(lock + suffix)
        lock_mode = LOCK_POSIX if lock_fd >= 0 else LOCK_NONE
        if ring_bytes > 0:
            page = encode_header(o.origin, ring_bytes, directories, lock_mode)
            mapping = _map_file(path + suffix, len(page) + ring_bytes)
        if mapping is not None:
            mapping[:len(page)] = bytes(page)
        else:
            page = encode_header(o.origin, 0, directories, lock_mode)
            fd = os.open(path + suffix, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if os.write(fd, page) < len(page):
                raise OSError("no space for the header")
        if lock_fd >= 0:
            os.rename(lock + suffix, lock)
        os.rename(path + suffix, path)
        place = (instance, path, mapping, len(page), fd, lock_fd, directories, o.overflow_cap, may_use)
        return Place(*place)
    except BaseException:
        close_map(mapping)
        for each in (fd, lock_fd):
            if each >= 0:
                os.close(each)
        for file in (lock + suffix, path + suffix, lock):
            remove_file(file)
        raise


def _lock_file(path: str) -> int:
    """Descriptor of a new file with a POSIX write lock on all of it, or -1 where that is not supported."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        os.close(fd)
        remove_file(path)
        return -1


def _map_file(path: str, size: int) -> Optional[mmap.mmap]:
    """A new file, allocated before it is mapped: a store to a hole of a full file system is SIGBUS."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
        return _populated(fd, size)
    except (AttributeError, OSError, ValueError):
        remove_file(path)
        return None
    finally:
        os.close(fd)


def _populated(fd: int, size: int) -> mmap.mmap:
    """Every page is there at once: a first touch inside log() would cost a fault each."""
    flags: Tuple[int, int] = (mmap.MAP_SHARED, getattr(mmap, "MAP_POPULATE", 0))
    mapping = mmap.mmap(fd, size, flags=flags[0] | flags[1], prot=mmap.PROT_READ | mmap.PROT_WRITE)
    if not flags[1]:
        for at in range(0, size, mmap.PAGESIZE):
            mapping[at] = 0
    return mapping
