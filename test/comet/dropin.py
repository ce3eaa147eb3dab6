"""A trainer written for comet_ml, but for its import. T_DIR: where its files are."""
import os
import pickle

from rankzero.comet import Experiment


class Figure:
    def savefig(self, file, format):
        file.write(b"<svg/>")


experiment = Experiment(
    api_key="ofTheCode", project_name="digits", workspace="ws", log_code=False, auto_output_logging=None,
    auto_metric_logging=False, experiment_key=None,
)
rank = int(os.environ["RANK"])
where = os.environ["T_DIR"]
experiment.set_name("as it was")
experiment.add_tag("t1")
experiment.add_tags(["t2", "rank %d" % rank])
experiment.log_parameters({"lr": 0.1, "opt": {"name": "adam"}}, prefix="hp")
experiment.log_parameter("seed", rank)
experiment.log_other("commit", "abc")
experiment.log_others({"a": 1, "b": "two"})
experiment.set_epoch(1)
for step in range(20):
    experiment.set_step(step)
    with experiment.train():
        experiment.log_metrics({"loss": 1 / (step + 1) + rank, "same": step}, epoch=step // 10)
with experiment.validate():
    experiment.log_metric("acc", 0.5 + rank, step=20)
with experiment.test() as inside:
    inside.log_metric("acc", 1, step=20)
assert experiment.get_metric("validate_acc") == 0.5 + rank
assert experiment.get_parameter("hp_lr") == 0.1
assert experiment.get_other("commit") == "abc"
assert experiment.get_name() == "as it was"

experiment.log_text("a sample", step=20)
experiment.log_asset(os.path.join(where, "blob.bin"), "d/blob.bin", step=20, metadata={"m": 1})
experiment.log_asset_data({"j": 1}, name="data.json")
experiment.log_asset_folder(os.path.join(where, "folder"), recursive=True)
experiment.log_model("net", os.path.join(where, "blob.bin"))
experiment.log_remote_asset("s3://b/k.pt", remote_file_name="k.pt")
experiment.log_image([[0, 128], [255, 7]], name="pic.png", step=20)
experiment.log_figure("fig", Figure())
experiment.log_confusion_matrix([0, 1, 1], [0, 1, 0], labels=["no", "yes"])
experiment.log_histogram_3d([1, 2, 3, 4], name="weights", step=20)
experiment.log_curve("roc", [0, 1], [0, 1])
experiment.log_table("t.csv", [[1, 2], [3, 4]], headers=["a", "b"])
experiment.log_dataset_hash([1, 2, 3])
experiment.set_model_graph("a -> b")
experiment.log_tensorboard_folder(os.path.join(where, "folder"))
experiment.set_code("print(1)")
experiment.log_html("<b>x</b>")
experiment.log_html("<i>y</i>")

# None of these is there, or right, and training hears of none.
experiment.log_embedding([[1]], ["a"])
experiment.log_embedding([[1]], ["a"])
assert experiment.get_artifact("data") is None
experiment.log_image(object())
experiment.log_asset("/nowhere/at/all")
experiment.log_metric("odd", "a word")
experiment.set_step("no step")
assert experiment.url is None
assert not hasattr(experiment, "no_such_method")
assert pickle.loads(pickle.dumps(experiment)).log_metric("elsewhere", 1) is None
try:
    raise KeyError("of the trainer")
except KeyError:
    pass
print("key %d %s" % (rank, experiment.get_key()))
experiment.end()
experiment.end()
experiment.log_metric("late", 1)
