"""The records of trust.py as Markdown: a row per posterior, levels against outcomes, and the bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

Record = dict[str, Any]

CLAIMS = ("good", "corrected")
LEVELS = (*CLAIMS, "unreliable", "inconclusive", "error")
OUTCOMES = ("accurate", "in between", "wrong", "no draws", "improper")
KINDS = ("shared", "synthetic")
HEADER = (
    "posterior",
    "levels",
    "accurate",
    "wrong and claimed",
    "worst error",
    "log evidence, in standard errors",
    "gradients",
    "seconds",
)


def level(r: Record) -> str:
    """The verdict, or "error" where there is none."""
    return r.get("verdict", "error")


def outcome(r: Record) -> str:
    """What the draws are; an improper posterior has none that are right."""
    if not r.get("proper", True):
        return "improper"
    if "error" in r:
        return "no draws"
    return "accurate" if r["accurate"] else "wrong" if r["wrong"] else "in between"


def claimed(r: Record) -> bool:
    """Whether the draws are said to be right."""
    return level(r) in CLAIMS


def falsely_claimed(r: Record) -> bool:
    """Wrong, or of a posterior that is none, and said to be right."""
    return claimed(r) and outcome(r) in ("wrong", "improper")


def worst(r: Record) -> tuple[float, str]:
    """The larger of the worst errors of location and spread, and whose it is."""
    return max((r["location"], r["location_of"]), (r["spread"], r["spread_of"]))


def markdown(records: Sequence[Record]) -> str:
    """All there is to say."""
    parts = []
    for kind in KINDS:
        group = [r for r in records if r["kind"] == kind]
        if group:
            parts += [f"### {kind.capitalize()} posteriors", posteriors(group), matrix(group)]
    parts += ["\n".join(bars(records)), "\n".join(further(records)), "\n".join(unclaimed(records))]
    return "\n\n".join(part for part in parts if part)


def posteriors(records: Sequence[Record]) -> str:
    """A row per posterior."""
    names = dict.fromkeys(r["name"] for r in records)
    return table(HEADER, (row(name, [r for r in records if r["name"] == name]) for name in names))


def row(name: str, fits: list[Record]) -> tuple[str, ...]:
    """The cells of one posterior, over its seeds."""
    ended = [r for r in fits if "error" not in r]
    judged = [r for r in ended if "location" in r]
    error, scalar = max((worst(r) for r in judged), default=(None, ""))
    return (
        name,
        ", ".join(level(r) for r in fits),
        f"{sum(outcome(r) == 'accurate' for r in fits)} of {len(fits)}" if judged else "",
        str(sum(falsely_claimed(r) for r in fits)),
        "" if error is None else f"{error:.3f} {scalar}",
        ", ".join(f"{z:+.1f}" for r in ended if (z := evidence_off(r)) is not None),
        f"{median(r['gradients'] for r in ended):,.0f}" if ended else "",
        f"{median(r['seconds'] for r in fits):.1f}",
    )


def evidence_off(r: Record) -> float | None:
    """The error of the log evidence in standard errors, where there is one."""
    if "log_evidence_off" not in r:
        return None
    error = r["log_evidence_off_error"]
    return r["log_evidence_off"] / error if error > 0 else float("nan")


def matrix(records: Sequence[Record]) -> str:
    """How many fits of each level have each outcome."""
    columns = [o for o in OUTCOMES if any(outcome(r) == o for r in records)]
    rows = (
        (one, *(str(sum(level(r) == one and outcome(r) == o for r in records)) for o in columns))
        for one in LEVELS
    )
    return table(("fits", *columns), rows)


def bars(records: Sequence[Record]) -> list[str]:
    """What the verdict promises, in counts."""
    wrongly = [f"{r['name']} (seed {r['seed']})" for r in records if falsely_claimed(r)]
    accurate = [r for r in records if outcome(r) == "accurate"]
    improper = [r for r in records if outcome(r) == "improper"]
    lines = [f"- wrong and claimed: {', '.join([str(len(wrongly)), *wrongly])} (bar: 0)"]
    between = sum(claimed(r) and outcome(r) == "in between" for r in records)
    lines.append(f"- neither wrong nor accurate, and claimed: {between}")
    for kind, bar in zip(KINDS, ("all", "90%"), strict=True):
        proper = [r for r in records if r["kind"] == kind and outcome(r) != "improper"]
        lines.append(
            f"- accurate, {kind}: {share([r for r in accurate if r in proper], proper)} (bar: {bar})"
        )
    lines.append(
        f"- claimed, of the accurate: {share([r for r in accurate if claimed(r)], accurate)} (bar: 90%)"
    )
    lines.append(
        f"- not claimed, of the improper: {share([r for r in improper if not claimed(r)], improper)}"
    )
    offs = [abs(z) for r in records if (z := evidence_off(r)) is not None]
    for bound in (2, 3):
        inside = [z for z in offs if z <= bound]
        lines.append(f"- log evidence within {bound} standard errors: {share(inside, offs)}")
    return lines


def further(records: Iterable[Record]) -> list[str]:
    """Errors that single posteriors are asked about besides, by seed."""
    found: dict[str, list[str]] = {}
    for r in records:
        for what, error in r.get("errors", {}).items():
            found.setdefault(f"- {r['name']}, {what}: off by", []).append(f"{error:+.3f}")
    return [f"{what} {', '.join(errors)}" for what, errors in found.items()]


def unclaimed(records: Iterable[Record]) -> list[str]:
    """Every fit that is not claimed, with the first of its reasons."""
    return [
        f"- {r['name']}, seed {r['seed']}, {level(r)} ({outcome(r)}): {r.get('error') or r['reasons'][0]}"
        for r in records
        if not claimed(r)
    ]


def share(part: Sequence[Any], whole: Sequence[Any]) -> str:
    """Counts, and what they are in percent."""
    percent = f", {len(part) / len(whole):.0%}" if whole else ""
    return f"{len(part)} of {len(whole)}{percent}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """In Markdown."""
    header = list(header)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows))
