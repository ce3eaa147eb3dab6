"""wandb as it is without a word about the mode, against a server that is not there or does not answer."""
import os


def begin(directory, rank, world):
    os.environ.update(WANDB_BASE_URL=os.environ["BENCH_URL"], WANDB_API_KEY="0" * 40)
    import wandb

    run = wandb.init(project="bench", dir=directory)
    return lambda values, step: run.log(values, step=step), run.finish
