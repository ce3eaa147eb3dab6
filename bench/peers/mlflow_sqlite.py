"""mlflow into a local SQLite store, its default since 3.7, with asynchronous logging as its documentation
advises for loops: one log_metrics per step, a run per rank. flush_async_logging() before the end, so that all
is kept."""
import os
import sqlite3


def begin(directory, rank, world):
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "true"
    import mlflow

    mlflow.set_tracking_uri("sqlite:///" + os.path.join(directory, "mlflow-%d.db" % rank))
    mlflow.set_experiment("bench")
    mlflow.start_run(run_name="rank-%d" % rank)

    def close():
        mlflow.flush_async_logging()
        mlflow.end_run()

    return lambda values, step: mlflow.log_metrics(values, step=step), close


def count(directory):
    total = 0
    for name in filter(lambda name: name.endswith(".db"), os.listdir(directory)):
        with sqlite3.connect(os.path.join(directory, name)) as store:
            total += store.execute("SELECT count(*) FROM metrics").fetchone()[0]
    return total
