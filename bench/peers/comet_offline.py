"""comet_ml.start(online=False): an offline archive per rank, with the defaults of the client."""
import glob
import json
import os
import zipfile

MESSAGES = "messages.json"


def begin(directory, rank, world):
    os.environ["COMET_OFFLINE_DIRECTORY"] = directory
    import comet_ml

    experiment = comet_ml.start(online=False, project_name="bench")
    return lambda values, step: experiment.log_metrics(values, step=step), experiment.end


def count(directory):
    """Of the archive. Where the end did not come it is empty: then of what lies in the temporary directory,
    which `comet upload` does not look at; we count it all the same."""
    lines = []
    for path in glob.glob(os.path.join(directory, "*.zip")):
        try:
            with zipfile.ZipFile(path) as archive:
                lines += archive.read(MESSAGES).splitlines()
        except (KeyError, zipfile.BadZipFile):
            continue
    if not lines:
        for path in glob.glob(os.path.join(os.environ["TMPDIR"], "*", MESSAGES)):
            with open(path, "rb") as file:
                lines += file.read().splitlines()
    return sum(map(points_in, lines))


def points_in(line):
    try:
        message = json.loads(line)
    except ValueError:
        return 0  # torn
    name = message.get("payload", {}).get("metric", {}).get("metricName", "")
    return int(name.startswith("group_"))
