"""Layouts: interned sets of metric names, how their values are packed, and what of them was lost.

Repeats (FORMAT.md, "Ring"): a reader that lost a definition to damage finds it again at the next lap or
segment.
"""
import struct
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .format import HEAD_BYTES, json_bytes, pad8
from .limits import RECORD_BYTES_MAX

REPEAT_PART = 8
"""Repeated definitions may take this part of the space that they precede."""
REPORT_BYTES_MAX = RECORD_BYTES_MAX // 4
"""Names of one report of losses take at most this much, so that the report fits in a record."""


class Layout:
    """One layout, with the packer of its values records: everything of a record behind the commit word."""

    __slots__ = ("id", "names", "count", "size", "size_field", "id_fields", "pack", "time")

    def __init__(self, id: int, names: Sequence[str], time: int = 0) -> None:
        self.id = id
        self.names = names
        self.count = len(names)
        self.size = HEAD_BYTES + 8 * self.count
        # What is the same in each record, as bytes: a number more costs 40 ns a call.
        self.size_field = struct.pack("<I", self.size)
        self.id_fields = struct.pack("<II", id, self.count)
        self.pack: Callable[..., bytes] = struct.Struct("<4sQ8sdd%dd" % self.count).pack
        self.time = time
        """When it was defined, ms since the epoch."""

    def body(self) -> bytes:
        return json_bytes({"id": self.id, "names": list(self.names)})


class Layouts:
    """The layouts that a writer has defined."""

    def __init__(self) -> None:
        self._by_id: Dict[int, Layout] = {}
        self.written: List[Tuple[Layout, bytes]] = []
        self._bytes = 0

    def add(self, layout: Layout) -> None:
        self._by_id[layout.id] = layout

    def was_written(self, layout: Layout, body: bytes) -> None:
        """From now on it is repeated."""
        self.written.append((layout, body))
        self._bytes += HEAD_BYTES + pad8(len(body))

    def names(self, id: int) -> Sequence[str]:
        layout = self._by_id.get(id)
        return layout.names if layout is not None else ()

    def repeat_bytes(self, space: int) -> int:
        """Bytes of a repeat at the start of `space` bytes; 0: too much of it, so no repeat."""
        return self._bytes if self._bytes * REPEAT_PART <= space else 0


class Losses:
    """Points lost and not yet reported: counted by layout when lost, by name when reported."""

    def __init__(self) -> None:
        self._by_layout: Dict[int, int] = {}
        self._by_name: Dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._by_layout or self._by_name)

    def add(self, layout: int, count: int) -> None:
        self._by_layout[layout] = self._by_layout.get(layout, 0) + count

    def report(self, layouts: Layouts, write: Callable[[Dict[str, Any]], bool]) -> None:
        """Calls `write` with one part of the losses at a time; what it accepts is forgotten."""
        self._name(layouts)
        while self._by_name:
            points: Dict[str, int] = {}
            size = 0
            for name, count in self._by_name.items():
                if size > REPORT_BYTES_MAX:
                    break
                points[name] = count
                size += len(name)
            if not write({"points": points, "cause": "overflow"}):
                return
            for name in points:
                del self._by_name[name]

    def _name(self, layouts: Layouts) -> None:
        """A lost call lost one point of every name of its layout."""
        for layout, count in self._by_layout.items():
            names = layouts.names(layout)
            for name in names:
                self._by_name[name] = self._by_name.get(name, 0) + count // len(names)
        self._by_layout = {}
