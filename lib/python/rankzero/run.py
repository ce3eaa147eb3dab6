"""The life of a run in a worker: its thread, its end, the wait for what is not delivered yet.

In: a journal, who we are, who looks after the agent. Out: the public Run. Invariants: the thread never keeps
the process alive; no signal handler is installed (a killed worker's tail is in the journal, the agent finds
it); the wait at the end is bounded by the exit timeout and left out under a live supervisor.
"""
import os
import sys
import threading
from time import monotonic, sleep
from typing import Any, Callable, Dict, NamedTuple, Optional

from .agent import AgentKeeper
from .capture import Capture
from .journal import Journal, now_ms
from .limits import EXIT_POLL_MS, LOGGER_TICK_MS, PROGRESS_AFTER_MS
from .recorder import Recorder

MESSAGE_LENGTH_MAX = 2000


class RunFacts(NamedTuple):
    rank: int
    world_size: int
    local_rank: int
    node: str
    dir: str
    """Parent of the run directories."""
    run: Optional[str]
    """From the environment; the agent may tell it later."""
    open: Dict[str, Any]
    """The first record."""
    exit_timeout_ms: int
    is_supervised: Callable[[], bool]
    """Whether a live supervisor waits for us, so that we need not."""
    on_end: Callable[[], None]
    """Called once, when the run is over for this process."""


def say_line(rank: Optional[int], line: str) -> None:
    """One line on stderr, past sys.stderr; a closed or full stderr is not our user's problem."""
    who = "" if rank is None else "rank %d: " % rank
    try:
        os.write(2, ("rankzero: %s%s\n" % (who, line)).encode("utf-8", "replace"))
    except OSError:
        pass  # Nowhere left to say it.


def describe(error: BaseException) -> Dict[str, str]:
    """Type and message of an exception; looking at it may raise."""
    try:
        message = str(error)
    except Exception:
        message = ""
    return {"type": type(error).__name__[:200], "message": message[:MESSAGE_LENGTH_MAX]}


def exit_of(error: Optional[BaseException]) -> int:
    """The exit status that a process gets from an exception which nobody catches."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return 130
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return error.code & 255 if isinstance(error.code, int) else 1


def _is_running() -> bool:
    """Whether the main module is still running below this call; in exit handlers it is not."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name == "<module>"


class WorkerRun(Recorder):
    def __init__(self, facts: RunFacts, journal: Journal, keeper: AgentKeeper, capture: bool) -> None:
        super().__init__(journal, facts.dir)
        self._open = facts.open
        self._write_report()
        self.rank = facts.rank
        self.world_size = facts.world_size
        self.local_rank = facts.local_rank
        self.node = facts.node
        self._facts = facts
        self._keeper = keeper
        self._pid = os.getpid()
        self._exit: Optional[int] = None
        """As a hook saw it: the status that this process is about to leave with."""
        self._error: Optional[Dict[str, str]] = None
        # What is being handled around init() says nothing about the end: `except ImportError: train()`.
        self._handled_before = sys.exc_info()[1]
        self._ending = False
        self._stop = threading.Event()
        self._capture = Capture(self._stream) if capture else None
        self._thread = threading.Thread(target=self._live, name="rankzero", daemon=True)
        self._thread.start()

    @property
    def id(self) -> Optional[str]:
        return self._journal.run_id() or self._facts.run

    def end(self) -> None:
        """See Run. With an exception on its way (`finally: run.end()`) the status is failed."""
        error = sys.exc_info()[1]
        if error is self._handled_before or isinstance(error, KeyboardInterrupt):
            error = None
        if error is None and _is_running():
            # A sys.exit() that was called before has been caught: the program goes on.
            self._exit = None
        self._leave(error)

    # --- how it ends, from hooks.py

    def _note(self, exit: Optional[int], error: Optional[BaseException]) -> None:
        """What a hook saw. An exception in a thread (exit None) leaves the status of the process open."""
        if exit is not None:
            self._exit = exit
        if error is not None:
            self._error = describe(error)

    def _leave(self, error: Optional[BaseException]) -> None:
        """Ends with the exception that is on its way; one that a sys.exit(1) stands for tells more."""
        exit = exit_of(error)
        if exit != 0 and error is not None:
            cause = error.__context__ if isinstance(error, SystemExit) else error
            self._note(exit, cause)
        self._finish()

    def _finish(self, at_exit: bool = False) -> None:
        """Idempotent; from any thread, and in the middle of any call: then that call writes the end.

        At exit no call of this thread is on its way any more, whatever an exception may have left.
        """
        if self._silent or os.getpid() != self._pid:
            return
        self._journal.look(last=True)
        with self._lock:
            if self._busy and not at_exit and self._is_nested():
                return self._nested.append(self._finish_now)
            if self._ending:
                return
            self._say_end()
        self._leave_journal()

    def _finish_now(self) -> None:
        if not self._ending:
            self._say_end()
            self._leave_journal()

    def _say_end(self) -> None:
        self._ending = True
        self._stop.set()
        if self._capture is not None:
            self._capture.close()
        exit = 0 if self._exit is None else self._exit
        if exit == 0 and self._error is not None:
            exit = 1
        self._write_end(exit, self._error if exit != 0 else None)

    def _leave_journal(self) -> None:
        """Not within the lock: a log() of another thread, late as it is, waits for nobody."""
        self._tell()
        self._wait()
        with self._lock:
            self._journal.close()
        self._facts.on_end()

    def _wait(self) -> None:
        """Until our last record is safe; not when somebody else waits or nobody could deliver."""
        if self._facts.is_supervised():
            return
        journal, keeper = self._journal, self._keeper
        last = journal.seq()
        begun = monotonic()
        seconds = self._facts.exit_timeout_ms / 1000
        quiet = not os.isatty(2)
        while journal.acked() < last and monotonic() - begun < seconds:
            keeper.ensure(now_ms())
            if not keeper.can_deliver:
                return
            if not quiet and monotonic() - begun > PROGRESS_AFTER_MS / 1000:
                quiet = True
                left = last - int(journal.acked())
                say_line(self.rank, "waiting for %d records to be delivered, at most %g s" % (left, seconds))
            sleep(EXIT_POLL_MS / 1000)
        left = last - int(journal.acked())
        if left > 0 and keeper.can_deliver:
            say_line(self.rank, "%d of %d records were not delivered within %g s. They wait in %s; an agent "
                     "goes on, and rankzero sync delivers what it leaves."
                     % (left, last, seconds, journal.path))

    # --- its thread

    def _live(self) -> None:
        """Looks after the agent at once and then every second; none of it is in log()."""
        while not self._silent and not self._ending:
            try:
                self._keeper.look(now_ms())
                if self._stop.wait(LOGGER_TICK_MS / 1000):
                    return
                self._journal.look()
                self._report()
                self._tell()
            except Exception as error:
                say_line(self.rank, "its thread failed and goes on: %r" % error)

    def _tell(self) -> None:
        for line in self._told():
            say_line(self.rank, line)

    def _on_late(self) -> None:
        self._tell()

    def _silence(self) -> None:
        if self._capture is not None:
            self._capture.forget()
        super()._silence()
