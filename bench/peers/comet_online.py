"""comet_ml.start() with its defaults, against a server that is not there or does not answer."""
import os


def begin(directory, rank, world):
    os.environ.update(COMET_URL_OVERRIDE=os.environ["BENCH_URL"] + "/clientlib/", COMET_API_KEY="bench")
    os.environ["COMET_OFFLINE_DIRECTORY"] = directory
    import comet_ml

    experiment = comet_ml.start(project_name="bench")
    return lambda values, step: experiment.log_metrics(values, step=step), experiment.end
