"""A trainer whose work is done by pools: spawned and forked children of its rank, which must log nothing."""
import multiprocessing
import os

import rankzero


def square(number):
    rankzero.init().log({"child": number}, step=number)
    return number * number


def main():
    steps = int(os.environ.get("T_STEPS", 20))
    run = rankzero.init()
    pools = [multiprocessing.get_context(method).Pool(2) for method in ("spawn", "fork")]
    for step in range(steps):
        run.log({"loss": run.rank + sum(sum(pool.map(square, range(4))) for pool in pools)}, step=step)
    for pool in pools:
        pool.close()
        pool.join()
    run.log({"loss": run.rank}, step=steps)
    run.end()


if __name__ == "__main__":
    main()
