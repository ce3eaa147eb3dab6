"""Who am I? Pure: environment and process facts are arguments. A port of lib/rank/index.ts.

Invariants: a tuple comes from one source as a whole; 0 <= rank < world size. Conflicts and rejected sources
are data, nothing is printed.
"""
import operator
from typing import Any, List, NamedTuple, Optional, Tuple, Union

from .errors import RankzeroError
from .launchers import LAUNCHERS, TRIPLE, Env, Launcher, whole_number
from .limits import WORLD_SIZE_MAX
from .process import Facts

SINGLE = "single"
"""The source of a process that nobody launched as one of several."""
ARGUMENT = "argument"
"""The source of a tuple given to init()."""
TOO_LARGE = "more than %d ranks" % WORLD_SIZE_MAX
"""How the reason begins for which a world was rejected that no aggregator takes."""


class Claim(NamedTuple):
    """One source's tuple; `variables` made it."""

    source: str
    variables: List[str]
    rank: int
    world_size: int
    local_rank: int
    local_world_size: Optional[int]
    node_rank: Optional[int]


class Rejected(NamedTuple):
    """A source that began a tuple and did not complete it."""

    source: str
    variables: List[str]
    why: str


class Identity(NamedTuple):
    source: str
    variables: List[str]
    rank: int
    world_size: int
    local_rank: int
    local_world_size: Optional[int]
    node_rank: Optional[int]
    launcher: str
    """Whose environment this is, also where an argument gave the tuple."""
    conflicts: List[Claim]
    """Complete tuples of other sources that say something else."""
    rejected: List[Rejected]


class Explicit(NamedTuple):
    """What init() was given. rank and world_size go together."""

    rank: Any = None
    world_size: Any = None
    local_rank: Any = None


def identify(env: Env, facts: Facts, explicit: Explicit = Explicit()) -> Identity:
    """An explicit argument, else the first launcher of the table with a complete tuple.

    The bare triple stands behind a launcher's own row unless its world is larger (else it leaked in). Raises
    RankzeroError when explicit arguments contradict themselves, or world_size is above WORLD_SIZE_MAX; the
    environment never raises.
    """
    tuples: List[Claim] = []
    rejected: List[Rejected] = []
    for launcher in LAUNCHERS:
        read = _read_tuple(launcher, env, facts)
        if isinstance(read, Rejected):
            rejected.append(read)
        elif read is not None:
            tuples.append(read)
    launched = _innermost(tuples) or Claim(SINGLE, [], 0, 1, 0, 1, None)
    chosen = _explicit_tuple(explicit, tuples) or launched
    conflicts = [
        other for other in tuples if (other.rank, other.world_size) != (chosen.rank, chosen.world_size)
    ]
    return Identity(*chosen, launched.source, conflicts, rejected)


def _innermost(tuples: List[Claim]) -> Optional[Claim]:
    if not tuples:
        return None
    if tuples[0].source != TRIPLE or len(tuples) == 1:
        return tuples[0]
    return tuples[0] if tuples[0].world_size > tuples[1].world_size else tuples[1]


def _explicit_tuple(explicit: Explicit, tuples: List[Claim]) -> Optional[Claim]:
    if explicit == Explicit():
        return None
    remedy = "Pass rank and world_size together, 0 <= rank < world_size, or neither."
    numbers: List[Optional[int]] = []
    for name, value in zip(Explicit._fields, explicit):
        number = _index(value)
        if number is None and not (value is None and name == "local_rank"):
            message = "init(%s=) is %s: not a whole number" % (name, repr(value)[:200])
            raise RankzeroError("USAGE", message, remedy)
        numbers.append(number)
    rank, world, local = numbers
    assert rank is not None and world is not None
    if world > WORLD_SIZE_MAX:
        raise RankzeroError("USAGE", "init(world_size=) is %d: %s" % (world, TOO_LARGE), remedy)
    if rank >= world:
        raise RankzeroError("USAGE", "init(rank=) is %d, but world_size is %d" % (rank, world), remedy)
    same = next((each for each in tuples if (each.rank, each.world_size) == (rank, world)), None)
    if local is None:
        local = same.local_rank if same is not None else rank
    local_world = same.local_world_size if same is not None else None
    if local_world is None and world == 1:
        local_world = 1
    return Claim(ARGUMENT, [], rank, world, local, local_world, same.node_rank if same is not None else None)


