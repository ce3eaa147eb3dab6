"""Keeps an agent running for this journal: looks at its beat, starts one when there is none.

The daemon is started as lib/spawn.ts does it: a shell forks it into a session of its own and leaves, so that
it survives the trainer, its process group and a launcher that kills its tree.
"""
import json
import os
import subprocess
import threading
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional

from .errors import RankzeroError
from .journal import Journal, now_ms
from .limits import AGENT_START_PAUSE_MS_MAX, BEAT_STALE_MS, DAEMON_MEMORY, SHELL_MS

DOUBLE_FORK = 'exec </dev/null >/dev/null 2>&1\nexport %s\n"$@" &\n' % DAEMON_MEMORY
NOT_FOR_DAEMONS = (
    "NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "NODE_V8_COVERAGE", "RANKZERO_OWNER",
    "RANKZERO_DAEMON_LOG",
)
"""Meant for the trainer alone: options of its Node, its own loggers' marks."""
PATHS = (
    "RANKZERO_DIR", "RANKZERO_LOCK_DIR", "RANKZERO_SHM_DIR", "RANKZERO_SECRET_FILE", "RANKZERO_CONFIG",
    "RANKZERO_JSONL_DIR", "COMET_CONFIG",
)
"""Relative paths in them are made absolute, since the daemon works elsewhere."""


class KeeperOptions(NamedTuple):
    cli: Optional[List[str]]
    """How our command line is called; None: there is none."""
    meeting: str
    run: Optional[str]
    dir: str
    env: Mapping[str, str]
    first_start_at: int
    """When the first agent may be started (ms): later where somebody else is expected to do it."""
    say: Callable[[str], None]


class AgentKeeper:
    def __init__(self, journal: Journal, options: KeeperOptions) -> None:
        self._journal = journal
        self._options = options
        self._started_at: float = float("-inf")
        self._pause = 0
        self._told = False
        self._lock = threading.Lock()

    @property
    def can_deliver(self) -> bool:
        """Whether anybody could deliver what is in the journal while this process waits."""
        return self._options.cli is not None or self._journal.beat() > 0

    def look(self, now: int) -> None:
        """Starts an agent when none has stamped its beat for BEAT_STALE_MS; then with doubling pauses.

        None while no directory takes the journal: there is nothing to deliver.
        """
        if now >= self._options.first_start_at and self._journal.path:
            self.ensure(now)

    def ensure(self, now: int) -> None:
        """As `look`, without waiting for somebody else to do it. Never waits for another thread's start."""
        if not self._lock.acquire(False):
            return
        try:
            # A distance, so that a clock that is set back does not make an old beat young for ever.
            if abs(now - self._journal.beat()) < BEAT_STALE_MS:
                self._pause = 0
                return
            if abs(now - self._started_at) < self._pause:
                return
            self._pause = min(AGENT_START_PAUSE_MS_MAX, max(BEAT_STALE_MS, 2 * self._pause))
            self._started_at = now
            self._start()
        finally:
            self._lock.release()

    def _start(self) -> None:
        cli, meeting, run, directory, env, _, say = self._options
        if cli is not None:
            args = ["agent", "--meeting", meeting, "--dir", directory]
            args += ["--run", run] if run else []
            spawn_daemon(cli + args, {**env, "RANKZERO_DIR": directory, "RANKZERO_CLI": json.dumps(cli)})
        elif not self._told:
            self._told = True
            say(
                "the rankzero command was not found, so nothing is delivered now: records wait in %s. Set "
                "RANKZERO_CLI to its path, or run rankzero sync later." % self._journal.path
            )


def spawn_daemon(argv: List[str], env: Dict[str, str]) -> None:
    """Starts `argv` as a daemon; the shell between is reaped here. Never raises."""
    clean = {name: value for name, value in env.items() if name not in NOT_FOR_DAEMONS}
    for name in PATHS:
        if clean.get(name):
            clean[name] = os.path.abspath(os.path.expanduser(clean[name]))
    try:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", DOUBLE_FORK, "rankzero"] + argv, env=clean, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=True,
        )
        shell.wait(SHELL_MS / 1000)
    except (OSError, ValueError, subprocess.SubprocessError):
        pass  # The next look tries again; what was logged is in the journal.


def cli_of(env: Mapping[str, str], own: Optional[str] = None) -> Optional[List[str]]:
    """How to call our command line, as argv; None when there is none.

    RANKZERO_CLI (a JSON array, or one path), else the npm package that this directory lies in, else
    `rankzero` on PATH, else what `npx --no-install rankzero` would find: node_modules of the working
    directory or one above it. Raises RankzeroError when RANKZERO_CLI is a path of nothing or no such array.
    """
    given = env.get("RANKZERO_CLI", "").strip()
    if given:
        return _argv_of(given) if given.startswith("[") else _call_of(_existing(given), env)
    own = _own_cli() if own is None else own
    node = _which("node", env)
    if os.path.exists(own) and node is not None:
        return [node, own]
    found = _which("rankzero", env)
    if found is not None:
        return [found]
    above = os.getcwd()
    while True:
        file = os.path.join(above, "node_modules", ".bin", "rankzero")
        if os.access(file, os.X_OK):
            return [file]
        if os.path.dirname(above) == above:
            return None
        above = os.path.dirname(above)


def _own_cli() -> str:
    """From lib/python/rankzero in a checkout and in an installed npm package alike."""
    here = os.path.dirname(os.path.realpath(__file__))
    return os.path.normpath(os.path.join(here, "..", "..", "..", "dist", "cli", "main.js"))


def _which(name: str, env: Mapping[str, str]) -> Optional[str]:
    for directory in env.get("PATH", "").split(os.pathsep):
        file = os.path.join(directory, name)
        if directory and os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return None


def _call_of(path: str, env: Mapping[str, str]) -> List[str]:
    if path.endswith((".js", ".cjs", ".mjs")):
        return [_which("node", env) or "node", os.path.abspath(path)]
    return [os.path.abspath(path) if "/" in path else path]


def _existing(path: str) -> str:
    if "/" not in path or os.path.exists(path):
        return path
    raise RankzeroError(
        "USAGE", "RANKZERO_CLI is '%s': no such file" % path,
        "Set RANKZERO_CLI to the path of the rankzero command, or unset it.",
    )


def _argv_of(text: str) -> List[str]:
    try:
        argv = json.loads(text)
        if isinstance(argv, list) and argv and all(isinstance(part, str) for part in argv):
            return argv
    except ValueError:
        pass  # Told below, together with arrays of something else.
    raise RankzeroError(
        "USAGE", "RANKZERO_CLI is '%s': not a JSON array of texts" % text[:200],
        'Set RANKZERO_CLI to the path of the rankzero command, or to an array such as ["node","/x/main.js"].',
    )
