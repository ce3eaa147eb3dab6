"""init(): who am I, which run is this, where does the journal go; then a run that is one per process."""
import json
import os
import re
import sys
import threading
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from . import hooks
from .agent import AgentKeeper, KeeperOptions, cli_of
from .aside import read_aside
from .errors import RankzeroError
from .format import json_bytes
from .journal import Journal, now_ms
from .late import open_journal
from .limits import AGENT_PATIENCE_MS, BEAT_STALE_MS, RECORD_BYTES_MAX
from .meeting import Meeting, head_candidates, is_alone, launched_by, meeting_id
from .place import JournalOptions
from .process import Facts, boot_id, pid_namespace, proc_start, read_facts
from .rank import (
    ARGUMENT, SINGLE, TOO_LARGE, Explicit, Identity, Owner, format_owner, identify, is_owned_tuple,
    parse_owner,
)
from .run import RunFacts, WorkerRun, say_line
from .settings import Settings, read_settings
from .types import Run, SilentRun
from .values import plain

Say = Callable[[str], None]

OF_A_RUN = ("RANKZERO_RUN", "RANKZERO_MEETING", "RANKZERO_SUPERVISOR", "RANKZERO_HEAD")
"""What a supervisor tells its children of its run: void together."""


class _Open(NamedTuple):
    run: Run
    options: str


_open: Optional[_Open] = None
_warned = False
_opening = threading.RLock()


def init(
    project: Optional[str] = None,
    name: Optional[str] = None,
    config: Optional[Mapping[str, Any]] = None,
    key: Optional[str] = None,
    rank: Optional[int] = None,
    world_size: Optional[int] = None,
    local_rank: Optional[int] = None,
    capture: bool = False,
) -> Run:
    """The run of this process; a second call returns the open one.

    `config`: hyperparameters, anything that JSON can say. `key`: experiment key, held by one run at a time.
    `rank`, `world_size` and `local_rank`: default is what the launcher says (`rankzero doctor` shows which).
    `capture`: what sys.stdout and sys.stderr print is also kept as text of the run.

    Raises RankzeroError when rank, world_size and local_rank contradict each other, or world_size is above
    2^20. When no directory takes its journal, that is told on stderr, values are counted as lost, and every
    2 s it is tried again.
    """
    global _open, _warned
    options: Dict[str, Any] = {
        "project": project, "name": name, "config": config, "key": key, "rank": rank,
        "world_size": world_size, "local_rank": local_rank, "capture": capture,
    }
    given = _given(options)
    with _opening:
        if _open is not None:
            if given not in (_open.options, _given({})) and not _warned:
                _warned = True
                say_line(_open.run.rank, "init() was called again with other arguments: they are ignored, as "
                         "the run is open already. Call run.end() first to begin another.")
            return _open.run
        run = _start(options)
        _open, _warned = _Open(run, given), False
        hooks.at_fork(_forget)
        return run


def _given(options: Dict[str, Any]) -> str:
    try:
        return json.dumps(plain({name: value for name, value in options.items() if value}), sort_keys=True)
    except Exception:
        return ""


def _close() -> None:
    global _open
    _open = None
    hooks.watch(None)


def _forget() -> None:
    """In a forked child, where another thread may have been opening."""
    global _open, _opening
    _opening = threading.RLock()
    _open = None


