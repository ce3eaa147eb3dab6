"""The public face of a run: what init() returns, with rules that hold for every kind of it."""
import types
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Type, TypeVar

REDUCES = ("mean", "sum", "min", "max", "last", "rank0")

R = TypeVar("R", bound="Run")


class Run:
    """The session as one worker sees it.

    No method but `end` waits for another process, and none raises because of what it is given. All may be
    called from any thread and from signal handlers. A forked child finds the run of its parent silent.
    """

    rank: int
    world_size: int
    local_rank: int
    node: str
    """Host name."""

    @property
    def id(self) -> Optional[str]:
        """Run id; None until it is known here."""
        return None

    def log(
        self, values: Mapping[str, Any], step: Optional[int] = None, weight: Optional[float] = None
    ) -> None:
        """Logs one value per metric; what it returned from survives the death of this process.

        `values`: numbers, booleans (0 and 1), and scalar arrays or tensors (anything with `item()`); others
        are counted, told once and left out. `step`: training step, 0 to 2^53-1. Without it: the last step
        given; before any, a counter from 0. `weight`: of these values in the mean over ranks, e.g. the
        samples of this batch.
        """
        raise NotImplementedError

    def params(self, values: Mapping[str, Any]) -> None:
        """Parameters of the experiment; ranks that agree are shown as one."""
        raise NotImplementedError

    def text(self, line: str) -> None:
        """One line of text; over about 1 MiB it is cut and marked."""
        raise NotImplementedError

    def asset(
        self, source: Any, name: Optional[str] = None, type: str = "asset", step: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """A file, or other bytes, of the experiment.

        `source`: a path (str, os.PathLike), bytes, or a reference to what is elsewhere: a dict with `uri`,
        and `size` (bytes) and `sha256` (hex) if they are known; of a `file:` URI they are read. `name`:
        default is the file's, or the last part of the URI. `type`: to the tracker: `image`, `model-element` …
        `step`: default is the last step given to log(), if any. `metadata`: anything that JSON can say.

        Takes as long as a copy of the file, and then it is safe here; what cannot be read, or changes
        meanwhile, is told on stderr. Equal ones of several ranks are one.
        """
        raise NotImplementedError

    def html(self, text: str) -> None:
        """The page of the experiment: the newest one holds."""
        raise NotImplementedError

    def other(self, key: str, value: Any) -> None:
        """A fact of the experiment that is no parameter; ranks that agree are shown as one."""
        raise NotImplementedError

    def tags(self, tags: Iterable[str]) -> None:
        raise NotImplementedError

    def name(self, text: str) -> None:
        """Names the experiment; flags and variables do not overrule it."""
        raise NotImplementedError

    def define(self, metric: str, reduce: str = "mean") -> None:
        """How a metric (`*` matches any characters) is shown over ranks: one of REDUCES."""
        raise NotImplementedError

    def resume(self, step: int) -> None:
        """Declares once that training went back to `step`."""
        raise NotImplementedError

    def end(self) -> None:
        """Says that this worker is done.

        Returns when its records are safe at the aggregator, after at most the exit timeout
        (RANKZERO_EXIT_TIMEOUT, 10 s); under `rankzero run`, at once.
        """
        raise NotImplementedError

    def _leave(self, error: Optional[BaseException]) -> None:
        self.end()

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[types.TracebackType],
    ) -> None:
        self._leave(error)

    # A run belongs to its process: copies within it are itself, and what is sent elsewhere is silent.

    def __copy__(self: R) -> R:
        return self

    def __deepcopy__(self: R, memo: Dict[int, Any]) -> R:
        return self

    def __reduce__(self) -> Any:
        return SilentRun, (self.rank, self.world_size, self.local_rank, self.node)


class SilentRun(Run):
    """A run that records nothing: in children of a worker, or on Windows."""

    def __init__(
        self, rank: int, world_size: int, local_rank: int, node: str,
        on_end: Optional[Callable[[], None]] = None,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        self.node = node
        self._on_end = on_end

    def log(
        self, values: Mapping[str, Any], step: Optional[int] = None, weight: Optional[float] = None
    ) -> None:
        pass

    def params(self, values: Mapping[str, Any]) -> None:
        pass

    def text(self, line: str) -> None:
        pass

    def asset(
        self, source: Any, name: Optional[str] = None, type: str = "asset", step: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        pass

    def html(self, text: str) -> None:
        pass

    def other(self, key: str, value: Any) -> None:
        pass

    def tags(self, tags: Iterable[str]) -> None:
        pass

    def name(self, text: str) -> None:
        pass

    def define(self, metric: str, reduce: str = "mean") -> None:
        pass

    def resume(self, step: int) -> None:
        pass

    def end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()
