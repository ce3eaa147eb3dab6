"""What Comet shows, as bytes: images, figures, confusion matrices, histograms, tables.

In: what people pass to comet_ml's methods. Out: content. NumPy, PIL and matplotlib are used when the caller's
values are of them, and never imported.
"""
import csv
import hashlib
import io
import json
import math
import os
import re
import struct
import sys
import zlib
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, cast

from .values import plain

HISTOGRAM = {"start": 1e-12, "stop": 1e20, "step": 1.1}
"""Bins of Comet's own histograms: they grow by a tenth, on both sides of 0."""


def comet_key(key: str) -> str:
    """As lib/backend/comet names the experiment: keys are global to the server."""
    if re.fullmatch("[0-9A-Za-z]{32,50}", key):
        return key
    return hashlib.sha256(key.encode("utf-8")).hexdigest()[:40]


def content_of(data: Any) -> Any:
    """A path, or bytes: of a file object its content; of text that is no path, itself."""
    if hasattr(data, "read"):
        data = data.read()
        return data.encode("utf-8") if isinstance(data, str) else bytes(data)
    return data


def json_of(value: Any) -> bytes:
    return json.dumps(plain(value), ensure_ascii=False).encode("utf-8")


def files_below(folder: str, recursive: bool = True) -> List[str]:
    found = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        if not recursive:
            del folders[:]
        found += [os.path.join(where, name) for name in sorted(names)]
    return found


# --- images


def image_of(data: Any, format: str, channels: str, minmax: Optional[Sequence[float]]) -> Any:
    """A path, or the bytes of a picture."""
    if isinstance(data, (str, os.PathLike, bytes, bytearray)) or hasattr(data, "read"):
        return content_of(data)
    if hasattr(data, "save") and hasattr(data, "mode"):  # PIL
        out = io.BytesIO()
        data.save(out, format=format)
        return out.getvalue()
    return png_of(data, channels, minmax)


def png_of(data: Any, channels: str = "last", minmax: Optional[Sequence[float]] = None) -> bytes:
    """Of rows of numbers, or of tuples of 1, 3 or 4 of them: an array, a tensor, nested lists."""
    for method in ("detach", "cpu", "numpy"):
        if hasattr(data, method):
            data = getattr(data, method)()
    rows = data.tolist() if hasattr(data, "tolist") else [list(row) for row in data]
    while len(rows) == 1 and _depth(rows) > 3:
        rows = rows[0]
    if _depth(rows) == 3 and channels == "first":
        rows = [[list(pixel) for pixel in zip(*lines)] for lines in zip(*rows)]
    if _depth(rows) == 2:
        rows = [[[value] for value in row] for row in rows]
    height, width, depth = len(rows), len(rows[0]), len(rows[0][0])
    if depth not in (1, 3, 4) or any(len(row) != width for row in rows):
        raise ValueError("an image needs 1, 3 or 4 channels, and rows of one length")
    scale = _scale_of([value for row in rows for pixel in row for value in pixel], minmax)
    lines = b"".join(b"\0" + bytes(scale(value) for pixel in row for value in pixel) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[depth], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _depth(rows: Any) -> int:
    return 1 + _depth(rows[0]) if isinstance(rows, (list, tuple)) and len(rows) > 0 else 0


def _scale_of(values: Sequence[Any], minmax: Optional[Sequence[float]]) -> Callable[[Any], int]:
    """Whole numbers are 0 to 255; others 0 to 1, or what they range over."""
    if minmax is None and all(isinstance(value, int) for value in values):
        return lambda value: min(255, max(0, int(value)))
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    range_ = (min(finite), max(finite))
    low, high = minmax or ((0.0, 1.0) if 0 <= range_[0] and range_[1] <= 1 else range_)
    span = (high - low) or 1.0

    def scale(value: float) -> int:
        return min(255, max(0, round((value - low) / span * 255))) if math.isfinite(value) else 0

    return scale


def figure_of(figure: Any, format: str) -> Tuple[bytes, str]:
    """Bytes and extension of a matplotlib or plotly figure; None: the current one of matplotlib."""
    if figure is None:
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            raise ValueError("no figure is given, and matplotlib is not in use")
        figure = pyplot.gcf()
    if hasattr(figure, "gcf"):
        figure = figure.gcf()
    extension = "svg" if format == "auto" else format
    if hasattr(figure, "savefig"):
        out = io.BytesIO()
        figure.savefig(out, format=extension)
        return out.getvalue(), extension
    if hasattr(figure, "to_image"):
        return bytes(figure.to_image(format=extension)), extension
    raise ValueError("it is no figure of matplotlib or plotly")


# --- what Comet has panels for


def confusion_of(
    y_true: Any, y_predicted: Any, matrix: Any, labels: Optional[Sequence[str]], texts: Dict[str, str],
) -> bytes:
    """`texts`: title, rowLabel, columnLabel. `y_…`: category numbers, or a vector of scores for each."""
    if matrix is None:
        pairs = list(zip(map(_category, _list_of(y_true)), map(_category, _list_of(y_predicted))))
        size = max([len(labels or ())] + [1 + max(pair) for pair in pairs])
        matrix = [[0] * size for _ in range(size)]
        for actual, predicted in pairs:
            matrix[actual][predicted] += 1
    rows = [list(row) for row in _list_of(matrix)]
    names = [str(label) for label in labels] if labels else [str(i) for i in range(len(rows))]
    return json_of({
        "version": 1, **texts, "labels": names, "matrix": rows, "maxSamplesPerCell": 0, "sampleMatrix": None,
        "type": None,
    })


def _category(value: Any) -> int:
    if hasattr(value, "__len__"):
        scores = list(value)
        return scores.index(max(scores))
    return int(value)


def _list_of(values: Any) -> List[Any]:
    for method in ("detach", "cpu"):
        if hasattr(values, method):
            values = getattr(values, method)()
    return list(values.tolist() if hasattr(values, "tolist") else values)


def flat(values: Any) -> List[float]:
    if isinstance(values, (int, float)):
        return [float(values)]
    out: List[float] = []
    for value in _list_of(values):
        out += flat(value) if hasattr(value, "__len__") or hasattr(value, "tolist") else [float(value)]
    return out


def histogram_of(values: Any) -> Dict[str, Any]:
    """Counts of finite values in Comet's own bins."""
    start, stop, base = HISTOGRAM["start"], HISTOGRAM["stop"], math.log(HISTOGRAM["step"])
    half = math.ceil(math.log(stop / start) / base)
    counts: Dict[int, int] = {}
    for value in flat(values):
        if math.isfinite(value):
            index = _bin_of(value, start, stop, base, half)
            counts[index] = counts.get(index, 0) + 1
    return {
        "version": 2, "index_values": [[index, counts[index]] for index in sorted(counts)], "values": None,
        "offset": 0, **HISTOGRAM,
    }


def _bin_of(value: float, start: float, stop: float, base: float, half: int) -> int:
    middle = half + 1
    if abs(value) < 1e-20:
        return middle
    far = min(abs(value), stop)
    away = max(0, math.ceil(math.log(far / start) / base))
    return middle + min(away, half) if value > 0 else max(0, middle - 1 - away)


def table_of(data: Any, headers: Any, name: str) -> bytes:
    """Of rows, or of a data frame (what has to_csv)."""
    if hasattr(data, "to_csv"):
        return cast(str, data.to_csv(index=False)).encode("utf-8")
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if name.endswith(".tsv") else ",", lineterminator="\n")
    if isinstance(headers, (list, tuple)):
        writer.writerow(headers)
    writer.writerows(_list_of(data))
    return out.getvalue().encode("utf-8")