def _start(options: Dict[str, Any]) -> Run:
    if sys.platform == "win32":
        say_line(None, "Windows is not supported: nothing is recorded. Use Linux or macOS, or WSL.")
        return SilentRun(0, 1, 0, "", _close)
    env = _environment()
    facts = read_facts()
    identity = identify(env, facts, Explicit(options["rank"], options["world_size"], options["local_rank"]))
    node = os.uname().nodename

    def say(line: str) -> None:
        say_line(identity.rank, line)

    if _is_shadow(env, facts, identity):
        return SilentRun(identity.rank, identity.world_size, identity.local_rank, node, _close)
    settings = read_settings({name: options[name] for name in ("project", "name", "key")}, env, say)
    if settings.overruled and env.get("RANKZERO_RANK", "0") == "0":
        say("%s from init(): under rankzero run, flags and environment decide."
            % "; ".join(settings.overruled))
    _forget_ended_run(env, settings.dir, say)
    meeting = meeting_id(env, facts, identity)
    if is_alone(meeting, identity):
        say("nothing says which run this rank of %d belongs to, so it is a run of its own. Start the ranks "
            "with rankzero run, or set MASTER_ADDR and MASTER_PORT for all of them." % identity.world_size)
    if identity.source != ARGUMENT:
        _tell_too_large(identity, say)
    if identity.rank == 0 and identity.source != ARGUMENT:
        _tell_conflicts(identity, say)
    cli = _find_cli(env, say)
    origin = {
        "instance": os.urandom(16).hex(), "meeting": meeting.meeting, "run": env.get("RANKZERO_RUN") or None,
        "role": "worker", "rank": identity.rank, "worldSize": identity.world_size,
        "localRank": identity.local_rank, "node": node, "bootId": facts.boot_id, "pidns": pid_namespace(),
        "pid": facts.pid, "procStart": facts.proc_start, "startedAt": now_ms(), "dir": settings.dir,
        "cli": json.dumps(cli) if cli is not None else "", "localWorldSize": identity.local_world_size,
        **_traces(env, facts, meeting),
        **head_candidates(env, identity.world_size, identity.local_world_size),
    }
    local_world = identity.local_world_size or identity.world_size
    journal = open_journal(JournalOptions(origin, env, settings.overflow_cap, local_world, say=say))
    owner = Owner(facts.pid, identity.rank, identity.world_size, identity.local_rank, meeting.meeting)
    os.environ["RANKZERO_OWNER"] = format_owner(owner)
    body = _open_body(identity, settings, options["config"], say)
    return _open_run(env, identity, origin, journal, cli, settings, body, bool(options["capture"]), say)


def _open_run(
    env: Dict[str, str], identity: Identity, origin: Dict[str, Any], journal: Journal,
    cli: Optional[List[str]], settings: Settings, body: Dict[str, Any], capture: bool, say: Say,
) -> WorkerRun:
    supervised = _is_supervised(env)
    # The supervisor starts one itself; else local rank 0 does, the others only if it does not come to log.
    patience = BEAT_STALE_MS if supervised else 0 if identity.local_rank == 0 else AGENT_PATIENCE_MS
    keeper = AgentKeeper(journal, KeeperOptions(
        cli, origin["meeting"], origin["run"], settings.dir, env, now_ms() + patience, say,
    ))

    def on_end() -> None:
        _close()
        os.environ.pop("RANKZERO_OWNER", None)

    run = WorkerRun(RunFacts(
        identity.rank, identity.world_size, identity.local_rank, origin["node"], settings.dir,
        origin["run"], body, settings.exit_timeout_ms, lambda: supervised and _is_supervised(env), on_end,
    ), journal, keeper, capture)
    hooks.watch(run)
    return run


def _traces(env: Mapping[str, str], facts: Facts, meeting: Meeting) -> Dict[str, str]:
    """What may tell of this process when it is gone, and whose it was."""
    launch = env["RANKZERO_SUPERVISOR"] if _is_supervised(env) else launched_by(meeting, facts)
    traces = {"launch": launch, "errorFile": env.get("TORCHELASTIC_ERROR_FILE")}
    return {name: value for name, value in traces.items() if value}


def _environment() -> Dict[str, str]:
    """As Node reads it: bytes that are no UTF-8 are replaced."""
    return {name: os.fsencode(value).decode("utf-8", "replace") for name, value in os.environ.items()}


