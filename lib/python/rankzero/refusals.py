"""What log() would not take: counted per metric and per cause, told once per cause.

Nothing here writes anywhere: the logger's thread and its end take the record and the lines away.
"""
from typing import Any, Dict, List, Optional, Set

CAUSES = {
    "string": ("a string is no number", "Log numbers or booleans; use run.text or run.params for words."),
    "null": ("None is no number", "Leave the metric out when there is no value."),
    "bigint": ("an int beyond 2^53 is not exact", "Convert it with float() where that is exact enough."),
    "object": ("it is no number and no scalar", "Log its numbers as metrics of their own."),
    "threw": ("reading it raised an exception", "Look at the value that was passed to log()."),
    "name": ("a name must be a str of 1 to 1,024 characters", "Shorten the name of the metric."),
    "names": ("there are too many different names", "Put what varies into the step, not into the name."),
    "values": ("log() was not given a dict of metrics", "Call run.log({'loss': 0.5}, step=step)."),
    "step": ("a step must be a whole number from 0 to 2^53-1", "Pass step= as such a number."),
    "nested": ("too many log() calls from within one call", "Do not log from item() or __del__."),
    "ended": ("run.end() was called before", "Call init() again, or log before the end."),
}
"""Each cause of a refusal: what is wrong with the value, and what to do."""

NOTES = {
    "weight": ("a weight must be a finite number above 0; it counts as 1", "Pass weight= as such a number."),
    "text": ("the line cannot be written and is left out", "Pass run.text a str."),
    "params": ("these parameters cannot be written; left out", "Pass run.params a dict, below 1 MB."),
    "define": ("the definition is left out", "Pass a name and reduce: mean, sum, min, max, last or rank0."),
    "resume": ("the rewind is left out", "Call run.resume(step=) with a whole number from 0 to 2^53-1."),
    "asset": ("it is left out", "See whether it can be read, and its name, type and metadata be written."),
    "other": ("it is left out", "Call run.other(key, value) with a value that JSON can say."),
    "tags": ("they are left out", "Pass run.tags a list of up to 1,000 strings."),
    "name": ("it is left out", "Pass run.name a str."),
    "full": ("the journal is full: it is left out", "See whether an agent runs: rankzero doctor."),
}
"""What is told but is no value: its effect on the session is in the text."""

METRICS_MAX = 1000
"""Metrics counted by name in one report; the rest goes under ''."""
NAME_SHOWN_MAX = 200
VALUE_SHOWN_MAX = 40
WHY_SHOWN_MAX = 1000
TOLD_MAX = 100
"""Reasons that are told."""


class Refusals:
    def __init__(self) -> None:
        self.total = 0
        self._values: Dict[str, int] = {}
        self._causes: Dict[str, int] = {}
        self._told: Set[str] = set()
        self._lines: List[str] = []

    def add(self, cause: str, metric: str, n: int, value: Any) -> None:
        """Counts `n` values of a metric ('' for a whole call). `value` is looked at for one message only."""
        self.total += n
        short = _shorten(metric, NAME_SHOWN_MAX)
        name = short if short in self._values or len(self._values) < METRICS_MAX else ""
        self._values[name] = self._values.get(name, 0) + n
        self._causes[cause] = self._causes.get(cause, 0) + n
        if cause in self._told:
            return
        self._told.add(cause)
        what, remedy = CAUSES[cause]
        where = "log()" if metric == "" else "log() of '%s'" % short
        self._lines.append(
            "%s with %s: %s. It is refused; further such values are only counted. %s"
            % (where, _shown(value), what, remedy)
        )

    def note(self, note: str, value: Any) -> None:
        if note in self._told:
            return
        self._told.add(note)
        what, remedy = NOTES[note]
        self._lines.append("%s %s: %s. %s" % (note, _shown(value), what, remedy))

    def fail(self, note: str, why: str) -> None:
        """As `note`, with a reason, which is told each time that it is another."""
        if len(self._told) >= TOLD_MAX:
            return self.note(note, why)
        if note + why not in self._told:
            self._told.add(note + why)
            self._lines.append("%s: %s; it is left out. Training goes on."
                               % (note, _shorten(why, WHY_SHOWN_MAX)))

    def take_lines(self) -> List[str]:
        """The messages not told yet."""
        lines, self._lines = self._lines, []
        return lines

    def report(self) -> Optional[Dict[str, Any]]:
        """The report since the last `written`, or None when there is nothing to report."""
        if not self._causes:
            return None
        return {"values": dict(self._values), "causes": dict(self._causes)}

    def written(self) -> None:
        self._values = {}
        self._causes = {}


def _shorten(text: str, length: int) -> str:
    return text[:length] + "…" if len(text) > length else text


def _shown(value: Any) -> str:
    """A value in a few characters; never runs code of the value."""
    kind = type(value)
    if kind is str:
        return repr(_shorten(value, VALUE_SHOWN_MAX))
    if value is None or kind in (bool, float):
        return repr(value)
    if kind is int:
        return repr(value) if value.bit_length() < 128 else "an int of %d bits" % value.bit_length()
    return "a value of type %s" % _shorten(kind.__name__, VALUE_SHOWN_MAX)
