"""The example of DistributedDataParallel on digits, with a peer in the place of rankzero.

In: a plan as drive.py has it; steps, peer. Out: rank-<r>.json, the loop from its first log call to its last.
The trainer is examples/pytorch-ddp/train.py itself: only the name `rankzero` in it is another one. A peer
gets floats, which wait for the loss as everybody's do; `none` gets nothing and waits for nothing. """
import importlib
import importlib.util
import json
import os
import sys
import time
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
TRAINER = os.path.join(HERE, "..", "examples", "pytorch-ddp", "train.py")
METRICS = 2
SKIPPED = 1200
"""Steps before the clock starts, some 8 s: DDP builds its buckets in the first, and threads, caches and
compilers of every peer settle. Jobs run for hours, not for these seconds."""


class Run:
    def __init__(self, plan, rank, world, started):
        self._plan, self._rank = plan, rank
        peer = importlib.import_module("peers." + plan["peer"])
        self._log, self._close = peer.begin(plan["dir"], rank, world)
        self._stamps = {"startedNs": started, "openedNs": time.monotonic_ns(), "firstNs": None}
        self._is_silent = plan["peer"] == "none"

    def log(self, values, step, weight=None):
        if step == SKIPPED:
            self._stamps["firstNs"] = time.monotonic_ns()
        if not self._is_silent:
            self._log({name: float(value) for name, value in values.items()}, step)
        if step == self._plan["steps"] - 1:
            self._stamps["loggedNs"] = time.monotonic_ns()

    def end(self):
        self._close()
        steps = self._plan["steps"]
        told = {**self._stamps, "closedNs": time.monotonic_ns(), "steps": steps, "points": steps * METRICS}
        with open(os.path.join(self._plan["scratch"], "rank-%d.json" % self._rank), "w") as file:
            json.dump(told, file)


def main(plan, started):
    rank = int(os.environ.get("RANKZERO_RANK") or os.environ["RANK"])
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(plan["world"]), LOCAL_RANK=str(rank))
    os.open(os.path.join(plan["scratch"], "alive-%d" % rank), os.O_WRONLY)
    spec = importlib.util.spec_from_file_location("train", TRAINER)
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    train.rankzero = SimpleNamespace(init=lambda **_: Run(plan, rank, plan["world"], started))
    sys.argv = [TRAINER, "--steps", str(plan["steps"])]
    train.main()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), time.monotonic_ns())
