"""The records of posteriors.py as a Markdown table and a summary."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

Record = dict[str, Any]
CLAIMS = ("good", "corrected")
HEADER = (
    "posterior",
    "seconds",
    "gradients",
    "left at",
    "k-hat",
    "mean err",
    "sd err",
    "log evidence err (se)",
    "verdict",
    "accurate",
    "NUTS: s, mean, sd",
    "nutpie: s, mean, sd",
    "NUTS / flowvi",
    "nutpie / flowvi",
)


def markdown(records: list[Record]) -> str:
    """A row per posterior and seed, and what they amount to."""
    keys = list(dict.fromkeys((r["name"], r["seed"]) for r in records))
    several = len({seed for _, seed in keys}) > 1
    groups = [methods(r for r in records if (r["name"], r["seed"]) == key) for key in keys]
    labels = [f"{name}, seed {seed}" if several else name for name, seed in keys]
    rows = [row(label, *group) for label, group in zip(labels, groups, strict=True)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADER, ("---",) * len(HEADER), *rows)]
    failed = [r for r in records if "error" in r]
    errors = [f"- {r['name']}, seed {r['seed']}, {r['method']}: {r['error']}" for r in failed]
    return "\n".join([*lines, "", *summary(groups), "", *errors]).rstrip()


def methods(group: Iterable[Record]) -> tuple[Record | None, Record | None, Record | None]:
    """flowvi, the faster of NumPyro's two, and nutpie, where they ran."""
    by_method = {r["method"]: r for r in group}
    numpyro = [r for method, r in by_method.items() if method.startswith("numpyro")]
    finished = [r for r in numpyro if "error" not in r] or numpyro
    fastest = min(finished, key=lambda r: r["seconds"], default=None)
    return by_method.get("flowvi"), fastest, by_method.get("nutpie")


def row(label: str, ours: Record | None, numpyro: Record | None, nutpie: Record | None) -> tuple[str, ...]:
    """The cells of one posterior."""
    return (label, *own(ours), peer(numpyro), peer(nutpie), times(numpyro, ours), times(nutpie, ours))


def own(r: Record | None) -> tuple[str, ...]:
    """flowvi's cells."""
    if r is None:
        return ("",) * 9
    if "error" in r:
        return (f"{r['seconds']:.1f}", *("",) * 6, "error", "no")
    evidence = "none"
    if "log_evidence_off" in r:
        mark = "" if r["log_evidence_good"] else " !"
        evidence = f"{r['log_evidence_off']:+.4f} ({r['log_evidence_error'] or 0.0:.4f}){mark}"
    accurate = "yes" if r["accurate"] else "WRONG" if r["wrong"] else "no"
    return (
        f"{r['seconds']:.1f}",
        f"{r['gradients']:,}",
        r["left_at"],
        f"{r['khat']:.2f}",
        f"{r['location']:.3f} {r['location_of']}",
        f"{r['spread']:.3f} {r['spread_of']}",
        evidence,
        r["verdict"],
        accurate,
    )


def peer(r: Record | None) -> str:
    """A peer's time and errors."""
    if r is None:
        return ""
    if "error" in r:
        return f"{r['seconds']:.1f}, error"
    mark = "" if r["accurate"] else ", WRONG" if r["wrong"] else ", not accurate"
    return f"{r['seconds']:.1f}, {r['location']:.2f}, {r['spread']:.2f}{mark}"


def ratio(theirs: Record | None, ours: Record | None) -> float | None:
    """How many times as long as flowvi a peer took; of a peer out of time, at least so long."""
    if theirs is None or ours is None or "error" in ours:
        return None
    return theirs["seconds"] / ours["seconds"]


def times(theirs: Record | None, ours: Record | None) -> str:
    """The ratio as text."""
    value = ratio(theirs, ours)
    if theirs is None or value is None:
        return ""
    return f"{'> ' if 'error' in theirs else ''}{value:.1f}"


def summary(groups: list[tuple[Record | None, Record | None, Record | None]]) -> list[str]:
    """The counts and medians that the bars are about."""
    fits = [ours for ours, _, _ in groups if ours is not None]
    if not fits:
        return []
    finished = [r for r in fits if "error" not in r]
    accurate = [r for r in finished if r["accurate"]]
    claimed = [r for r in finished if r["verdict"] in CLAIMS]
    evidence = [r for r in finished if r.get("log_evidence_good")]
    lines = [
        f"- accurate: {len(accurate)} of {len(fits)}",
        f"- accurate and claimed (good or corrected): {sum(r['accurate'] for r in claimed)}",
        f"- claimed but wrong: {sum(r['wrong'] for r in claimed)}; claimed but not accurate: "
        f"{sum(not r['accurate'] for r in claimed)}",
        f"- log evidence within the bar: {len(evidence)} of {len(fits)}",
    ]
    unrepaired = [group for group in groups if group[0] and group[0].get("verdict") != "corrected"]
    for label, which in (("NumPyro's NUTS", 1), ("nutpie", 2)):
        ratios = [value for group in unrepaired if (value := ratio(group[which], group[0])) is not None]
        if ratios:
            slower = sum(value <= 1 for value in ratios)
            lines.append(
                f"- {label} takes {median(ratios):.1f} times as long (median of {len(ratios)} not repaired "
                f"by MCMC; at least {min(ratios):.1f}); flowvi is not faster on {slower}"
            )
    return lines
