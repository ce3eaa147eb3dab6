"""Copies what a process prints into text records, without changing what is printed.

In: sys.stdout and sys.stderr while a run is open. Out: one record per line, `{line, stream}`. A line that was
overwritten with carriage returns (a progress bar) is its last state. What is written past the two objects
(C code, os.write, loggers that took hold of the stream before) is not seen.
"""
import sys
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, TextIO

LINE_LENGTH_MAX = 65_536
"""Characters of a line without an end that are kept."""


class Tee:
    """A text stream that is another one, and tells what was written to it."""

    def __init__(self, stream: TextIO, name: str, take: Callable[[str, str], None]) -> None:
        self._stream = stream
        self._name = name
        self._take: Optional[Callable[[str, str], None]] = take
        self._rest = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        if self._take is not None and isinstance(text, str):
            self._split(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def close_tee(self) -> None:
        """The last line may have no end."""
        with self._lock:
            rest, self._rest = self._rest, ""
            self._tell(rest)
            self._take = None

    def forget(self) -> None:
        """In a forked child: what is pending is the parent's."""
        self._lock = threading.RLock()
        self._rest = ""
        self._take = None

    def _split(self, text: str) -> None:
        with self._lock:
            *lines, rest = (self._rest + text).split("\n")
            # Of an unfinished line only the state after the last carriage return can still be shown.
            at = rest.rfind("\r", 0, len(rest) - 1)
            self._rest = rest[at + 1:][:LINE_LENGTH_MAX]
            for line in lines:
                self._tell(line)

    def _tell(self, line: str) -> None:
        states = [state for state in line.split("\r") if state.strip()]
        if states and self._take is not None:
            self._take(states[-1], self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> "Tee":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)


class Capture:
    """Both streams of the process; put back by close(), unless somebody else has replaced them since."""

    def __init__(self, take: Callable[[str, str], None]) -> None:
        self._tees: Dict[str, Tee] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None:
                self._tees[name] = Tee(stream, name, take)
                setattr(sys, name, self._tees[name])

    def close(self) -> None:
        for name, tee in self._tees.items():
            tee.close_tee()
            if getattr(sys, name) is tee:
                setattr(sys, name, tee._stream)

    def forget(self) -> None:
        for tee in self._tees.values():
            tee.forget()
