"""wandb's shared mode, all ranks in one run. It is a mode beside `offline`: what it does without a server is
all of it that can be seen without one. It takes no steps."""
import os


def begin(directory, rank, world):
    os.environ.update(WANDB_BASE_URL=os.environ["BENCH_URL"], WANDB_API_KEY="0" * 40)
    import wandb

    settings = wandb.Settings(x_label="rank-%d" % rank, x_primary=rank == 0)
    run = wandb.init(project="bench", id="bench", dir=directory, mode="shared", settings=settings)
    return lambda values, step: run.log(values), run.finish
