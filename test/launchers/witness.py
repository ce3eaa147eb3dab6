"""A trainer of examples/ whose log() is witnessed: usage: witness.py TRAINER [ITS ARGUMENTS…].

What each rank logs is also written to its own truth file, a JSON line per call; where it trains under DDP, a
second line has the mean of the loss as DDP reduces it. T_KILL=RANK:STEP: in its first life that rank kills
itself before it logs that step.
"""
import json
import os
import runpy
import signal
import sys

import rankzero


class Witness:
    def __init__(self, run):
        self.run = run
        self.truth = open(f"{os.environ['T_TRUTH']}.{run.rank}", "a", buffering=1)
        self.generation = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))

    def __getattr__(self, name):
        return getattr(self.run, name)

    def log(self, values, *, step, weight=None):
        if os.environ.get("T_KILL") == f"{self.rank}:{step}" and self.generation == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.run.log(values, step=step, weight=weight)
        told = {name: float(value) for name, value in values.items()}
        self.tell(**told, step=step, weight=weight, generation=self.generation)
        if "train/loss" in told:
            self.tell(step=step, mean=mean_over_ranks(told["train/loss"], weight))

    def tell(self, **line):
        self.truth.write(json.dumps(line) + "\n")


def mean_over_ranks(loss, weight):
    import torch
    import torch.distributed

    if not torch.distributed.is_initialized():
        return None
    sums = torch.tensor([loss * weight, weight], dtype=torch.float64)
    torch.distributed.all_reduce(sums)
    return (sums[0] / sums[1]).item()


# Data loaders import this file as well; only a worker of the launcher trains.
if __name__ == "__main__":
    begin = rankzero.init
    rankzero.init = lambda *args, **more: Witness(begin(*args, **more))
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
