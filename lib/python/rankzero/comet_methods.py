"""Every public method of comet_ml.Experiment 3.58.8, and what becomes of it here: same, different, missing.

COMET.md is made of this table, and a test holds it against the vendor's class.
"""
from typing import Dict, Tuple

SDK = "3.58.8"

SAME, DIFFERENT, MISSING = "same", "different", "missing"

_NO_SERVER = "ranks talk to no server: look at the experiment in Comet"
_NO_ARTIFACTS = "there are no artifacts here: log the files as assets, or a reference to them"
_NO_MODELS = "the model registry is not written from ranks: register the model of the experiment in Comet"
_NO_AUTO = "nothing is logged by itself: log what you want to see"

METHODS: Dict[str, Tuple[str, str]] = {
    "add_tag": (SAME, ""),
    "add_tags": (SAME, ""),
    "clean": (MISSING, "rankzero ends the experiment by itself"),
    "context_manager": (DIFFERENT, "it is a part of the name: `train_loss`; nested ones do not add up"),
    "create_confusion_matrix": (MISSING, "call log_confusion_matrix"),
    "create_embedding_image": (MISSING, "embeddings are not made here"),
    "create_symlink": (MISSING, _NO_SERVER),
    "disable_mp": (MISSING, "ranks share no monkey patches: there is nothing to disable"),
    "display": (MISSING, _NO_SERVER),
    "display_project": (MISSING, _NO_SERVER),
    "end": (DIFFERENT, "ends this rank; the experiment ends when all ranks have"),
    "flush": (DIFFERENT, "does nothing: what a call returned from is safe already"),
    "get_artifact": (MISSING, _NO_ARTIFACTS),
    "get_callback": (MISSING, _NO_AUTO),
    "get_hf_dataset": (MISSING, _NO_ARTIFACTS),
    "get_keras_callback": (MISSING, _NO_AUTO),
    "get_key": (DIFFERENT, "the same on all ranks; waits up to 5 s for the head, then None"),
    "get_metric": (DIFFERENT, "the last value that this rank has logged"),
    "get_name": (DIFFERENT, "what this rank has set"),
    "get_other": (DIFFERENT, "what this rank has logged"),
    "get_parameter": (DIFFERENT, "what this rank has logged"),
    "get_tags": (DIFFERENT, "those of this rank"),
    "log_artifact": (MISSING, _NO_ARTIFACTS),
    "log_asset": (DIFFERENT, "returns None; takes as long as a copy; equal files of several ranks are one"),
    "log_asset_data": (DIFFERENT, "returns None"),
    "log_asset_folder": (DIFFERENT, "returns None; names begin with the folder's"),
    "log_audio": (DIFFERENT, "files only, no samples"),
    "log_code": (DIFFERENT, "only what it is given, nothing by itself"),
    "log_confusion_matrix": (DIFFERENT, "without examples and images"),
    "log_current_epoch": (DIFFERENT, "as set_epoch"),
    "log_curve": (DIFFERENT, "returns None"),
    "log_dataframe_profile": (MISSING, "profiles are not made here: log_table takes the data"),
    "log_dataset_hash": (SAME, ""),
    "log_dataset_info": (SAME, ""),
    "log_dependency": (MISSING, "log it with log_other"),
    "log_embedding": (MISSING, "embeddings are not made here"),
    "log_epoch_end": (DIFFERENT, "as set_step and set_epoch"),
    "log_figure": (DIFFERENT, "of matplotlib and plotly; returns None"),
    "log_histogram_3d": (DIFFERENT, "bins are Comet's own; below 1e-12 it is the smallest bins"),
    "log_html": (DIFFERENT, "one page of the experiment: that of the rank that logged last"),
    "log_html_url": (DIFFERENT, "as log_html"),
    "log_image": (DIFFERENT, "arrays, tensors, PIL, files; no annotations, scale, shape or colormap; None"),
    "log_metric": (DIFFERENT, "merged over ranks; numbers only; the epoch is a metric of its own"),
    "log_metrics": (DIFFERENT, "as log_metric; a prefix is a part of the name"),
    "log_model": (DIFFERENT, "returns None; equal files of several ranks are one"),
    "log_notebook": (DIFFERENT, "the file as it is; returns None"),
    "log_optimization": (MISSING, "log the parameters and the metric"),
    "log_other": (DIFFERENT, "ranks that differ are shown with their values"),
    "log_others": (DIFFERENT, "as log_other"),
    "log_parameter": (DIFFERENT, "ranks that differ are shown with their values; without a step"),
    "log_parameters": (DIFFERENT, "as log_parameter; nested ones become `outer/inner`"),
    "log_points_3d": (MISSING, "log a file of points as an asset"),
    "log_remote_asset": (DIFFERENT, "returns None"),
    "log_remote_model": (DIFFERENT, "one URI as it is, not what is below it"),
    "log_system_info": (DIFFERENT, "as log_other, under `system/…`"),
    "log_table": (DIFFERENT, "CSV, or TSV by its name; returns None"),
    "log_tensorboard_folder": (DIFFERENT, "as log_asset_folder"),
    "log_tensorflow_folder": (DIFFERENT, "as log_asset_folder"),
    "log_text": (DIFFERENT, "a text sample, as in Comet; returns None"),
    "log_video": (DIFFERENT, "files only; returns None"),
    "register_callback": (MISSING, "there are no callbacks"),
    "register_model": (MISSING, _NO_MODELS),
    "send_notification": (MISSING, "no notification is sent from a rank"),
    "set_cmd_args": (MISSING, "log the arguments with log_parameters"),
    "set_code": (DIFFERENT, "as log_code"),
    "set_epoch": (DIFFERENT, "its change is the metric `epoch`"),
    "set_filename": (MISSING, "log it with log_other"),
    "set_model_graph": (DIFFERENT, "its text as the asset `model-graph.txt`"),
    "set_name": (DIFFERENT, "that of the lowest rank that sets one"),
    "set_offline_zip_uploader": (MISSING, "rankzero sync delivers the archive"),
    "set_os_packages": (MISSING, _NO_AUTO),
    "set_pip_packages": (MISSING, _NO_AUTO),
    "set_step": (SAME, ""),
    "stop_early": (MISSING, "no server tells a rank to stop"),
    "test": (DIFFERENT, "as context_manager"),
    "train": (DIFFERENT, "as context_manager"),
    "unregister_callback": (MISSING, "there are no callbacks"),
    "url": (DIFFERENT, "None: " + _NO_SERVER),
    "validate": (DIFFERENT, "as context_manager"),
}

