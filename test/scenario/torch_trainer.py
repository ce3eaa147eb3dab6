"""A trainer under torchrun: joins the process group, then logs what value.js says, in its Python form."""
import json
import os
import time

import torch.distributed as dist

import rankzero

dist.init_process_group("gloo")
rank = dist.get_rank()
run = rankzero.init()
steps = int(os.environ["T_STEPS"])
rate = float(os.environ["T_RATE"])
begun = time.monotonic()
with open(f"{os.environ['T_TRUTH']}.{rank}", "a") as truth:
    for step in range(steps):
        run.log({"loss": rank + step / 4096}, step=step)
        truth.write(f"{step}\n")
        time.sleep(max(0.0, step / rate - (time.monotonic() - begun)))
dist.barrier()
run.end()
print(json.dumps({"rank": rank, "world": dist.get_world_size()}))
dist.destroy_process_group()
