"""What may hang for ever, done aside: by a small process that is waited for within a time, and then left.

The kernel lets nobody go who waits for a dead disk, no thread either, and a process exits with its last
thread. lib/aside.ts says more.
"""
import subprocess
from typing import List, Optional, Tuple

from .limits import DISK_ANSWER_MS, JSON_FILE_BYTES_MAX

PROGRAM = 'PATH=/usr/bin:/bin:$PATH; exec "$@"'
"""The shell is what we start, so that a PATH on a dead disk stops it and not us."""
TOUCH = 'd=$1; while [ -n "$d" ] && [ ! -e "$d" ]; do d=${d%/*}; done; exec touch -ca -- "${d:-/}"'
"""Asks the nearest directory that is there for a read and, changing a time of access at most, a write."""

READ = '[ -f "$1" ] && exec head -c "$2" -- "$1"'


def ask(argv: List[str], ms: int) -> Optional[Tuple[int, bytes]]:
    """Exit status and output; None: nothing within the time. Never raises."""
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", PROGRAM, "rankzero"] + argv, cwd="/", start_new_session=True, close_fds=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return 1, b""
    try:
        output, _ = child.communicate(timeout=ms / 1000)
        return child.returncode, output
    except subprocess.TimeoutExpired:
        child.kill()
        if child.stdout is not None:
            child.stdout.close()
        return None


def read_aside(path: str) -> bytes:
    """Content of a file; empty when there is none, or its disk says nothing in time."""
    answer = ask(["sh", "-c", READ, "rankzero", path, str(JSON_FILE_BYTES_MAX)], DISK_ANSWER_MS)
    return answer[1] if answer is not None and answer[0] == 0 else b""


def answers(path: str) -> bool:
    return ask(["sh", "-c", TOUCH, "rankzero", path], DISK_ANSWER_MS) is not None
