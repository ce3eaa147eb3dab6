"""Aim into a local repository, a Run per rank: Run.track() of all values of a step at once, the rank as
context. Ranks that find no repository at the same instant break each other's: it is made under a lock, in the
place of `aim init`."""
import fcntl
import os
import subprocess
import sys


def begin(directory, rank, world):
    from aim import Repo, Run

    fd = os.open(directory, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    repo = Repo.from_path(directory, init=not Repo.exists(directory))
    os.close(fd)
    run = Run(repo=repo, experiment="bench")
    context = {"rank": rank}
    return lambda values, step: run.track(values, step=step, context=context), run.close


def count(directory):
    """Readers look through an index, which its web interface makes in the background, and this command at
    once."""
    aim = os.path.join(os.path.dirname(sys.executable), "aim")
    subprocess.run([sys.executable, aim, "storage", "--repo", directory, "reindex", "-y"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    from aim import Repo, Run

    repo, total = Repo.from_path(directory), 0
    for name in repo.list_all_runs():
        for metric in Run(name, repo=repo, read_only=True).metrics():
            total += metric.name.startswith("group_") and len(metric.values.sparse_list()[1])
    return total
