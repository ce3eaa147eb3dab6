"""What people pay today for a mean over ranks: torch.distributed's all_reduce of the step's values (gloo),
rank 0 writes the line. All ranks wait for the slowest at each step."""
import json
import os


def begin(directory, rank, world):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    file = open(os.path.join(directory, "rows.jsonl"), "ab", buffering=0) if rank == 0 else None

    def log(values, step):
        means = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(means)
        means /= world
        if file is not None:
            row = dict(zip(values, means.tolist()), step=step)
            file.write((json.dumps(row) + "\n").encode())

    return log, dist.destroy_process_group
