"""How far a calibration has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def line_of(levels: Sequence[str], failed: int, simulations: int, elapsed: float) -> str:
    """The verdicts so far, how many fits failed, and the seconds that are left."""
    fitted = len(levels) + failed
    counts = Counter(levels)
    if failed:
        counts["failed"] = failed
    verdicts = "  ".join(f"{level} {count}" for level, count in counts.items())
    seconds = f"elapsed {elapsed:.1f} s  left {elapsed / fitted * (simulations - fitted):.0f} s"
    return f"calibrate  {fitted} of {simulations} data sets  {verdicts}  {seconds}"
