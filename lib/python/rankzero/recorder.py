"""What a worker holds: log() and its siblings, written into the journal of this process.

In: whatever user code passes. Out: records. Invariants: no method waits for another process or raises
because of what it was given; what is not a point is counted and told once.

Threads and signals: one re-entrant lock, held for the two to three microseconds of a call, keeps threads
apart (uncontended it costs about 60 ns). A call from within a call (signal handler, item(), __del__) goes to
a short list that the outer call writes. An exception that a signal handler raises passes through, after the
journal was made whole.
"""
import sys
import threading
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .beside import PAYLOAD_BYTES_MAX, Beside
from .format import Kind, json_bytes
from .interrupts import is_foreign, is_ours
from .journal import Journal
from .layouts import Layout
from .limits import REENTRANT_MAX, STEP_MAX
from .shapes import Shapes
from .types import REDUCES
from .values import cut_text, is_name, number_of, plain, step_of

REPORT_PATIENCE_S = 1.0
"""The thread must go on looking after the agent, whoever holds the lock."""


class Recorder(Beside):
    def __init__(self, journal: Journal, directory: str) -> None:
        super().__init__(directory)
        self._journal = journal
        self._shapes = Shapes(journal.define)
        self._layouts = self._shapes.single
        self._busy = False
        self._nested: List[Callable[[], None]] = []
        self._nested_left = REENTRANT_MAX
        self._open: Optional[Dict[str, Any]] = None
        """Who we are, until a full disk has room for it."""
        self._counter = 0

    # --- the calls of a user

    def log(
        self, values: Mapping[str, Any], step: Optional[int] = None, weight: Optional[float] = None
    ) -> None:
        with self._lock:
            if self._busy:
                return self._nest(partial(self._log_slowly, values, step, weight), values)
            self._busy = True
            try:
                # The fast road: a dict whose names are known, a plain step, plain numbers.
                if type(values) is dict and type(step) is int and weight is None:
                    layout = self._layouts.get(tuple(values))
                    if layout is not None and 0 <= step <= STEP_MAX:
                        numbers = values.values()
                        for number in numbers:
                            kind = number.__class__
                            if kind is float or kind is int and -STEP_MAX <= number <= STEP_MAX:
                                continue
                            if kind is not bool:
                                break
                        else:
                            self._given = step
                            if not self._journal.put(layout, step, numbers):
                                self._journal.drop(layout)
                            return None
                self._log_slowly(values, step, weight)
            except BaseException as error:
                self._interrupted(error, values)
            finally:
                try:
                    if self._nested:
                        self._run_nested()
                finally:
                    self._busy = False

    def params(self, values: Mapping[str, Any]) -> None:
        def write() -> bool:
            copy = plain(values)
            if not isinstance(copy, dict):
                return False
            if len(json_bytes(copy)) <= PAYLOAD_BYTES_MAX:
                return self._payload(Kind.params, {"params": copy})
            # One by one, so that a single large value does not take the others with it.
            parts = [{name: value} for name, value in copy.items()]
            return all([
                len(json_bytes(part)) <= PAYLOAD_BYTES_MAX and self._payload(Kind.params, {"params": part})
                for part in parts
            ])

        self._between("params", values, write)

    def text(self, line: str) -> None:
        self._between("text", line, lambda: self._payload(Kind.text, cut_text(str(line))))

    def define(self, metric: str, reduce: str = "mean") -> None:
        self._between("define", metric, lambda: (
            is_name(metric) and reduce in REDUCES
            and self._payload(Kind.define, {"metric": metric, "reduce": reduce})
        ))

    def resume(self, step: int) -> None:
        def write() -> bool:
            number = step_of(step)
            return number is not None and self._payload(Kind.resume, {"step": number})

        self._between("resume", step, write)

    # --- for the run's thread, its end and its capture

    def _stream(self, line: str, stream: str) -> None:
        """A line of the process's own output (capture.py)."""
        def write() -> bool:
            if self._silent or self._ended:
                return True
            return self._payload(Kind.text, {**cut_text(line), "stream": stream})

        self._between("text", line, write)

    def _report(self) -> None:
        """Once a second, by the thread: counted refusals and reports of losses."""
        if not self._lock.acquire(timeout=REPORT_PATIENCE_S):
            return
        try:
            self._busy = True
            if not (self._silent or self._ended):
                self._run_nested()
                self._write_report()
                self._journal.tick()
        finally:
            self._busy = False
            self._lock.release()

    def _write_end(self, exit: int, error: Optional[Dict[str, str]]) -> None:
        """What is still to be written and the last record; later calls are counted as refused."""
        with self._lock:
            if self._ended or self._silent:
                return
            self._busy = True
            try:
                self._run_nested()
                self._journal.tick()
                self._write_report()
                body: Dict[str, Any] = {"exit": exit}
                if error is not None:
                    body["error"] = error
                body["logged"] = self._journal.logged
                body["refused"] = self._refusals.total
                self._payload(Kind.end, body)
            finally:
                self._ended = True
                self._shapes.forget()
                self._busy = False

    def _silence(self) -> None:
        """In a forked child, forked in the middle of any call maybe: the journal is not ours."""
        self._silent = True
        self._lock = threading.RLock()
        self._nested = []
        self._shapes.forget()
        self._journal.abandon()
        self._busy = False

    def _told(self) -> List[str]:
        with self._lock:
            return self._refusals.take_lines()

    def _on_late(self) -> None:
        """Told of each call after the end, when no thread tells of refusals any more."""

    # --- log(), slowly

    def _log_slowly(self, values: Any, step: Any, weight: Any) -> None:
        """Any call: value by value, each with its own refusal; then in as many records as it takes."""
        if self._silent:
            return
        if self._ended:
            return self._refuse_late(values)
        items = _items_of(values)
        if items is None:
            return self._refuse_all("values", values, values)
        number = self._step_of(items, step)
        if number is None:
            return
        if weight is not None:
            weight = self._weight_of(weight)
        names: List[str] = []
        numbers: List[float] = []
        for name, value in items:
            taken, cause = number_of(value)
            if taken is None:
                self._refuse(cause, name, value)
            elif self._admits(name, value):
                names.append(name)
                numbers.append(taken)
        if names:
            self._put_all(self._shapes.of(tuple(names)), numbers, number, weight)

    def _put_all(
        self, layouts: Sequence[Layout], numbers: List[float], step: int, weight: Optional[float]
    ) -> None:
        at = 0
        for layout in layouts:
            part = numbers[at:at + layout.count]
            at += layout.count
            done = (
                self._journal.put(layout, step, part) if weight is None
                else self._journal.put_weighted(layout, step, weight, part)
            )
            if not done:
                self._journal.drop(layout)

    def _admits(self, name: Any, value: Any) -> bool:
        if not is_name(name):
            self._refuse("name", name, value)
        elif not self._shapes.admit(name):
            self._refuse("names", name, value)
        else:
            return True
        return False

    def _step_of(self, items: Sequence[Tuple[Any, Any]], step: Any) -> Optional[int]:
        """The step of this call, or None when the one that was given makes all of it void."""
        if step is None:
            if self._given >= 0:
                return self._given
            self._counter += 1
            return self._counter - 1
        number = step_of(step)
        if number is None:
            for name, _ in items or [("", None)]:
                self._refuse("step", name, step)
        else:
            self._given = number
        return number

    def _weight_of(self, weight: Any) -> float:
        number, _ = number_of(weight)
        if number is not None and 0 < number < float("inf"):
            return float(number)
        self._refusals.note("weight", weight)
        return 1.0

    # --- refusals and interruptions

    def _refuse(self, cause: str, name: Any, value: Any) -> None:
        self._refusals.add(cause, name if isinstance(name, str) else "", 1, value)
        if not self._ended:
            self._journal.count_refused(1)

    def _refuse_all(self, cause: str, values: Any, shown: Any) -> None:
        """All values of a call, each under its name as far as there are names."""
        for name, _ in _items_of(values) or [("", None)]:
            self._refuse(cause, name, shown)

    def _refuse_late(self, values: Any) -> None:
        self._refuse_all("ended", values, values)
        self._on_late()

    def _interrupted(self, error: BaseException, values: Any) -> None:
        """After an exception in log(): one of a signal handler passes, one of ours is counted."""
        self._journal.recover()
        if is_foreign(error) or not is_ours(error):
            raise error
        if not self._silent:
            self._refuse("threw", "", values)

    def _between(self, what: str, value: Any, write: Callable[[], bool]) -> None:
        """A payload from user code: never within a record of log(), never an exception of ours."""
        def run() -> None:
            if self._silent:
                return
            try:
                if self._ended:
                    self._refuse_late(value)
                elif not write():
                    self._refusals.note(what, value)
            except BaseException as error:
                self._journal.recover()
                if is_foreign(error):
                    raise
                self._refusals.note(what, value)

        with self._lock:
            if self._busy:
                return self._nest(run, value)
            self._busy = True
            try:
                run()
            finally:
                try:
                    if self._nested:
                        self._run_nested()
                finally:
                    self._busy = False

    def _payload(self, kind: int, body: Dict[str, Any]) -> bool:
        if self._journal.payload(kind, body):
            return True
        self._refusals.note("full", len(json_bytes(body)))
        return False

    def _write_report(self) -> None:
        if self._open is not None and self._journal.payload(Kind.open, self._open):
            self._open = None
        report = self._refusals.report()
        if report is not None and self._payload(Kind.refused, report):
            self._refusals.written()

    def _nest(self, call: Callable[[], None], value: Any) -> None:
        """Bounded, since an item() that logs its own value would go on for ever."""
        if not self._is_nested():
            return self._after_broken(call, value)
        self._nested_left -= 1
        if self._nested_left >= 0:
            self._nested.append(call)
        else:
            self._refuse_all("nested", value, value)

    def _is_nested(self) -> bool:
        """Whether a call of ours is below the one that found the flag.

        If not, an exception left the flag: until Python 3.10 a signal may raise one between any two opcodes.
        """
        frame = sys._getframe(2).f_back
        while frame is not None:
            if frame.f_code in _CALLS and frame.f_locals.get("self") is self:
                return True
            frame = frame.f_back
        return False

    def _after_broken(self, call: Callable[[], None], value: Any) -> None:
        self._busy = True
        try:
            self._journal.recover()
            self._run_nested()
            call()
        except BaseException as error:
            self._interrupted(error, value)
        finally:
            self._busy = False

    def _run_nested(self) -> None:
        while self._nested:
            call = self._nested.pop(0)
            try:
                call()
            except Exception as error:
                if is_foreign(error):
                    raise
                self._refuse("threw", "", None)
        self._nested_left = REENTRANT_MAX


_CALLS = frozenset(
    call.__code__ for call in (Recorder.log, Recorder._between, Recorder._report, Recorder._write_end)
)


def _items_of(values: Any) -> Optional[List[Tuple[Any, Any]]]:
    """Name and value of each metric, or None when these are no metrics; code of the values may run."""
    try:
        if isinstance(values, dict) or (hasattr(values, "keys") and hasattr(values, "__getitem__")):
            return list(dict(values).items())
    except Exception as error:
        if is_foreign(error):
            raise
    return None
