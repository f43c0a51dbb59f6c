"""How far a calibration has come."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence

_SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """A line of progress on stderr, at most one every few seconds, and the last."""

    def __init__(self, simulations: int, progress: bool) -> None:
        self._simulations = simulations
        self._stream = sys.stderr if progress else None
        self._start = self._printed = time.monotonic()
        self._line = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._print()

    def show(self, levels: Sequence[str], failed: int) -> None:
        """Say how far it has come: the verdicts so far, and how many fits failed."""
        now, fitted = time.monotonic(), len(levels) + failed
        counts = Counter(levels)
        if failed:
            counts["failed"] = failed
        verdicts = "  ".join(f"{level} {count}" for level, count in counts.items())
        left = (now - self._start) / fitted * (self._simulations - fitted)
        self._line = (
            f"calibrate  {fitted} of {self._simulations} data sets  {verdicts}  "
            f"elapsed {now - self._start:.1f} s  left {left:.0f} s"
        )
        if now - self._printed >= _SECONDS_BETWEEN_LINES:
            self._printed = now
            self._print()

    def _print(self) -> None:
        if self._stream is not None and self._line:
            # a reader that went away must not cost the user the calibration
            with contextlib.suppress(OSError):
                print(self._line, file=self._stream, flush=True)
        self._line = ""
