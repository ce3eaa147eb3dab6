"""Segments: append-only files of records, made when there is no ring or it is full.

Invariants (FORMAT.md, "Segments"): n+1 is made only when n will never be written again; a failed write leaves
no part of a record behind. It never deletes: the agent does, once all of a segment is safe elsewhere.
"""
import io
import os
from typing import Callable, List, Optional, Tuple

from .limits import SEGMENT_BYTES
from .process import own_directory, remove_file

SEGMENT_BYTES_MIN = 16 * 1024
"""Segments are deleted whole, so a low cap needs several below it; smaller than this is all overhead."""


def segment_name(instance: str, n: int) -> str:
    return "%s.%d.seg" % (instance, n)


class Segments:
    def __init__(
        self, instance: str, directories: List[str], cap: int, may_use: Callable[[str], bool]
    ) -> None:
        self._instance = instance
        self._directories = directories
        self._may_use = may_use
        self.limit = int(min(SEGMENT_BYTES, max(SEGMENT_BYTES_MIN, cap / 4)))
        """Size at which a segment is closed."""
        self.closed_bytes = 0
        """Bytes in closed segments that the agent has not deleted."""
        self._file: Optional[io.FileIO] = None
        self._path = ""
        self._n = 0
        self._closed: List[Tuple[int, int]] = []

    # `used` is the size of the open segment. The journal keeps it, in one tuple with its other counters.

    def fits(self, used: int, size: int) -> bool:
        """Whether the open segment takes `size` more bytes; one that is empty takes any record."""
        return self._file is not None and (used == 0 or used + size <= self.limit)

    def open(self, skip: int) -> int:
        """Opens the next segment, in the first directory after `skip` others that takes it; -1: in none."""
        for i in range(skip, len(self._directories)):
            directory = self._directories[i]
            if not self._may_use(directory):
                continue
            try:
                own_directory(directory)
                path = os.path.join(directory, segment_name(self._instance, self._n + 1))
                # Not exclusively: the name is ours alone, and an interrupted open may have left it empty.
                self._file = io.FileIO(path, "w", opener=_open_private)
                self._path = path
                self._n += 1
                return i
            except OSError:
                continue  # The next directory may do; when none does the caller counts the loss.
        return -1

    def write(self, record: bytes, used: int) -> bool:
        """False when the file system refuses; the segment then ends before this record."""
        file = self._file
        if file is None:
            return False
        done = 0
        try:
            while done < len(record):
                done += file.write(record if done == 0 else record[done:]) or 0
        except (OSError, ValueError):
            self.cut(used)
            return False
        return True

    def tail(self, used: int) -> bytes:
        """What the open segment holds beyond `used`: all or part of an interrupted write."""
        if self._file is None:
            return b""
        try:
            with open(self._path, "rb") as file:
                file.seek(used)
                return file.read()
        except OSError:
            return b""

    def finish(self, last_seq: int, used: int) -> None:
        """No more records go to the open segment; an empty one is removed and its number used again."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if used > 0:
            self._closed.append((last_seq, used))
            self.closed_bytes += used
        else:
            self._n -= 1
            remove_file(self._path)

    def forget(self, trimmed: float) -> None:
        """The agent has deleted the segments whose records are all up to `trimmed`."""
        while self._closed and self._closed[0][0] <= trimmed:
            self.closed_bytes -= self._closed.pop(0)[1]

    def cut(self, used: int) -> None:
        try:
            if self._file is not None:
                self._file.truncate(used)
                self._file.seek(used)
        except (OSError, ValueError):
            pass  # Readers pass over a torn end when the next segment continues the sequence.

    def abandon(self) -> None:
        """In a forked child: the file is the parent's, only this copy of its descriptor is ours."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
