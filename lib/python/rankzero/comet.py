"""For trainers written for comet_ml: `from rankzero.comet import Experiment, OfflineExperiment, start`.

In: the calls of comet_ml.Experiment 3.58.8, on every rank. Out: one run, by the road of all runs.
Invariants: nothing here raises into training, waits for a server or needs comet_ml; what is not supported
says so once on stderr and goes on. lib/python/COMET.md lists every method: same, different, missing.

Ranks log the same names as they did with one process: rows are merged over ranks; equal parameters, others,
tags and assets are one. Contexts are part of a metric's name (`train_loss`), as Comet shows them.
"""
import hashlib
import json
import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, cast

from .aside import read_aside
from .comet_assets import comet_key
from .comet_files import Files, safe
from .comet_methods import METHODS
from .errors import RankzeroError
from .limits import COMET_KEY_WAIT_MS
from .start import init
from .values import number_of

__all__ = ["Experiment", "ExistingExperiment", "OfflineExperiment", "start"]

class Experiment(Files):
    """As comet_ml.Experiment, for every rank of a job. Keywords that have no meaning here are ignored."""

    _offline = False

    def __init__(
        self, api_key: Optional[str] = None, project_name: Optional[str] = None,
        workspace: Optional[str] = None,
        *_: Any, experiment_key: Optional[str] = None, disabled: bool = False,
        auto_output_logging: Any = "default", **__: Any,
    ) -> None:
        super().__init__()
        self._epoch: Optional[int] = None
        self._context: Optional[str] = None
        self._name: Optional[str] = None
        self._tags: List[str] = []
        self._metrics: Dict[str, Any] = {}
        self._parameters: Dict[str, Any] = {}
        self._others: Dict[str, Any] = {}
        self._given_key = experiment_key
        self.disabled = disabled
        if disabled:
            return
        backend = {"RANKZERO_BACKEND": "comet", "COMET_API_KEY": api_key, "COMET_WORKSPACE": workspace}
        if self._offline:
            backend["RANKZERO_OFFLINE"] = "yes"
        capture = auto_output_logging not in (None, False)
        try:
            with _environment(backend):
                self._run = init(project=project_name, key=experiment_key, capture=capture)
        except RankzeroError as error:
            return self._say_once("Experiment", "%s; nothing is recorded. %s" % (error.message, error.remedy))
        if os.environ.get("RANKZERO_RUN") and api_key and not os.environ.get("COMET_API_KEY"):
            self._say_once("api_key", "a key in code is not used here: set COMET_API_KEY for rankzero run")

    # --- metrics and parameters

    @safe
    def log_metric(
        self, name: Any, value: Any, step: Optional[int] = None, epoch: Optional[int] = None,
        include_context: bool = True,
    ) -> None:
        self.log_metrics({str(name): value}, None, step, epoch, include_context)

    @safe
    def log_metrics(
        self, dic: Mapping[str, Any], prefix: Optional[str] = None, step: Optional[int] = None,
        epoch: Optional[int] = None, include_context: bool = True,
    ) -> None:
        self.set_step(step)
        self.set_epoch(epoch)
        before = "%s_" % self._context if include_context and self._context else ""
        between = "%s_" % prefix if prefix else ""
        values = {before + between + str(name): value for name, value in dic.items()}
        self._metrics.update(values)
        if self._run is not None:
            self._run.log(values, step=self._step)

    @safe
    def log_parameter(self, name: Any, value: Any, step: Optional[int] = None) -> None:
        self.log_parameters({str(name): value}, None, step)

    @safe
    def log_parameters(
        self, parameters: Mapping[str, Any], prefix: Optional[str] = None, step: Optional[int] = None,
        nested_support: bool = True,
    ) -> None:
        self.set_step(step)
        context = [self._context] if self._context else []
        before = "_".join(context + ([prefix] if prefix else []) + [""])
        items = vars(parameters) if type(parameters).__name__ == "Namespace" else parameters
        values = {before + str(name): value for name, value in dict(items).items()}
        self._parameters.update(values)
        if self._run is not None:
            self._run.params(values)

    @safe
    def log_other(self, key: Any, value: Any) -> None:
        self._others[str(key)] = value
        if self._run is None:
            return
        if str(key) == "Name":
            return self.set_name(value)
        self._run.other(str(key), value)

    @safe
    def log_others(self, dictionary: Mapping[Any, Any]) -> None:
        for key, value in dictionary.items():
            self.log_other(key, value)

    @safe
    def log_dataset_info(
        self, name: Optional[str] = None, version: Optional[str] = None, path: Optional[str] = None
    ) -> None:
        for key, value in (("dataset_name", name), ("dataset_version", version), ("dataset_path", path)):
            if value is not None:
                self.log_other(key, value)

    @safe
    def log_dataset_hash(self, data: Any) -> None:
        digest = hashlib.new("md5", str(data).encode("utf-8", "replace")).hexdigest()
        self.log_parameter("dataset_hash", digest[:12])

    @safe
    def log_system_info(self, key: Any, value: Any) -> None:
        self.log_other("system/%s" % key, value)

    # --- name, tags, step, epoch, context

    @safe
    def set_name(self, name: str) -> None:
        self._name = str(name)
        if self._run is not None:
            self._run.name(self._name)

    def add_tag(self, tag: str) -> None:
        self.add_tags([tag])

    @safe
    def add_tags(self, tags: List[str]) -> None:
        self._tags += [str(tag) for tag in tags]
        if self._run is not None:
            self._run.tags([str(tag) for tag in tags])

    @safe
    def set_step(self, step: Optional[int]) -> None:
        """Holds until another one is set, here or by a call that names one."""
        if step is not None:
            number, _ = number_of(step)
            if number is None or number != int(number) or number < 0:
                return self._say_once("step", "a step must be a whole number from 0, not %r" % (step,))
            self._step = int(number)

    @safe
    def set_epoch(self, epoch: Optional[int]) -> None:
        """A change of it is the metric `epoch`, at the step of the call."""
        if epoch is None or epoch == self._epoch:
            return
        self._epoch = epoch
        if self._run is not None and self._step is not None:
            self._run.log({"epoch": epoch}, step=self._step)

    def log_current_epoch(self, value: int) -> None:
        self.set_epoch(value)

    def log_epoch_end(self, epoch_cnt: int, step: Optional[int] = None) -> None:
        self.set_step(step)
        self.set_epoch(epoch_cnt)

    @contextmanager
    def context_manager(self, context: Optional[str]) -> Iterator["Experiment"]:
        before, self._context = self._context, context
        try:
            yield self
        finally:
            self._context = before

    def train(self) -> Any:
        return self.context_manager("train")

    def validate(self) -> Any:
        return self.context_manager("validate")

    def test(self) -> Any:
        return self.context_manager("test")

    # --- what was logged, by this rank

    def get_metric(self, name: str) -> Any:
        return self._metrics.get(name)

    def get_parameter(self, name: str) -> Any:
        return self._parameters.get(name)

    def get_other(self, name: str) -> Any:
        return self._others.get(name)

    def get_name(self) -> Optional[str]:
        return self._name

    def get_tags(self) -> List[str]:
        return sorted(set(self._tags))

    @safe
    def get_key(self) -> Optional[str]:
        """The key of the one experiment, the same on all ranks; None when no head is known within 5 s."""
        if self._run is None:
            return None
        until = time.monotonic() + COMET_KEY_WAIT_MS / 1000
        while True:
            key, given = self._key_of_head(), self._given_key
            # A key that was generated gives way to the one that was given, as soon as the head hears of it.
            is_known = key is not None and (given is None or key.startswith(given))
            if is_known or time.monotonic() > until:
                return None if key is None else comet_key(key)
            time.sleep(0.1)

    def _key_of_head(self) -> Optional[str]:
        run, directory = self._run, getattr(self._run, "_dir", None)
        if run is None or run.id is None or directory is None:
            return None
        try:
            picture = json.loads(read_aside(os.path.join(directory, run.id, "status.json")))
            seen = len(picture["members"]) > 0 and isinstance(picture["key"], str)
        except (ValueError, KeyError, TypeError):
            return None
        return str(picture["key"]) if seen else None

    @property
    def id(self) -> Optional[str]:
        return self.get_key()

    @property
    def alive(self) -> bool:
        return self._run is not None

    @property
    def url(self) -> Optional[str]:
        self._say_once("url", METHODS["url"][1])
        return None

    # --- the end

    def flush(self, timeout: Optional[int] = None) -> bool:
        """What a call returned from is safe already."""
        return True

    @safe
    def end(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end()

    def __enter__(self) -> "Experiment":
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.__exit__(kind, error, traceback)

    def __getattr__(self, name: str) -> Any:
        """A method of comet_ml.Experiment that is missing here says so once, and does nothing."""
        if name.startswith("_") or METHODS.get(name, ("", ""))[0] != "missing":
            raise AttributeError("%r has no attribute %r" % (type(self).__name__, name))

        def missing(*_: Any, **__: Any) -> None:
            self._say_once(name, METHODS[name][1])

        return missing


class OfflineExperiment(Experiment):
    """Sends nothing while it runs: `rankzero sync` or `comet upload` takes the archive that it leaves."""

    _offline = True

    def __init__(
        self, project_name: Optional[str] = None, workspace: Optional[str] = None, *_: Any, **more: Any
    ) -> None:
        super().__init__(more.pop("api_key", None), project_name, workspace, **more)


class ExistingExperiment(Experiment):
    """An experiment of that key: goes on, if nobody else holds it."""

    def __init__(
        self, api_key: Optional[str] = None, previous_experiment: Optional[str] = None, *_: Any, **more: Any
    ) -> None:
        super().__init__(api_key, **{"experiment_key": previous_experiment, **more})


def start(
    api_key: Optional[str] = None, workspace: Optional[str] = None, project: Optional[str] = None,
    project_name: Optional[str] = None, experiment_key: Optional[str] = None, mode: Optional[str] = None,
    online: Optional[bool] = None, source: Optional[str] = None, experiment_config: Any = None,
) -> Experiment:
    """As comet_ml.start; every mode is get_or_create, since the key is held by one run at a time."""
    kind = OfflineExperiment if online is False else Experiment
    disabled = bool(getattr(experiment_config, "disabled", False))
    one = kind(
        api_key=api_key, project_name=project or project_name, workspace=workspace,
        experiment_key=experiment_key, disabled=disabled,
    )
    name, tags = getattr(experiment_config, "name", None), getattr(experiment_config, "tags", None)
    if name:
        one.set_name(name)
    if tags:
        one.add_tags(list(tags))
    return one


@contextmanager
def _environment(values: Mapping[str, Optional[str]]) -> Iterator[None]:
    """For whoever is started meanwhile: what is set already stays, and children of training never see it."""
    fresh = {name: value for name, value in values.items() if value and not os.environ.get(name)}
    os.environ.update(fresh)
    try:
        yield
    finally:
        for name in fresh:
            os.environ.pop(name, None)
