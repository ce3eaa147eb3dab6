"""What a run says of the experiment beside metrics, parameters and texts: assets and facts."""
import threading
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from .assets import asset_body, is_facts
from .format import Kind, json_bytes
from .interrupts import is_foreign
from .limits import RECORD_BYTES_MAX
from .refusals import Refusals
from .types import Run
from .values import plain

PAYLOAD_BYTES_MAX = RECORD_BYTES_MAX - 1024
"""Room for the frame of the record."""


class Beside(Run):
    """The part of a recorder that needs nothing of its journal but that a payload is written."""

    def __init__(self, directory: str) -> None:
        self._dir = directory
        """Parent of the run directories."""
        self._refusals = Refusals()
        self._lock = threading.RLock()
        self._silent = False
        self._ended = False
        self._given = -1
        """The last step given, -1 before the first."""

    def _between(self, what: str, value: Any, write: Callable[[], bool]) -> None:
        raise NotImplementedError

    def _payload(self, kind: int, body: Dict[str, Any]) -> bool:
        raise NotImplementedError

    def asset(
        self, source: Any, name: Optional[str] = None, type: str = "asset", step: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        body: Dict[str, Any] = {}
        # Outside the lock, which log() of other threads waits for.
        try:
            if not (self._silent or self._ended):
                given = self._given if step is None and self._given >= 0 else step
                body = asset_body(self._dir, source, name, type, given, metadata)
        except Exception as error:
            if is_foreign(error):
                raise
            with self._lock:
                return self._refusals.fail("asset", str(error) or error.__class__.__name__)
        self._between("asset", None, lambda: self._payload(Kind.asset, body))

    def html(self, text: str) -> None:
        self.asset(text.encode("utf-8", "replace") if isinstance(text, str) else None, "html", "html")

    def other(self, key: str, value: Any) -> None:
        self._say_facts("other", lambda: {"others": {key: value}})

    def tags(self, tags: Iterable[str]) -> None:
        self._say_facts("tags", lambda: {"tags": [tags] if isinstance(tags, str) else list(tags)})

    def name(self, text: str) -> None:
        self._say_facts("name", lambda: {"name": text})

    def _say_facts(self, what: str, body: Callable[[], Dict[str, Any]]) -> None:
        def write() -> bool:
            copy = plain(body())
            return (
                is_facts(copy) and len(json_bytes(copy)) <= PAYLOAD_BYTES_MAX
                and self._payload(Kind.facts, copy)
            )

        self._between(what, None, write)
