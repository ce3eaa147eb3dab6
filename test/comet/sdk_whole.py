"""An Experiment with everything in it, online or offline; then what it logged, as JSON on the last line.

sdk_whole.py online KEY: also read back by the vendor's own API, under "read".
sdk_whole.py offline KEY: an archive in the working directory.
"""
import json
import os
import struct
import sys
import zlib

import comet_ml

MODE, KEY = sys.argv[1:]
BLOB = bytes(range(256)) * 10
SVG = "<svg/>"
FIELDS = ("metricValue", "step", "epoch", "runContext")


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\1\2\3")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


class Figure:
    """All that the SDK asks of a figure."""

    def savefig(self, file, **_):
        if isinstance(file, str):
            with open(file, "w") as opened:
                opened.write(SVG)
        else:
            file.write(SVG.encode())


def begin():
    place = {"project_name": "proj", "workspace": "ws", "log_code": False, "log_git_metadata": False}
    if MODE == "online":
        return comet_ml.Experiment(experiment_key=KEY, **place)
    return comet_ml.OfflineExperiment(experiment_key=KEY, offline_directory=os.getcwd(), **place)


def log(experiment):
    with open("blob.bin", "wb") as file:
        file.write(BLOB)
    with open("pic.png", "wb") as file:
        file.write(png())
    experiment.set_name("run A")
    experiment.add_tags(["t1", "t2"])
    experiment.add_tag("t3")
    experiment.log_parameters({"lr": 0.1, "layers": [1, 2], "none": None, "flag": True, "opt": "adam"})
    experiment.log_other("k", "v")
    experiment.log_metric("loss", 0.5, step=3, epoch=1)
    experiment.log_metric("nan", float("nan"), step=4)
    experiment.log_metric("pinf", float("inf"), step=4)
    experiment.log_metric("ninf", float("-inf"), step=4)
    experiment.log_metric("big", 2**60, step=4)
    with experiment.train():
        experiment.log_metric("loss", 0.25, step=5, epoch=2)
    with experiment.validate():
        experiment.log_metrics({"loss": 0.125, "acc": 1}, step=6)
    for step in range(7, 1507):
        experiment.log_metric("many", step / 8, step=step)
    experiment.log_text("a text", step=1507, metadata={"a": 1})
    experiment.log_html("<b>x</b>")
    experiment.set_model_graph("a graph")
    experiment.log_asset("blob.bin", "d/blob.bin", step=1507, metadata={"m": 1})
    experiment.log_asset_data({"j": 1}, name="data.json")
    experiment.log_image("pic.png", name="pic.png")
    experiment.log_figure("fig", Figure())
    experiment.log_model("net", "blob.bin")
    experiment.log_remote_asset("s3://b/k.pt", remote_file_name="k.pt")
    experiment.log_histogram_3d([1, 2, 3, 4], name="h")
    experiment.log_confusion_matrix([0, 1, 1], [0, 1, 0])
    experiment.log_curve("roc", [0, 1], [0, 1])
    experiment.log_table("t.csv", [[1, 2], [3, 4]], headers=["a", "b"])
    experiment.log_system_info("node", "n0")
    if MODE == "online":
        artifact = comet_ml.Artifact("art", "dataset")
        artifact.add("blob.bin", "in/blob.bin")
        artifact.add_remote("https://host/k2", "k2")
        experiment.log_artifact(artifact)
    print("a line on stdout")


def read():
    experiment = comet_ml.API(cache=False).get_experiment_by_key(KEY)
    return {
        "state": experiment.get_state(), "name": experiment.get_name(), "tags": sorted(experiment.get_tags()),
        "loss": [[m[field] for field in FIELDS] for m in experiment.get_metrics("loss")],
        "all": len(experiment.get_metrics()),
        "many": {k: experiment.get_metrics_summary("many")[k] for k in ("valueMin", "valueMax", "stepMax")},
        "parameters": {p["name"]: p["valueCurrent"] for p in experiment.get_parameters_summary()},
        "others": {o["name"]: o["valueCurrent"] for o in experiment.get_others_summary()},
        "html": experiment.get_html(), "graph": experiment.get_model_graph(),
        "assets": sorted(a["fileName"] for a in experiment.get_asset_list()),
        "hostname": experiment.get_hostname() != "", "output": "a line on stdout" in experiment.get_output(),
        "models": experiment.get_model_names(),
    }


experiment = begin()
log(experiment)
experiment.end()
print(json.dumps(read() if MODE == "online" else {}))
