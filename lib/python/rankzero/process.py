"""Processes and files, as the journal and the rank need them. Nothing here raises but own_directory."""
import os
import stat
from typing import List, NamedTuple, Tuple

ANCESTORS_MAX = 64
"""More ancestors than any launcher stacks up; ends a loop that a racing /proc could show."""


class ProcessFact(NamedTuple):
    """A live process above us. `name` is its command name as the kernel has it (at most 15 bytes)."""

    pid: int
    start: int
    name: str


class Facts(NamedTuple):
    """What a process knows about itself besides its environment."""

    pid: int
    proc_start: int
    boot_id: str
    uid: int
    ancestors: Tuple[ProcessFact, ...]


def content_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _stat_of(pid: int) -> Tuple[str, List[str]]:
    """Command name, and the fields of /proc/<pid>/stat from the third (state) on; ('', []) without one."""
    text = content_of("/proc/%d/stat" % pid)
    close = text.rfind(")")
    if close < 0:
        return "", []
    return text[text.index("(") + 1:close], text[close + 2:].split(" ")


def proc_start(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat, clock ticks since boot; 0 when unknown."""
    fields = _stat_of(pid)[1]
    return int(fields[19]) if len(fields) > 19 else 0


def boot_id() -> str:
    return content_of("/proc/sys/kernel/random/boot_id").strip()


def pid_namespace() -> int:
    """Inode of our pid namespace, 0 when unknown."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def read_facts() -> Facts:
    pid = os.getpid()
    found: List[ProcessFact] = []
    above = os.getppid()
    while above > 0 and len(found) < ANCESTORS_MAX:
        name, fields = _stat_of(above)
        known = len(fields) > 19
        found.append(ProcessFact(above, int(fields[19]) if known else 0, name))
        above = int(fields[1]) if known else 0
    return Facts(pid, proc_start(pid), boot_id(), os.getuid(), tuple(found))


def temporary_suffix() -> str:
    """Half made by a process that can be recognised: FORMAT.md, "Files of one instance"."""
    pid = os.getpid()
    return ".%d-%d-%d.tmp" % (pid_namespace(), pid, proc_start(pid))


OTHERS_MAY_WRITE = 0o022


class ForeignDirectory(OSError):
    """Another user could write in it."""


def own_directory(path: str) -> None:
    """mkdir -p. Raises OSError unless it is ours alone: a name in /dev/shm can be taken by anyone first."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    facts = os.stat(path)
    for uid in (os.lstat(path).st_uid, facts.st_uid):
        if uid != os.getuid():
            text = "%s belongs to user %d, not to %d: it is not used"
            raise ForeignDirectory(text % (path, uid, os.getuid()))
    if facts.st_mode & OTHERS_MAY_WRITE:
        mode = stat.S_IMODE(facts.st_mode)
        text = "%s has mode %o, so others may write in it: it is not used; chmod 700 %s"
        raise ForeignDirectory(text % (path, mode, path))


def remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # Gone already, or the directory is read-only: the agent's next scan tries again.


def file_system(path: str) -> str:
    """Type of the file system that `path` is on, by its device number; '' when that cannot be told."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return ""
    wanted = "%d:%d" % (os.major(device), os.minor(device))
    for line in content_of("/proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == wanted and "-" in fields:
            return fields[fields.index("-") + 1]
    return ""


def free_bytes(path: str) -> int:
    """Bytes that an ordinary user may still take."""
    try:
        facts = os.statvfs(path)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize
