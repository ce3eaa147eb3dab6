"""us per call of one way to keep values in Python, in bursts: the agent drains between them.

In: number of metrics, what (log, json, logging, tensorboardX). Out: one JSON line with median, p99 and max.
Bursts are small against the journal's ring, so that the mapped path is measured, as between training steps.
"""
import json
import logging
import os
import sys
import tempfile
import time

metrics, what = int(sys.argv[1]), sys.argv[2]
BURSTS, WARM_UP = 200, 60
PAUSE_S = 0.01
CALLS = {"tensorboardX": 10}.get(what, 100)
SETTLE_S = 1.5
"""Until the agent and the aggregator of this run have started: they would share the cores."""

scratch = tempfile.gettempdir()
run = writer = file = None
if what == "log":
    import rankzero

    run = rankzero.init()
    time.sleep(SETTLE_S)
elif what == "json":
    file = open(os.path.join(scratch, "lines.jsonl"), "ab", buffering=0)
elif what == "logging":
    logging.basicConfig(filename=os.path.join(scratch, "train.log"), level=logging.INFO)
elif what == "tensorboardX":
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(os.path.join(scratch, "board"))


def keep_tensorboard(values, step):
    for name, value in values.items():
        writer.add_scalar(name, value, step)


KEEP = {
    "log": "run.log({%s}, step=step)",
    "json": "file.write((json.dumps({'step': step, %s}) + '\\n').encode())",
    "logging": "logging.info('step %%d %%r', step, {%s})",
    "tensorboardX": "keep_tensorboard({%s}, step)",
}
# Written out as a user writes it, one literal with all its names.
literal = ", ".join("'metric_%d': x + %d" % (i, i) for i in range(metrics))
body = KEEP[what] % literal
source = """
def burst(first, times, clock=time.perf_counter_ns):
    x = 0.5
    for step in range(first, first + CALLS):
        x += 0.25
        begun = clock()
        %s
        times.append(clock() - begun)
""" % body
exec(source)

times = []
for i in range(BURSTS):
    if i == WARM_UP:
        times = []
    burst(i * CALLS, times)  # noqa: F821 (made above)
    time.sleep(PAUSE_S)
if run is not None:
    run.end()
times.sort()
at = lambda q: times[min(len(times) - 1, int(q * len(times)))] / 1000  # noqa: E731
print(json.dumps({"median": at(0.5), "p99": at(0.99), "max": times[-1] / 1000}))
