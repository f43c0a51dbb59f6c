"""Ctrl-C, noticed also where code that it reaches goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Within, a function that says whether Ctrl-C was pressed since.

    A fit that is interrupted returns the best it has; who calls it in a loop has to know. Ctrl-C reaches the
    main thread only, so that on any other there is nothing to notice.

    Example:
        >>> with noticing_interrupts() as interrupted:
        ...     interrupted()
        False
    """
    before, pressed = signal.getsignal(signal.SIGINT), False
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    go_on = before

    def notice(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        go_on(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
