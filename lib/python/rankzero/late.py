"""A journal that has no place yet: no directory takes one, as all of them are full, say. It looks again.

In: what any journal gets. Out: nothing, until a directory takes it; from then on it is like any other.
Invariants: values logged before are counted as lost, per metric, and reported in-band later; other records
wait, within LATE_BYTES_MAX, and come first. A look may wait for a disk: it is made by the run's thread, not
within the lock of log(); the one before the end asks only disks that answered the last time.
"""
import os
from threading import Lock
from time import monotonic
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from .aside import answers
from .errors import RankzeroError
from .format import Kind, json_bytes
from .journal import Journal, now_ms
from .limits import LATE_BYTES_MAX, LATE_RETRY_MS
from .place import JournalOptions, Place, find_place, nowhere
from .process import remove_file


def open_journal(o: JournalOptions) -> Journal:
    """The journal of this process; where no directory takes one now, one may later. Never raises."""
    answered: Set[str] = set()
    try:
        return Journal(find_place(o, _asking(answered)))
    except (RankzeroError, OSError) as error:
        return LateJournal(o, answered, error)


def _asking(answered: Set[str]) -> Callable[[str], bool]:
    def ask(disk: str) -> bool:
        if not answers(disk):
            return False
        answered.add(disk)
        return True

    return ask


class LateJournal(Journal):
    def __init__(self, o: JournalOptions, answered: Set[str], error: Exception) -> None:
        """`answered`: disks that did just now; `error`: why there is no place."""
        super().__init__(nowhere(o))
        self._say = o.say
        # A place that others may write in was told of: once is enough.
        self._options = o._replace(say=lambda line: None)
        self._answered = answered
        self._waiting: List[Tuple[int, Dict[str, Any], int]] = []
        self._waiting_bytes = 0
        self._look_at = monotonic() + LATE_RETRY_MS / 1000
        self._looking = Lock()
        self._found: Optional[Place] = None
        self._say("no journal could be opened, so what this rank logs is lost, and counted, until one can "
                  "(tried every %g s): %s" % (LATE_RETRY_MS / 1000, error))

    def look(self, last: bool = False) -> None:
        if self.path or self._closed or self._found is not None:
            return
        if not last and monotonic() < self._look_at or not self._looking.acquire(False):
            return
        try:
            self._look_at = monotonic() + LATE_RETRY_MS / 1000
            if last:
                place = find_place(self._options, self._answered.__contains__)
            else:
                self._answered.clear()
                place = find_place(self._options, _asking(self._answered))
            self._found = place
            if self._closed:
                _discard(place)
        except (RankzeroError, OSError):
            pass  # The next look may find one.
        finally:
            self._looking.release()

    def payload(self, kind: int, body: Dict[str, Any], time: Optional[int] = None) -> bool:
        if self.path and (kind == Kind.end or not self._waiting):
            return super().payload(kind, body, time)
        size = len(json_bytes(body))
        # What is printed must not take the room of parameters.
        size_max = LATE_BYTES_MAX // 2 if kind == Kind.text else LATE_BYTES_MAX
        if kind != Kind.end and self._waiting_bytes + size > size_max:
            return False
        self._waiting.append((kind, body, now_ms()))
        self._waiting_bytes += size
        return True

    def tick(self) -> None:
        if not self._closed and self._found is not None and not self.path:
            self.move(self._found)
            self._say("a journal could be opened: this rank is recorded from now on; %d values before are "
                      "lost, and counted." % self.lost)
        while self.path and self._waiting and super().payload(*self._waiting[0]):
            self._waiting.pop(0)
        super().tick()

    def close(self) -> None:
        if not self._closed and not self.path:
            self._say(
                "no journal could be opened: %d values were not recorded, and nothing else." % self.lost
            )
        elif not self._closed and self._waiting:
            self._say("the journal is full: %d parameters or texts were not recorded." % len(self._waiting))
        super().close()


def _discard(place: Place) -> None:
    """Found too late: nobody is to wait for what it would deliver."""
    place.release()
    remove_file(place.path)
    remove_file(os.path.splitext(place.path)[0] + ".lock")
