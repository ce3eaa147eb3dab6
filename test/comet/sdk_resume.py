"""How the SDK meets a key that exists (the first argument), and one that does not."""
import json
import sys

import comet_ml

OLD, NEW, UNKNOWN = sys.argv[1:]
PLACE = {"project_name": "proj", "workspace": "ws"}


def outcome(make):
    try:
        experiment = make()
    except Exception as error:
        return type(error).__name__
    found = [type(experiment).__name__, experiment.alive]
    experiment.end()
    return found


def start(key, mode):
    return outcome(lambda: comet_ml.start(experiment_key=key, mode=mode, **PLACE))


print(json.dumps({
    "made": outcome(lambda: comet_ml.Experiment(experiment_key=OLD, **PLACE)),
    "made again": outcome(lambda: comet_ml.Experiment(experiment_key=OLD, **PLACE)),
    "existing, unknown": outcome(lambda: comet_ml.ExistingExperiment(experiment_key=UNKNOWN)),
    "get, unknown": start(UNKNOWN, "get"),
    "get": start(OLD, "get"),
    "create, exists": start(OLD, "create"),
    "get or create, new": start(NEW, "get_or_create"),
    "get or create, exists": start(NEW, "get_or_create"),
}))
