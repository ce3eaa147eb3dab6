"""A trainer for exit.js: logs, says when it is done, leaves without end(). With --noop it logs nothing."""
import json
import sys
import time

import rankzero

run = None if "--noop" in sys.argv else rankzero.init()
for step in range(1000):
    values = {"metric_%d" % i: 0.25 * step + i for i in range(10)}
    if run is not None:
        run.log(values, step=step)
print(json.dumps({"to": time.time() * 1000}), flush=True)
