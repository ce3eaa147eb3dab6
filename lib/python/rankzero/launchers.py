"""The table of launchers: one row each, in the order in which they are asked.

The same table as lib/rank/launchers.ts, where each row is explained; test/python/rank.test.ts holds both to
the same answers.
"""
import re
from typing import Callable, Mapping, NamedTuple, Optional, Tuple

from .process import Facts

Env = Mapping[str, str]

SLURM_STEP_REAL_BELOW = 4294967280
"""Slurm's own pseudo steps (batch, extern, interactive) have ids from here on; a real step is below."""
TRIPLE = "env"
"""The bare triple RANK, WORLD_SIZE, LOCAL_RANK: see identify() for its rule."""
LAUNCHER_NAMES = frozenset((
    "pt_elastic", "torchrun", "accelerate", "deepspeed", "composer", "horovodrun", "mpirun", "mpirun.openmpi",
    "mpirun.mpich", "mpiexec", "mpiexec.openmpi", "mpiexec.mpich", "mpiexec.hydra", "orterun", "prterun",
    "orted", "prted", "hydra_pmi_proxy", "hydra_bstrap_pr", "jsrun", "jsmd", "flux-shell", "slurmstepd",
    "palsd",
))
"""Launchers by the command name that the kernel shows. One such process is one launch per node."""


class Launcher(NamedTuple):
    source: str
    rank: Optional[str]
    """Variable of the global rank; None: computed from `node`, `world` and `nodes` (Lightning)."""
    world: str
    local: Tuple[str, ...]
    """The first that is present decides; none present: the rank stands in (right on one node)."""
    local_world: Tuple[str, ...] = ()
    local_world_from: Optional[Callable[[Env], Optional[int]]] = None
    node: Optional[str] = None
    nodes: Tuple[str, ...] = ()
    when: Optional[Callable[[Env], bool]] = None
    """Whether this launcher is here at all, beyond its rank variable."""
    objection: Optional[Callable[[Env, Facts], Optional[str]]] = None
    """Why its variables, though there, must not be taken."""
    launch: Tuple[str, ...] = ()
    """Variables whose values together name one launch, on every node of it; see meeting.py."""


