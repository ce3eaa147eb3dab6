"""CPU seconds of the whole tree per million points: trainer, agent and aggregator, 10 metrics a call.

Under `rankzero run`, with pauses as between training steps; the daemons' share is read from /proc when all
is acknowledged, less what they had used before the first call.
"""
import json
import os
import time

import rankzero

CALLS, BURST, PAUSE_S = 200_000, 500, 0.005
METRICS = 10
SETTLE_S, PATIENCE_S = 2.0, 30.0

run = rankzero.init()


def daemons_cpu():
    """CPU seconds of the agent and the aggregator of this run, by their arguments and its directory."""
    ticks = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                arguments = file.read().decode("utf-8", "replace").split("\0")
            if not {"agent", "aggregator"} & set(arguments) or os.environ["RANKZERO_DIR"] not in arguments:
                continue
            with open("/proc/%s/stat" % pid) as file:
                fields = file.read().rsplit(") ", 1)[1].split(" ")
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


literal = ", ".join("'metric_%d': x + %d" % (i, i) for i in range(METRICS))
exec("def call(x, step): run.log({%s}, step=step)" % literal)

time.sleep(SETTLE_S)
before = daemons_cpu()
own = time.process_time()
for step in range(CALLS):
    call(0.25 * step, step)  # noqa: F821 (made above)
    if step % BURST == 0:
        time.sleep(PAUSE_S)
own = time.process_time() - own
journal = run._journal
until = time.monotonic() + PATIENCE_S
while journal.acked() < journal.seq() and time.monotonic() < until:
    time.sleep(0.05)
daemons = daemons_cpu() - before
assert daemons > 0, "neither agent nor aggregator was found"
millions = CALLS * METRICS / 1e6
run.end()
print(json.dumps({
    "trainer": own / millions, "agent and aggregator": daemons / millions,
    "whole tree": (own + daemons) / millions,
}))