PAGE = """# From comet_ml to rankzero

Made of `rankzero/comet_methods.py`; a test holds it against `comet_ml` %(sdk)s, so that no public method is
left out.

```python
from rankzero.comet import Experiment        # instead of: from comet_ml import Experiment
```

    COMET_API_KEY=… rankzero run --backend comet --nproc 8 -- python train.py

Call it on every rank, as if there were one: there is one experiment. Take `if rank == 0:` away, so that every
rank is seen. The API key belongs to the environment of `rankzero run`, not into the code. Without
`rankzero run`, the first rank of the node starts what is needed, and `api_key=` counts.

`OfflineExperiment` leaves an archive in the run directory for `rankzero sync` or `comet upload`; under
`rankzero run`, its flag `--offline` decides. `start()` takes all modes as get_or_create: of two jobs at once
with one key the second is refused; one that comes when the first has ended goes on in its experiment, which
is said on stderr and kept in the experiment (`rankzero earlier runs`). Keywords of the constructors that turn
automatic logging on or off are ignored, as there is none, but for `auto_output_logging`: what a rank prints
is logged unless that is None or False.
What is not supported says so once on stderr and goes on; nothing raises into training.

| method | here | what is to know |
|---|---|---|
%(rows)s

%(counts)s.
"""


def page() -> str:
    rows = "\n".join("| `%s` | %s | %s |" % (name, *METHODS[name]) for name in sorted(METHODS))
    kinds = [kind for kind, _ in METHODS.values()]
    counts = ", ".join("%d %s" % (kinds.count(kind), kind) for kind in (SAME, DIFFERENT, MISSING))
    return PAGE % {"sdk": SDK, "rows": rows, "counts": counts}
