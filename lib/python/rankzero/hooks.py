"""How a run learns that its process ends, installed once per process and chained to what was there before.

- atexit: every ordinary end of an interpreter.
- multiprocessing.util.Finalize: its children leave with os._exit and never run atexit; while it is called,
  the exception that ends the child is being handled.
- sys.excepthook, threading.excepthook: an exception that nobody caught. multiprocessing does not call them.
- sys.exit, and exit() and quit(): the code. `raise SystemExit(3)` in the main module passes unseen, as the
  interpreter shows it to nobody.
- a fork: the child finds the run silent.
"""
import atexit
import builtins
import os
import sys
import threading
from typing import Any, Callable, Optional, cast

from .run import WorkerRun, exit_of

_run: Optional[WorkerRun] = None
_on_fork: Optional[Callable[[], None]] = None
_installed = False


def watch(run: Optional[WorkerRun]) -> None:
    """From now on this run is told; None: nobody is."""
    global _run
    _run = run
    if run is not None:
        _install()
        _watch_multiprocessing_child()


def at_fork(forget: Callable[[], None]) -> None:
    """`forget` is called in a forked child, after its run was silenced."""
    global _on_fork
    _on_fork = forget


def _install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    atexit.register(_at_exit)
    _chain_excepthook()
    _chain_threading_excepthook()
    _chain_exits()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)


def _at_exit() -> None:
    if _run is not None:
        _run._finish(at_exit=True)


def _in_child() -> None:
    global _run
    run, _run = _run, None
    if run is not None:
        run._silence()
    if _on_fork is not None:
        _on_fork()


def _watch_multiprocessing_child() -> None:
    process = sys.modules.get("multiprocessing.process")
    parent = getattr(process, "parent_process", None)
    if parent is None or parent() is None:
        return
    from multiprocessing.util import Finalize

    run = _run

    def leave() -> None:
        if run is not None:
            run._leave(sys.exc_info()[1])

    # Before those of queues and managers (they have 10 and less): these may wait for their peers.
    Finalize(None, leave, exitpriority=100)


def _chain_excepthook() -> None:
    before = sys.excepthook

    def excepthook(kind: Any, error: Any, traceback: Any) -> None:
        if _run is not None and isinstance(error, BaseException):
            _run._note(exit_of(error), error)
        before(kind, error, traceback)

    sys.excepthook = excepthook


def _chain_threading_excepthook() -> None:
    before = threading.excepthook

    def excepthook(args: Any) -> None:
        if _run is not None and args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            _run._note(None, args.exc_value)
        before(args)

    threading.excepthook = excepthook


def _chain_exits() -> None:
    before = sys.exit

    def exit(status: Any = None) -> Any:
        _note_exit(status)
        before(status)

    exit.__doc__ = before.__doc__
    sys.exit = cast(Any, exit)
    quitter = type(getattr(builtins, "exit", None))
    if quitter.__module__ == "_sitebuiltins":
        call = quitter.__call__

        def quit(self: Any, code: Any = None) -> Any:
            _note_exit(code)
            call(self, code)

        quitter.__call__ = quit  # type: ignore[method-assign]


def _note_exit(status: Any) -> None:
    """In other threads sys.exit ends the thread alone."""
    if _run is None or threading.current_thread() is not threading.main_thread():
        return
    code = exit_of(SystemExit(status))
    error = sys.exc_info()[1] if code != 0 else None
    _run._note(code, None if error is _run._handled_before else error)
