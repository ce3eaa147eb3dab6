"""Points of one metric, in bursts with pauses in which the SDK sends: sdk_points.py KEY BURSTS POINTS."""
import sys
import time

import comet_ml

KEY, BURSTS, POINTS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
QUIET = {
    name: False
    for name in ("log_code", "log_git_metadata", "log_env_details", "auto_param_logging", "parse_args")
}
experiment = comet_ml.Experiment(
    experiment_key=KEY, project_name="proj", workspace="ws", auto_output_logging=False, **QUIET
)
for burst in range(BURSTS):
    for point in range(POINTS):
        step = burst * POINTS + point
        experiment.log_metric("loss", step / 8, step=step)
    time.sleep(0.5)
experiment.end()
