"""The methods of comet_ml.Experiment that log files, and what all of its methods share."""
import functools
import os
import threading
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, TypeVar, cast

from . import comet_assets as made
from .interrupts import is_foreign
from .run import say_line
from .types import Run

F = TypeVar("F", bound=Callable[..., Any])

TEXT_NAME = "auto-generated-in-the-backend"
"""What Comet calls every text sample."""


def safe(method: F) -> F:
    """What goes wrong in it is told once, and is nothing that training hears of."""

    @functools.wraps(method)
    def call(self: "Files", *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if is_foreign(error):
                raise
            self._say_once(method.__name__, "%s: %s" % (type(error).__name__, error))
            return None

    return cast(F, call)


class Files:
    def __init__(self) -> None:
        self._run: Optional[Run] = None
        self._step: Optional[int] = None
        self._context: Optional[str] = None
        self._html = ""
        self._told: Set[str] = set()
        self._lock = threading.RLock()

    def __getstate__(self) -> Dict[str, Any]:
        """Sent elsewhere it is silent, as its run is."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def _say_once(self, what: str, why: str) -> None:
        with self._lock:
            if what in self._told:
                return
            self._told.add(what)
        rank = getattr(self._run, "rank", None)
        say_line(rank, "comet: %s: %s. Training goes on; this is said once." % (what, why))

    def _asset(
        self, source: Any, name: Optional[str] = None, type: str = "asset", step: Optional[int] = None,
        metadata: Optional[Dict[str, Any]] = None, **more: Any,
    ) -> None:
        if self._run is None:
            return
        if step is not None:
            self._step = step
        about = {**(metadata or {}), **more}
        if self._context:
            about["context"] = self._context
        self._run.asset(source, name, type, self._step, about or None)

    # --- files

    @safe
    def log_asset(
        self, file_data: Any, file_name: Optional[str] = None, overwrite: bool = False,
        copy_to_tmp: bool = True, step: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        self._asset(made.content_of(file_data), file_name, "asset", step, metadata)

    @safe
    def log_asset_data(
        self, data: Any, name: Optional[str] = None, overwrite: bool = False, step: Optional[int] = None,
        metadata: Optional[Dict[str, Any]] = None, file_name: Optional[str] = None,
        epoch: Optional[int] = None,
    ) -> None:
        content = data if isinstance(data, bytes) else made.json_of(data)
        if isinstance(data, str):
            content = data.encode("utf-8", "replace")
        self._asset(content, name or file_name or "data", "asset", step, metadata)

    @safe
    def log_asset_folder(
        self, folder: str, step: Optional[int] = None, log_file_name: Optional[bool] = None,
        recursive: bool = False, metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        self._folder(folder, "asset", step, metadata, recursive, os.path.basename(os.path.abspath(folder)))

    def _folder(
        self, folder: str, type: str, step: Optional[int], metadata: Optional[Dict[str, Any]],
        recursive: bool, before: str, **more: Any,
    ) -> None:
        for path in made.files_below(folder, recursive):
            name = os.path.join(before, os.path.relpath(path, folder))
            self._asset(path, name, type, step, metadata, **more)

    @safe
    def log_model(
        self, name: str, file_or_folder: Any, file_name: Optional[str] = None, overwrite: bool = False,
        metadata: Optional[Dict[str, Any]] = None, copy_to_tmp: bool = True, prepend_folder_name: bool = True,
    ) -> None:
        """The metadata `model` says which model a file belongs to."""
        if isinstance(file_or_folder, (str, os.PathLike)) and os.path.isdir(file_or_folder):
            folder = os.fspath(file_or_folder)
            before = os.path.basename(os.path.abspath(folder)) if prepend_folder_name else ""
            return self._folder(folder, "model-element", None, metadata, True, before, model=str(name))
        content = made.content_of(file_or_folder)
        if file_name is None and isinstance(content, bytes):
            file_name = str(name)
        self._asset(content, file_name, "model-element", None, metadata, model=str(name))

    @safe
    def log_remote_asset(
        self, uri: str, remote_file_name: Optional[str] = None, overwrite: bool = False,
        asset_type: str = "asset", step: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        self._asset({"uri": uri}, remote_file_name, asset_type, step, metadata)

    @safe
    def log_remote_model(
        self, model_name: str, uri: str, metadata: Optional[Dict[str, Any]] = None, sync_mode: bool = True,
        max_synced_objects: int = 10000,
    ) -> None:
        self._asset({"uri": uri}, None, "model-element", None, metadata, model=str(model_name))

    @safe
    def log_text(
        self, text: str, step: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None
    ) -> None:
        self._asset(str(text).encode("utf-8", "replace"), TEXT_NAME, "text-sample", step, metadata)

    @safe
    def log_html(self, html: str, clear: bool = False) -> None:
        """Of one rank: the page is what it has logged so far. The newest page of all ranks holds."""
        self._html = str(html) if clear else self._html + str(html)
        if self._run is not None:
            self._run.html(self._html)

    def log_html_url(self, url: str, text: Optional[str] = None, label: Optional[str] = None) -> None:
        before = "%s: " % label if label else ""
        self.log_html('%s<a href="%s">%s</a><br>' % (before, url, text or url))

    @safe
    def log_code(
        self, file_name: Optional[str] = None, folder: Optional[str] = None, code: Optional[str] = None,
        code_name: Optional[str] = None, overwrite: bool = False, metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        if code is not None:
            content = code.encode("utf-8", "replace")
            self._asset(content, code_name or "code.py", "source_code", None, metadata)
        elif folder is not None:
            for path in made.files_below(folder):
                if path.endswith((".py", ".ipynb")):
                    self._asset(path, os.path.relpath(path, folder), "source_code", None, metadata)
        elif file_name is not None:
            self._asset(file_name, None, "source_code", None, metadata)

    def set_code(
        self, code: Optional[str] = None, overwrite: bool = False, filename: Optional[str] = None
    ) -> None:
        self.log_code(filename, None, code)

    @safe
    def set_model_graph(self, graph: Any, overwrite: bool = False) -> None:
        text = graph.to_json() if hasattr(graph, "to_json") else str(graph)
        self._asset(text.encode("utf-8", "replace"), "model-graph.txt")

    @safe
    def log_tensorflow_folder(self, folder: str, metadata: Optional[Dict[str, Any]] = None) -> None:
        before = os.path.basename(os.path.abspath(folder))
        self._folder(folder, "tensorflow-file", None, metadata, True, before)

    def log_tensorboard_folder(self, folder: str, metadata: Optional[Dict[str, Any]] = None) -> None:
        self.log_tensorflow_folder(folder, metadata)

    @safe
    def log_notebook(self, filename: str, overwrite: bool = False) -> None:
        self._asset(filename, None, "notebook")

    # --- what Comet shows

    @safe
    def log_image(
        self, image_data: Any, name: Optional[str] = None, overwrite: bool = False, image_format: str = "png",
        image_scale: float = 1.0, image_shape: Any = None, image_colormap: Optional[str] = None,
        image_minmax: Optional[Sequence[float]] = None, image_channels: str = "last",
        copy_to_tmp: bool = True, step: Optional[int] = None, annotations: Any = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        if annotations or image_scale != 1.0 or image_shape or image_colormap:
            self._say_once("log_image", "annotations, scale, shape and colormap are ignored")
        content = made.image_of(image_data, image_format, image_channels, image_minmax)
        if name is None and isinstance(content, (bytes, bytearray)):
            name = "image.%s" % image_format
        self._asset(content, name, "image", step, metadata)

    @safe
    def log_figure(
        self, figure_name: Optional[str] = None, figure: Any = None, overwrite: bool = False,
        step: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None, format: str = "auto",
    ) -> None:
        content, extension = made.figure_of(figure, format)
        name = figure_name or "Figure"
        self._asset(content, name if "." in name else "%s.%s" % (name, extension), "image", step, metadata)

    @safe
    def log_confusion_matrix(
        self, y_true: Any = None, y_predicted: Any = None, matrix: Any = None,
        labels: Optional[Sequence[str]] = None, title: str = "Confusion Matrix",
        row_label: str = "Actual Category", column_label: str = "Predicted Category",
        max_examples_per_cell: int = 25, max_categories: int = 25, winner_function: Any = None,
        index_to_example_function: Any = None, cache: bool = True, file_name: str = "confusion-matrix.json",
        overwrite: bool = False, step: Optional[int] = None, epoch: Optional[int] = None, images: Any = None,
        selected: Any = None, images_annotations: Any = None, metadata: Optional[Dict[str, Any]] = None,
        **more: Any,
    ) -> None:
        if images is not None or selected is not None or index_to_example_function is not None or more:
            self._say_once("log_confusion_matrix", "examples, images and selected categories are ignored")
        texts = {"title": title, "rowLabel": row_label, "columnLabel": column_label}
        content = made.confusion_of(y_true, y_predicted, matrix, labels, texts)
        self._asset(content, file_name, "confusion-matrix", step, metadata)

    @safe
    def log_histogram_3d(
        self, values: Any, name: Optional[str] = None, step: Optional[int] = None,
        epoch: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None, **more: Any,
    ) -> None:
        histogram = values.to_json() if hasattr(values, "to_json") else made.histogram_of(values)
        self._asset(made.json_of(histogram), name or "histogram_3d.json", "histogram3d", step, metadata)

    @safe
    def log_curve(
        self, name: str, x: Any, y: Any, overwrite: bool = False, step: Optional[int] = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        content = made.json_of({"x": made.flat(x), "y": made.flat(y), "name": name})
        self._asset(content, name, "curve", step, metadata)

    @safe
    def log_table(
        self, filename: str, tabular_data: Any = None, headers: Any = False, **format_kwargs: Any
    ) -> None:
        if tabular_data is None:
            return self._asset(filename)
        self._asset(made.table_of(tabular_data, headers, filename), os.path.basename(filename))

    @safe
    def log_audio(
        self, audio_data: Any, sample_rate: Optional[int] = None, normalize_data: str = "PCM_16_BIT",
        file_name: Optional[str] = None, metadata: Optional[Dict[str, Any]] = None, overwrite: bool = False,
        copy_to_tmp: bool = True, step: Optional[int] = None,
    ) -> None:
        content = made.content_of(audio_data)
        if not isinstance(content, (str, bytes, os.PathLike)):
            raise TypeError("samples are not taken: write a file, and log its path")
        self._asset(content, file_name, "audio", step, metadata)

    @safe
    def log_video(
        self, file: Any, name: Optional[str] = None, overwrite: bool = False, format: Optional[str] = None,
        step: Optional[int] = None, epoch: Optional[int] = None, metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        content = made.content_of(file)
        if name is None and isinstance(content, bytes):
            name = "video.%s" % (format or "mp4")
        self._asset(content, name, "video", step, metadata)