def _is_shadow(env: Mapping[str, str], facts: Facts, identity: Identity) -> bool:
    """A child that inherited the rank of a process that logs for it already: data loaders, pools.

    One with a rank of its own is not; one that nothing gives a rank has none of its own, whatever rank
    init() gave its parent. Nor are we by our own mark, of a run that is over.
    """
    owner = parse_owner(env, facts)
    if owner is None or owner.pid == facts.pid:
        return False
    mine = (identity.rank, identity.world_size, identity.local_rank)
    return is_owned_tuple(owner, mine) or identity.source == SINGLE


def _forget_ended_run(env: Dict[str, str], directory: str, say: Say) -> None:
    """A RANKZERO_RUN that leaked in from a shell or an earlier job must not bring its run back to life."""
    run = env.get("RANKZERO_RUN")
    if not run:
        return
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run) is None:
        why = "that is no run id"
    elif _is_supervised(env):
        return  # It has not ended, and its directory need not be asked.
    elif _has_ended(os.path.join(directory, run, "status.json")):
        why = "that run has ended"
    else:
        return
    say("RANKZERO_RUN is '%s', but %s: it is ignored and a new run begins. Unset RANKZERO_RUN."
        % (run[:128], why))
    for name in OF_A_RUN:
        env.pop(name, None)


def _has_ended(path: str) -> bool:
    try:
        status = json.loads(read_aside(path))
        return isinstance(status, dict) and status.get("state") == "ended"
    except ValueError:
        return False


def _is_supervised(env: Mapping[str, str]) -> bool:
    """Whether the supervisor of RANKZERO_SUPERVISOR (`<pid>:<start time>:<boot id>`) lives on this node."""
    match = re.fullmatch(r"([0-9]{1,15}):([1-9][0-9]{0,18}):(.+)", env.get("RANKZERO_SUPERVISOR", ""))
    if match is None or match.group(3) != boot_id():
        return False
    return proc_start(int(match.group(1))) == int(match.group(2))


def _tell_conflicts(identity: Identity, say: Say) -> None:
    if not identity.conflicts:
        return
    others = "; ".join(
        "%s (%s) say %d of %d" % (", ".join(claim.variables), claim.source, claim.rank, claim.world_size)
        for claim in identity.conflicts
    )
    say("rank %d of %d is from %s; %s. If that is wrong, pass rank and world_size to init(); rankzero doctor "
        "shows more." % (identity.rank, identity.world_size, identity.source, others))


def _tell_too_large(identity: Identity, say: Say) -> None:
    """Nobody would take such a rank: the aggregator refuses it, and with it the agent of its whole node."""
    for rejected in identity.rejected:
        if rejected.why.startswith(TOO_LARGE):
            say("%s: %s: ignored, so this is rank %d of %d. Correct that, or pass rank and world_size to "
                "init()." % (rejected.source, rejected.why, identity.rank, identity.world_size))


def _find_cli(env: Dict[str, str], say: Say) -> Optional[List[str]]:
    try:
        return cli_of(env)
    except RankzeroError as error:
        say("%s; ignored. %s" % (error.message, error.remedy))
        return cli_of({name: value for name, value in env.items() if name != "RANKZERO_CLI"})


def _open_body(identity: Identity, settings: Settings, config: Any, say: Say) -> Dict[str, Any]:
    body: Dict[str, Any] = {"source": identity.source}
    named = (("project", settings.project), ("name", settings.name), ("key", settings.key))
    body.update((name, value) for name, value in named if value is not None)
    if config is None:
        return body
    copy = plain(config)
    if not isinstance(copy, dict):
        say("init(config=) is not a dict that can be read: it is left out. Pass a dict.")
    elif len(json_bytes(copy)) > RECORD_BYTES_MAX // 2:
        say("init(config=) takes %d bytes: it is left out. Keep it below %d, or pass parts of it to "
            "run.params." % (len(json_bytes(copy)), RECORD_BYTES_MAX // 2))
    else:
        body["config"] = copy
    return body
