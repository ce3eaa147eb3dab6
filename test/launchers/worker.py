"""A trainer for the launcher tests; everything comes from the environment.

It logs `loss` = rank + step / 1000, and then writes the step to its truth file, so that a line here must be a
point there. The first line of that file has its pid and the rank that the launcher gave it.
"""
import os
import time

import rankzero

steps = int(os.environ.get("T_STEPS", 100))
rate = float(os.environ.get("T_RATE", 100))
# "2:30" = rank 2 raises before it logs step 30, once the others have begun: their launcher then kills them
raises = os.environ.get("T_RAISE")



def truth_of(rank):
    return f"{os.environ['T_TRUTH']}.{rank}"


def begun_is(rank):
    return os.path.exists(truth_of(rank)) and os.path.getsize(truth_of(rank)) > 0


run = rankzero.init()
with open(truth_of(run.rank), "a", buffering=1) as truth:
    truth.write(f"{os.getpid()} {os.environ.get(os.environ['T_RANK_VARIABLE'])}\n")
    begun = time.monotonic()
    for step in range(steps):
        if raises == f"{run.rank}:{step}":
            patience = time.monotonic() + 60
            while not all(map(begun_is, range(run.world_size))) and time.monotonic() < patience:
                time.sleep(0.01)
            raise RuntimeError("the batch is empty")
        run.log({"loss": run.rank + step / 1000}, step=step)
        truth.write(f"{step}\n")
        time.sleep(max(0.0, begun + (step + 1) / rate - time.monotonic()))
run.end()
