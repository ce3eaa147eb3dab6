"""Which run do I belong to, and where may its head be? Pure. A port of lib/rank/meeting.ts and candidates.ts.

Meeting id: what the processes of one job know before they know the run id. 32 hex digits of sha256 over kind,
launcher, value and uid, so that two users never meet.
"""
import hashlib
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .launchers import LAUNCHER_NAMES, LAUNCHERS, Env, is_slurm_step
from .process import Facts, ProcessFact
from .rank import Identity, parse_owner

WRAPPERS = frozenset((
    "sh", "bash", "dash", "zsh", "fish", "ksh", "csh", "tcsh", "busybox", "env", "timeout", "nohup", "nice",
    "setsid", "numactl", "taskset", "stdbuf", "time", "strace",
))
"""Passed through on the way up: a wrapper says nothing about who launched the ranks."""
STRANGERS = frozenset((
    "init", "systemd", "cron", "crond", "atd", "sshd", "sshd-session", "login", "su", "sudo", "tmux",
    "screen", "tini", "docker-init", "dumb-init", "catatonit", "conmon", "containerd-shim",
    "supervisord", "make", "xargs", "parallel", "npm",
))
"""Never a launch of ours: they start unrelated jobs side by side."""


class Meeting(NamedTuple):
    meeting: str
    source: str
    """What decided."""


def meeting_id(env: Env, facts: Facts, identity: Identity) -> Meeting:
    named = env.get("RANKZERO_MEETING", "")
    if re.fullmatch(r"[0-9a-f]{32}", named):
        return Meeting(named, "meeting")
    run = env.get("RANKZERO_RUN")
    if run:
        return Meeting(_digest("run", run, str(facts.uid)), "run")
    owner = parse_owner(env, facts)
    if owner is not None and owner.world_size == identity.world_size:
        return Meeting(owner.meeting, "owner")
    source, value = _meeting_value(env, facts, identity)
    return Meeting(_digest(source, identity.launcher, value, str(facts.uid)), source)


def is_alone(meeting: Meeting, identity: Identity) -> bool:
    """Ranks of a larger world that nothing ties together: each will be a run of its own."""
    return meeting.source == "alone" and identity.world_size > 1


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _meeting_value(env: Env, facts: Facts, identity: Identity) -> Tuple[str, str]:
    alone = ("alone", "%s %d %d" % (facts.boot_id, facts.pid, facts.proc_start))
    if identity.launcher == "single" and identity.world_size == 1:
        return alone
    # Before Slurm: of mpirun in an allocation, only the daemons on the other nodes run in a step.
    launch = _launch_of(identity.launcher, env)
    if launch is not None:
        return "launch", launch
    if env.get("SLURM_JOB_ID") and is_slurm_step(env):
        return "slurm", "%s.%s" % (env["SLURM_JOB_ID"], env["SLURM_STEP_ID"])
    if identity.launcher == "torchelastic" and env.get("TORCHELASTIC_RUN_ID") != "none":
        return "torchelastic", env.get("TORCHELASTIC_RUN_ID", "")
    if identity.world_size == 1:
        return alone

    address, port = env.get("MASTER_ADDR"), env.get("MASTER_PORT")
    master = "%s:%s" % (address, port) if address and port else None
    local = identity.local_world_size
    one_node = local == identity.world_size or (local is None and master is None)
    launcher = _launcher_above(facts) if one_node else None
    if launcher is not None:
        return "launcher", _spelled(launcher, facts)
    if master is not None:
        return "master", master
    # Ranks that a program of the user's started, with nothing in the environment: their parent ties them.
    if facts.ancestors and _is_program(facts.ancestors[0]):
        return "parent", _spelled(facts.ancestors[0], facts)
    return alone


def launched_by(meeting: Meeting, facts: Facts) -> Optional[str]:
    """The launcher process of a meeting whose id a next job may use again (a job name, a port).

    With it, an aggregator tells the two jobs apart: `<pid>:<start time>:<boot id>`.
    """
    launcher = _launcher_above(facts) if meeting.source in ("torchelastic", "master") else None
    return None if launcher is None else "%d:%d:%s" % (launcher.pid, launcher.start, facts.boot_id)


def _launch_of(source: str, env: Env) -> Optional[str]:
    names = next((launcher.launch for launcher in LAUNCHERS if launcher.source == source), ())
    values = [env[name] for name in names if env.get(name)]
    return " ".join(values) if values else None


def _launcher_above(facts: Facts) -> Optional[ProcessFact]:
    """The nearest launcher above, looking through shells and other wrappers only."""
    for process in facts.ancestors:
        if process.name in LAUNCHER_NAMES:
            return process
        if process.name not in WRAPPERS:
            return None
    return None


def _is_program(process: ProcessFact) -> bool:
    """Whether it may be one that starts ranks; names such as `tmux: server` count by their first word."""
    first = re.split("[ :]", process.name)[0]
    return process.pid > 1 and process.name not in WRAPPERS and first not in STRANGERS


def _spelled(process: ProcessFact, facts: Facts) -> str:
    return "%s %d %d" % (facts.boot_id, process.pid, process.start)


# --- where the head may be

LOOPBACK = re.compile(r"(127(\.[0-9]{1,3}){3}|localhost|::1|0\.0\.0\.0|::)", re.IGNORECASE)
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:%-]*[A-Za-z0-9.])?")
IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*")
HOST_LENGTH_MAX = 253


def head_candidates(env: Env, world_size: int, local_world_size: Optional[int]) -> Dict[str, Any]:
    """`head` (RANKZERO_HEAD: there and nowhere else) and `candidates`, as far as there are any."""
    found: Dict[str, Any] = {}
    head = env.get("RANKZERO_HEAD", "").strip()
    if head and is_host(head):
        found["head"] = head
    if world_size <= (1 if local_world_size is None else local_world_size):
        return found
    names = (env.get("MASTER_ADDR", "").strip(), first_host(env.get("SLURM_STEP_NODELIST", "").strip()))
    useful: List[str] = []
    for name in names:
        # A loopback address names every node's own self.
        if HOST.fullmatch(name) and not LOOPBACK.fullmatch(name) and name not in useful:
            useful.append(name)
    if useful:
        found["candidates"] = useful
    return found


def is_host(text: str) -> bool:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    match = (
        re.fullmatch(r"\[([0-9A-Fa-f:.%]+)\](?::([0-9]{1,5}))?", text)
        or re.fullmatch(r"([^:]+)(?::([0-9]{1,5}))?", text)
    )
    if match is None:
        return IPV6.fullmatch(text) is not None and len(text) <= HOST_LENGTH_MAX
    host, port = match.group(1), match.group(2)
    if port is not None and not 1 <= int(port) <= 65_535:
        return False
    return (HOST.fullmatch(host) is not None or ":" in host) and len(host) <= HOST_LENGTH_MAX


def first_host(nodes: str) -> str:
    """The first host of a Slurm list such as `node[03-05,7],login`: `node03`."""
    match = re.match(r"(?:[^,\[\]]|\[[^\[\]]*\])*", nodes)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", match.group(0) if match is not None else "")
