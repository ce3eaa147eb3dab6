"""The worker of lib/cli/drill/trainer.ts in Python: same arguments, same files, same values."""
import json
import math
import os
import random
import struct
import sys
import time

import rankzero

place, rate, metrics = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
PER_DOUBLING = 32
GO_S, START_S, TIMES_NS, FIRST_CALLS, LOUD_STEPS = 0.02, 60, 10**9, 50, 30


def value_of(rank, step, metric):
    word = 0xFFFFFFFF
    h = ((rank + 1) * 0x9E3779B1 ^ (step + 1) * 0x85EBCA6B ^ (metric + 1) * 0xC2B2AE35) & word
    h = (h ^ h >> 15) * 0x2C1B3C6D & word
    h = (h ^ h >> 12) * 0x297A2D39 & word
    value = (h ^ h >> 15) / 4294967296 * 10 - 5
    return struct.unpack("f", struct.pack("f", value))[0] if metric % 2 == 0 else value


class Times:
    def __init__(self):
        self.longest, self.buckets = 0, {}

    def add(self, ns):
        self.longest = max(self.longest, ns)
        at = int(math.log2(ns) * PER_DOUBLING) if ns >= 1 else 0
        self.buckets[at] = self.buckets.get(at, 0) + 1

    def record(self):
        return {"longestNs": self.longest, "buckets": self.buckets}


def read_go():
    give_up = time.monotonic() + START_S
    while True:
        try:
            with open(os.path.join(place, "go")) as file:
                go = json.load(file)
            return go["beginNs"], go["untilNs"]
        except (OSError, ValueError):
            if time.monotonic() > give_up:
                raise
            time.sleep(GO_S)


def nothing(values, step=None):
    return values if step is None else None


def timed(what, values, step, clock=time.perf_counter_ns):
    begun = clock()
    what(values, step=step)
    return clock() - begun


def save(path):
    with open(path + ".new", "w") as file:
        json.dump({"log": logs.record(), "nothing": nothings.record(), "first": firsts.record()}, file)
    os.replace(path + ".new", path)


def loud_text():
    """What else to say with the next steps, when the drill wants rings to overflow."""
    global loud, loud_left
    try:
        with open(os.path.join(place, "loud")) as file:
            said = file.read()
    except OSError:
        return ""
    if said != loud:
        loud, loud_left = said, LOUD_STEPS
    loud_left -= 1
    return "x" * int(said.split()[0]) if said and loud_left >= 0 else ""


loud, loud_left = "", 0
run = rankzero.init()
rank = run.rank
truth_path = os.path.join(place, "truth.%d" % rank)
truth = os.open(truth_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
times_path = os.path.join(place, "times.%d.%d" % (rank, os.getpid()))
names = ["drill/%d" % metric for metric in range(metrics)]
logs, nothings, firsts = Times(), Times(), Times()

begin, until = read_go()
with open(truth_path, "rb") as file:
    told = file.read()
before = struct.unpack("<I", told[len(told) // 4 * 4 - 4:len(told) // 4 * 4])[0] if len(told) >= 4 else -2
step = first = max(before + 2, math.ceil((time.monotonic_ns() - begin) / 1e9 * rate))
saved = time.monotonic_ns()
while time.monotonic_ns() < until or step == first:
    ahead = begin / 1e9 + (step + random.random()) / rate - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)
    values = {name: value_of(rank, step, metric) for metric, name in enumerate(names)}
    warm = step - first > FIRST_CALLS
    if step % 2 == 0 and warm:
        nothings.add(timed(nothing, values, step))
    (logs if warm else firsts).add(timed(run.log, values, step))
    os.write(truth, struct.pack("<I", step))
    if step % 2 == 1 and warm:
        nothings.add(timed(nothing, values, step))
    text = loud_text()
    if text:
        run.text(text)
    if step == first:
        with open(os.path.join(place, "life.%d" % rank), "w") as file:
            file.write(str(os.getpid()))
    step += 1
    if time.monotonic_ns() - saved >= TIMES_NS:
        save(times_path)
        saved = time.monotonic_ns()
save(times_path)
run.end()