def whole_number(text: Optional[str]) -> Optional[int]:
    """A whole number written in digits, else None: '', '1.0', ' 1', '0x1' and '-1' are no ranks."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,15}", text) else None


def is_slurm_step(env: Env) -> bool:
    step = whole_number(env.get("SLURM_STEP_ID"))
    return step is not None and step < SLURM_STEP_REAL_BELOW


def _slurm_local_world(env: Env) -> Optional[int]:
    """Entry SLURM_NODEID of a run-length list such as `2(x3),1`."""
    node = whole_number(env.get("SLURM_NODEID"))
    passed = 0
    found = None
    for part in env.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:\(x([0-9]{1,6})\))?", part)
        if match is None:
            return None
        passed += int(match.group(2) or 1)
        if found is None and node is not None and node < passed:
            found = int(match.group(1))
    return found


def _not_our_worker(env: Env, facts: Facts) -> Optional[str]:
    """Our supervisor recorded itself as the workers' parent and set the common names to the same numbers.

    What came by another way leaked in; what a launcher between it and us gave anew is the inner one's to say.
    """
    parent = whole_number(env.get("RANKZERO_PARENT_PID"))
    pids = [process.pid for process in facts.ancestors]
    if parent not in pids:
        return "RANKZERO_PARENT_PID=%s is no ancestor of this process" % env.get("RANKZERO_PARENT_PID", "")
    for process in facts.ancestors[:pids.index(parent)]:
        if process.name in LAUNCHER_NAMES:
            return "%s (pid %d) started this process anew below it" % (process.name, process.pid)
    for name in ("RANK", "WORLD_SIZE"):
        if name in env and env[name] != env.get("RANKZERO_" + name):
            shown = (env.get("RANK", ""), env.get("WORLD_SIZE", ""))
            return "RANK=%s WORLD_SIZE=%s were set anew below it" % shown
    return None


LAUNCHERS: Tuple[Launcher, ...] = (
    Launcher(
        "rankzero", "RANKZERO_RANK", "RANKZERO_WORLD_SIZE", ("RANKZERO_LOCAL_RANK",),
        ("RANKZERO_LOCAL_WORLD_SIZE",), node="RANKZERO_NODE_RANK", objection=_not_our_worker,
    ),
    Launcher(
        "torchelastic", "RANK", "WORLD_SIZE", ("LOCAL_RANK",), ("LOCAL_WORLD_SIZE",), node="GROUP_RANK",
        when=lambda env: "TORCHELASTIC_RUN_ID" in env and "LOCAL_RANK" in env,
    ),
    Launcher(
        "horovod", "HOROVOD_RANK", "HOROVOD_SIZE", ("HOROVOD_LOCAL_RANK",), ("HOROVOD_LOCAL_SIZE",),
        node="HOROVOD_CROSS_RANK", launch=("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT"),
    ),
    Launcher(
        TRIPLE, "RANK", "WORLD_SIZE", ("LOCAL_RANK",), ("LOCAL_WORLD_SIZE", "LOCAL_SIZE"), node="NODE_RANK",
        objection=lambda env, _: (
            None if "LOCAL_RANK" in env else "RANK without LOCAL_RANK numbers a node or a pod"
        ),
    ),
    Launcher(
        "lightning", None, "WORLD_SIZE", ("LOCAL_RANK",), node="NODE_RANK",
        nodes=("NUM_NODES", "GROUP_WORLD_SIZE", "SLURM_NNODES"),
        when=lambda env: "LOCAL_RANK" in env and "NODE_RANK" in env and "RANK" not in env,
    ),
    Launcher(
        "openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ("OMPI_COMM_WORLD_LOCAL_RANK",),
        ("OMPI_COMM_WORLD_LOCAL_SIZE",), launch=("OMPI_MCA_orte_hnp_uri", "PMIX_NAMESPACE"),
    ),
    Launcher(
        "jsm", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", ("JSM_NAMESPACE_LOCAL_RANK",),
        ("JSM_NAMESPACE_LOCAL_SIZE",),
    ),
    Launcher(
        "pals", "PALS_RANKID", "PMI_SIZE", ("PALS_LOCAL_RANKID", "PMI_LOCAL_RANK"), ("PMI_LOCAL_SIZE",),
        node="PALS_NODEID", when=lambda env: "PALS_APID" in env, launch=("PALS_APID",),
    ),
    Launcher(
        "mvapich2", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", ("MV2_COMM_WORLD_LOCAL_RANK",),
        ("MV2_COMM_WORLD_LOCAL_SIZE",),
    ),
    Launcher(
        "slurm-pmi2", "PMI_RANK", "PMI_SIZE", ("SLURM_LOCALID",), local_world_from=_slurm_local_world,
        node="SLURM_NODEID",
        when=lambda env: (
            "PMI_JOBID" in env and is_slurm_step(env) and env.get("PMI_RANK") == env.get("SLURM_PROCID")
            and env.get("PMI_SIZE") == env.get("SLURM_STEP_NUM_TASKS")
        ),
    ),
    Launcher(
        "pmi", "PMI_RANK", "PMI_SIZE", ("MPI_LOCALRANKID", "PMI_LOCAL_RANK"),
        ("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"),
    ),
    Launcher("flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", ("FLUX_TASK_LOCAL_ID",), launch=("FLUX_JOB_ID",)),
    Launcher(
        "slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", ("SLURM_LOCALID",),
        local_world_from=_slurm_local_world, node="SLURM_NODEID",
        objection=lambda env, _: (
            None if is_slurm_step(env) else "SLURM_STEP_ID names no real step (a batch or interactive shell)"
        ),
    ),
)
