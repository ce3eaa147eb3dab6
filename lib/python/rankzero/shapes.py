"""Interning of the key sets of log() calls.

A shape is an ordered tuple of names; it maps to one layout of the journal, or to several when it does not fit
into one or when there are too many shapes already.
"""
from typing import Callable, Dict, List, Sequence, Set, Tuple

from .layouts import Layout
from .limits import LAYOUT_NAMES_MAX, LAYOUTS_MAX, NAMES_MAX, RECORD_BYTES_MAX
from .values import split_names

DEFINITION_BYTES_MAX = RECORD_BYTES_MAX // 2
"""Half of a record, since names are counted as JSON and the definition has a frame of its own."""


class Shapes:
    def __init__(
        self, define: Callable[[Layout], object], names_max: int = NAMES_MAX, layouts_max: int = LAYOUTS_MAX
    ) -> None:
        """`define` is told each new layout once, before it is used."""
        self._define = define
        self._names_max = names_max
        self._layouts_max = layouts_max
        self.single: Dict[Tuple[str, ...], Layout] = {}
        """The shapes that are one layout: what the fast road of log() looks up."""
        self._split: Dict[Tuple[str, ...], Sequence[Layout]] = {}
        self._singles: Dict[str, Layout] = {}
        self._names: Set[str] = set()
        self._next_id = 1
        self._held = 0
        """Names in all layouts, with repetition: what the shapes cost in memory."""

    def admit(self, name: str) -> bool:
        """Whether a value of this name may be taken; False once there are too many others."""
        if name in self._names:
            return True
        if len(self._names) >= self._names_max:
            return False
        self._names.add(name)
        return True

    def of(self, names: Tuple[str, ...]) -> Sequence[Layout]:
        """The layouts of these names, which were all admitted."""
        known = self.single.get(names)
        if known is not None:
            return (known,)
        split = self._split.get(names)
        if split is not None:
            return split
        if self._next_id > self._layouts_max or self._held + len(names) > self._names_max:
            return [self._single(name) for name in names]
        parts = split_names(list(names), DEFINITION_BYTES_MAX, LAYOUT_NAMES_MAX)
        layouts = [self._layout(part) for part in parts]
        if len(layouts) == 1:
            self.single[names] = layouts[0]
        else:
            self._split[names] = layouts
        self._held += len(names)
        return layouts

    def forget(self) -> None:
        """After the end: no call finds the fast road any more."""
        self.single.clear()
        self._split.clear()

    def _single(self, name: str) -> Layout:
        layout = self._singles.get(name)
        if layout is None:
            layout = self._singles[name] = self._layout([name])
        return layout

    def _layout(self, names: List[str]) -> Layout:
        layout = Layout(self._next_id, names)
        self._next_id += 1
        self._define(layout)
        return layout
