"""Why simulations were dropped, and how many."""

from __future__ import annotations

from collections.abc import Mapping


def count(failed: dict[str, int], reason: str, n: int = 1) -> None:
    """Add to the count of a reason.

    Errors of one type go together under the message of the first: messages may have a number in them, which
    is another for every draw.

    Example:
        >>> failed = {}
        >>> count(failed, "ValueError: no root at 0.3")
        >>> count(failed, "ValueError: no root at 0.7")
        >>> failed
        {'ValueError: no root at 0.3': 2}
    """
    kind = reason.partition(":")[0]
    reason = next((known for known in failed if known.partition(":")[0] == kind), reason)
    failed[reason] = failed.get(reason, 0) + n


def count_all(failed: dict[str, int], more: Mapping[str, int]) -> None:
    """Add other counts."""
    for reason, n in more.items():
        count(failed, reason, n)


def reason_of(error: Exception) -> str:
    """An error as the reason of a failure."""
    return f"{type(error).__name__}: {error}"


def listed(failed: Mapping[str, int]) -> str:
    """The most frequent reasons, in words."""
    most = sorted(failed.items(), key=lambda item: -item[1])[:4]
    return "; ".join(f"{n:,} were dropped: {reason}" for reason, n in most)