def _index(value: Any) -> Optional[int]:
    """A whole number from 0, of any integer type; None for anything else."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if not isinstance(value, bool) and 0 <= number < 2**53 else None


def _read_tuple(launcher: Launcher, env: Env, facts: Facts) -> Union[Claim, Rejected, None]:
    """The tuple of one launcher; None when it is not there at all."""
    if launcher.when is not None and not launcher.when(env):
        return None
    if launcher.rank is not None and launcher.rank not in env:
        return None
    local_name = next((name for name in launcher.local if name in env), None)
    local_world_name = next((name for name in launcher.local_world if name in env), None)
    names = (launcher.rank, launcher.world, local_name, local_world_name)
    variables = [name for name in names if name is not None]
    objection = launcher.objection(env, facts) if launcher.objection is not None else None
    if objection is not None:
        return Rejected(launcher.source, variables, objection)

    world = whole_number(env.get(launcher.world))
    node = whole_number(env.get(launcher.node)) if launcher.node is not None else None
    local = whole_number(env[local_name]) if local_name is not None else None
    if launcher.rank is None:
        rank = _computed_rank(launcher, env, world, node, local)
    else:
        rank = whole_number(env[launcher.rank])
    is_local_wrong = local_name is not None and not _below(local, world)
    shown = " ".join("%s=%s" % (name, env.get(name, "")) for name in variables)
    if rank is None or world is None or rank >= world or is_local_wrong:
        return Rejected(launcher.source, variables, "no rank below a size: " + shown)
    if world > WORLD_SIZE_MAX:
        return Rejected(launcher.source, variables, "%s: %s" % (TOO_LARGE, shown))
    local_world = launcher.local_world_from(env) if launcher.local_world_from is not None else None
    if local_world is None and local_world_name is not None:
        local_world = whole_number(env[local_world_name])
    return Claim(
        launcher.source, variables, rank, world, rank if local is None else local,
        1 if world == 1 else local_world, node,
    )


def _below(number: Optional[int], size: Optional[int]) -> bool:
    return number is not None and size is not None and number < size


def _computed_rank(
    launcher: Launcher, env: Env, world: Optional[int], node: Optional[int], local: Optional[int]
) -> Optional[int]:
    """Lightning fills its nodes equally; on node 0 the number of nodes does not matter."""
    if node is None or local is None:
        return None
    if node == 0:
        return local
    name = next((name for name in launcher.nodes if name in env), "")
    nodes = whole_number(env.get(name))
    if not nodes or world is None or world % nodes != 0:
        return None
    return node * (world // nodes) + local


class Owner(NamedTuple):
    """The mark that a logger leaves in its environment, so that children with its rank stay silent."""

    pid: int
    rank: int
    world_size: int
    local_rank: int
    meeting: str


def format_owner(owner: Owner) -> str:
    return "%d:%d:%d:%d:%s" % owner


def parse_owner(env: Env, facts: Facts) -> Optional[Owner]:
    """The owner of a logger above us, or in our own process; None when there is none."""
    parts = (env.get("RANKZERO_OWNER", "").split(":") + [""] * 5)[:5]
    pid, rank, world, local = (whole_number(part) for part in parts[:4])
    if rank is None or world is None or rank >= world or local is None or pid is None or parts[4] == "":
        return None
    near = pid == facts.pid or any(process.pid == pid for process in facts.ancestors)
    return Owner(pid, rank, world, local, parts[4]) if near else None


def is_owned_tuple(owner: Owner, mine: Tuple[int, int, int]) -> bool:
    """Whether this tuple (rank, world size, local rank) is the owner's own, inherited and not given anew."""
    return (owner.rank, owner.world_size, owner.local_rank) == mine
