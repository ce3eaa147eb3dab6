"""Tells an exception that a signal handler raised in the middle of our code from ours and those of values."""
import os
import signal
from typing import Any, Set

_HERE = os.path.dirname(os.path.abspath(__file__))


def is_foreign(error: BaseException) -> bool:
    """Whether it is for the caller to see: Ctrl-C, SystemExit, or what a signal handler raised."""
    return not isinstance(error, Exception) or _passed(error, _handlers())


def is_ours(error: BaseException) -> bool:
    """Whether it was raised by code of this package, or by C that it called."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is None or traceback.tb_frame.f_code.co_filename.startswith(_HERE)


def _handlers() -> Set[Any]:
    """Code of the handlers that are installed."""
    found: Set[Any] = set()
    for number in range(1, signal.NSIG):
        try:
            handler: Any = signal.getsignal(number)
        except (ValueError, OSError):
            continue
        for each in (handler, getattr(handler, "__func__", None), getattr(handler, "func", None),
                     getattr(type(handler), "__call__", None)):
            code = getattr(each, "__code__", None)
            if code is not None:
                found.add(code)
    return found


def _passed(error: BaseException, codes: Set[Any]) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False
