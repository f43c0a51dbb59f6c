"""Lines of progress for what has no table of its own."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType

_SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """A line of progress on stderr, at most one every few seconds, and the last.

    Example:
        >>> with Lines(progress=False) as lines:
        ...     lines.show("density  step 200")
    """

    def __init__(self, progress: bool) -> None:
        self._stream = sys.stderr if progress else None
        self._start = self._printed = time.monotonic()
        self._line = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._print()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    def show(self, line: str) -> None:
        """The newest line, printed if the one before is old enough."""
        now = time.monotonic()
        self._line = line
        if now - self._printed >= _SECONDS_BETWEEN_LINES:
            self._printed = now
            self._print()

    def _print(self) -> None:
        if self._stream is not None and self._line:
            # a reader that went away must not cost the user what is being computed
            with contextlib.suppress(OSError):
                print(self._line, file=self._stream, flush=True)
        self._line = ""
