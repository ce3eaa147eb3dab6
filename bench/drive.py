"""One trainer in Python: opens a peer, logs steps through it, closes it, and tells how long each took.

In: a plan as JSON in argv[1]: peer, dir (the peer's files), scratch (ours), metrics, steps (at most), seconds
(at most, null: no limit), warmup (steps), rate (steps/s; 0: as fast as it goes), burst and pauseMs (with rate
0: a pause after each burst), whole (a burst is timed as one, each call is told as its mean), kill (SIGKILL to
itself after the last step). Out: rank-<r>.json in scratch; with "count": true instead, the points that can be
read back, on stdout. Times are CLOCK_MONOTONIC in ns.

The line that is timed is written out as a user writes it: a dict of names and values.
"""
import importlib
import json
import os
import signal
import struct
import sys
import time
from array import array

STAMP = time.monotonic_ns()
CHUNK = 1000
VALUES = 4096
"""So many different values take turns: a loss as training code has it, a float32 turned into a float64."""
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1}

LOOP = """
def steps(log, first, last, values, times, clock):
    {burst}begun = clock()
    for step in range(first, last):
        at = step % {size}
        {each}begun = clock()
        log({{{literal}}}, step)
        {each}times(clock() - begun)
    {burst}times((clock() - begun) // (last - first))
"""

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def rank_of(env):
    return int(env.get("RANKZERO_RANK") or env.get("RANK") or 0)


def compile_steps(metrics, whole):
    """steps(log, first, last, values, times, clock): the loop with the line that is timed, or that is timed
    whole."""
    literal = ", ".join("'group_%d/metric_%d': values[at + %d]" % (i % 7, i, i) for i in range(metrics))
    scope = {}
    each, burst = ("#", "") if whole else ("", "#")
    exec(LOOP.format(each=each, burst=burst, size=VALUES - metrics, literal=literal), scope)
    return scope["steps"]


def values_of(rank):
    state, values = 2463534242 + rank, []
    for _ in range(VALUES):
        state = (state ^ (state << 13)) & 0xFFFFFFFF
        state ^= state >> 17
        state = (state ^ (state << 5)) & 0xFFFFFFFF
        values.append(struct.unpack("f", struct.pack("f", state / 2 ** 32))[0])
    return values


def pace(plan, steps, deadline):
    """Calls steps(first, last) in turns, with the pauses of the plan; how many steps there were."""
    rate, last = plan["rate"], plan["steps"]
    size = 1 if rate else plan["burst"] or CHUNK
    begun, step = time.monotonic(), 0
    while step < last and time.monotonic() < deadline:
        if rate:
            time.sleep(max(0, begun + step / rate - time.monotonic()))
        steps(step, min(last, step + size))
        step = min(last, step + size)
        if not rate and plan["pauseMs"]:
            time.sleep(plan["pauseMs"] / 1000)
    return step


def summarize(times, warmup):
    times = sorted(times[warmup:])
    if not times:
        return {}
    return {name: times[min(len(times) - 1, int(q * len(times)))] for name, q in QUANTILES.items()}


def train(plan, rank):
    alive = os.open(os.path.join(plan["scratch"], "alive-%d" % rank), os.O_WRONLY)
    peer = importlib.import_module("peers." + plan["peer"])
    log, close = peer.begin(plan["dir"], rank, plan["world"])
    opened = time.monotonic_ns()
    times, values, loop = array("q"), values_of(rank), compile_steps(plan["metrics"], plan["whole"])
    seconds = float("inf") if plan["seconds"] is None else plan["seconds"]
    time.sleep(plan["settleMs"] / 1000)
    first = time.monotonic_ns()

    def steps(start, stop):
        loop(log, start, stop, values, times.append, time.perf_counter_ns)

    done = pace(plan, steps, time.monotonic() + seconds)
    logged = time.monotonic_ns()
    result = {
        "startedNs": STAMP, "openedNs": opened, "firstNs": first, "loggedNs": logged, "closedNs": None,
        "steps": done, "points": done * plan["metrics"],
    }
    if plan["kill"]:
        write(plan, rank, result)
        os.kill(os.getpid(), signal.SIGKILL)
    close()
    result["closedNs"] = time.monotonic_ns()
    write(plan, rank, {**result, "ns": summarize(times, plan["warmup"])})
    return alive


def write(plan, rank, result):
    with open(os.path.join(plan["scratch"], "rank-%d.json" % rank), "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given.get("count"):
        print(importlib.import_module("peers." + given["peer"]).count(given["dir"]))
    else:
        train(given, rank_of(os.environ))
