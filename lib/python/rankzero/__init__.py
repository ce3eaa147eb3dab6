"""One experiment, every rank: the Python client of rankzero. Standard library only.

    import rankzero
    run = rankzero.init(project="digits", config={"lr": 0.1})
    run.log({"loss": loss}, step=step)
    run.end()

In: what every worker process logs. Out: a journal in shared memory (lib/journal/FORMAT.md), which the node's
agent delivers. Invariants: log() waits for no other process and raises nothing because of what it is given;
what it returned from survives the death of this process. It opens no socket.
"""
from .errors import RankzeroError
from .start import init
from .types import Run

__all__ = ["RankzeroError", "Run", "init"]
__version__ = "0.1.0"
