"""Total conversions of whatever a user passes into numbers and JSON. Code of a value may run, and raise."""
import math
from typing import Any, Dict, List, Optional, Set, Tuple

from .format import json_bytes
from .interrupts import is_foreign
from .limits import NAME_CODEPOINTS_MAX, STEP_MAX, TEXT_BYTES_MAX

DEPTH_MAX = 16
NODES_MAX = 100_000


def number_of(value: Any) -> Tuple[Optional[float], str]:
    """A value as a number, or None and the cause of its refusal. Scalar arrays and tensors have item()."""
    kind = type(value)
    if kind is float:
        return value, ""
    if kind is int or kind is bool:
        return (value, "") if -STEP_MAX <= value <= STEP_MAX else (None, "bigint")
    if value is None:
        return None, "null"
    if isinstance(value, (str, bytes, bytearray)):
        return None, "string"
    try:
        if not isinstance(value, (float, int)):
            item = getattr(value, "item", None)
            if item is not None:
                value = item()
        if isinstance(value, int):
            return (int(value), "") if -STEP_MAX <= value <= STEP_MAX else (None, "bigint")
        if isinstance(value, (str, bytes)) or not hasattr(type(value), "__float__"):
            return None, "object"
        return float(value), ""
    except Exception as error:
        if is_foreign(error):
            raise
        return None, "object" if isinstance(error, (TypeError, ValueError)) else "threw"


def step_of(step: Any) -> Optional[int]:
    """A step given as any whole number, or None."""
    if type(step) is not int:
        number, _ = number_of(step)
        if number is None or number != number or number in (math.inf, -math.inf) or number != int(number):
            return None
        step = int(number)
    return step if 0 <= step <= STEP_MAX else None


def is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= NAME_CODEPOINTS_MAX


def json_number(value: float) -> Any:
    """JSON cannot carry NaN and infinities; they travel as strings (DESIGN 13)."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


class _Plain:
    """One copy: how many nodes it has so far, and what is above the current one."""

    def __init__(self) -> None:
        self.nodes = 0
        self.above: Set[int] = set()

    def copy(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            return "[cut]"
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return int(value) if -STEP_MAX <= value <= STEP_MAX else str(int(value))
        if isinstance(value, float):
            return json_number(float(value))
        if id(value) in self.above:
            return "[circular]"
        if depth > DEPTH_MAX:
            return "[too deep]"
        self.above.add(id(value))
        try:
            return self._copy_object(value, depth + 1)
        finally:
            self.above.discard(id(value))

    def _copy_object(self, value: Any, depth: int) -> Any:
        if isinstance(value, (bytes, bytearray)):
            return bytes(value[:NODES_MAX]).decode("utf-8", "replace")
        try:
            fields = _fields_of(value)
            if fields is not None:
                return {str(key): self.copy(each, depth) for key, each in fields.items()}
            if isinstance(value, (list, tuple, set, frozenset)):
                return [self.copy(each, depth) for each in list(value)[:NODES_MAX]]
            for method in ("tolist", "item"):
                if hasattr(value, method):
                    return self.copy(getattr(value, method)(), depth)
            if isinstance(value, BaseException):
                return "%s: %s" % (type(value).__name__, value)
            return str(value)
        except Exception as error:
            if is_foreign(error):
                raise
            return "[threw]"


def _fields_of(value: Any) -> Optional[Dict[Any, Any]]:
    """What a mapping, a namespace (argparse), a dataclass or a named tuple holds; None for others."""
    if isinstance(value, dict):
        return dict(value)
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}
    if isinstance(value, type):
        return None
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if type(value).__name__ == "Namespace":
        return dict(vars(value))
    return None


def plain(value: Any) -> Any:
    """JSON-safe copy: numbers JSON lacks become words, large ints digits, strange values a note."""
    return _Plain().copy(value, 0)


def cut_text(text: str) -> Dict[str, Any]:
    """A text as it may be written: whole, or its beginning when its JSON would be too long."""
    # Twelve bytes are the most that JSON makes of one code point.
    if len(text) * 12 + 2 <= TEXT_BYTES_MAX or len(json_bytes(text)) <= TEXT_BYTES_MAX:
        return {"line": text}
    line = text[:TEXT_BYTES_MAX]
    size = len(json_bytes(line))
    while size > TEXT_BYTES_MAX:
        line = line[:len(line) * TEXT_BYTES_MAX // size]
        size = len(json_bytes(line))
    return {"line": line, "cut": True}


def split_names(names: List[str], bytes_max: int, names_max: int) -> List[List[str]]:
    """Names in parts that each fit into one definition."""
    parts: List[List[str]] = [[]]
    size = 0
    for name in names:
        length = len(json_bytes(name)) + 1
        if parts[-1] and (len(parts[-1]) == names_max or size + length > bytes_max):
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += length
    return parts
