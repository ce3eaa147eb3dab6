"""prometheus_client in multiprocess mode: a gauge per metric, set at each step, in files that all ranks
share.

It keeps the last value only: what a scrape every few seconds sees. No point can be counted.
"""
import os


def begin(directory, rank, world):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    from prometheus_client import Gauge

    gauges = {}

    def log(values, step):
        for name, value in values.items():
            gauge = gauges.get(name)
            if gauge is None:
                gauge = gauges[name] = Gauge(name.replace("/", ":"), name, multiprocess_mode="all")
            gauge.set(value)

    return log, lambda: None
