"""mlflow with asynchronous logging to a tracking server that is not there or does not answer."""
import os


def begin(directory, rank, world):
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "true"
    import mlflow

    mlflow.set_tracking_uri(os.environ["BENCH_URL"])
    mlflow.set_experiment("bench")
    mlflow.start_run(run_name="rank-%d" % rank)
    return lambda values, step: mlflow.log_metrics(values, step=step), mlflow.end_run
