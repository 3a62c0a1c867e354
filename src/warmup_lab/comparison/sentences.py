"""The sentences of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# -------------------------------------------------------------------------------------------- in sentences


def _summary(parts: dict[str, Any], jitter: dict[str, Any] | None) -> list[str]:
    """Plain sentences under the headline: what was compared, what failed, what the smallest good warmup is.

    A sweep of ramps asks where the loss jitters, and compares no warmups.
    """
    if jitter:
        return [*jitter["sentences"], _what_was_run(parts["counts"]), _what_failed(parts["counts"])]
    sentences = [
        _what_was_compared(parts) + what_was_held_equal(parts["warmups"]),
        _what_failed(parts["counts"]),
        *_smallest_sentences(parts["smallest_warmup"]),
    ]
    if parts["own_best_lr"]:
        sentences.append(parts["own_best_lr"]["headline"])
    return sentences


def _what_was_run(counts: dict[str, Any]) -> str:
    used = f"{_listed(counts['task'])} with {_listed(counts['model'])} and {_listed(counts['optimizer'])}"
    runs = f"{count(counts['runs'], 'run')} of {used}, {_listed(counts['total_steps'])} updates each"
    return f"{runs}, at {count(counts['seeds'], 'seed')}."


def _what_was_compared(parts: dict[str, Any]) -> str:
    counts, primary = parts["counts"], parts["primary"]
    used = f"{_listed(counts['task'])} with {_listed(counts['model'])} and {_listed(counts['optimizer'])}"
    updates = f"{_listed(counts['total_steps'])} updates each"
    pairs = sorted({arm["verdict"]["test"]["num_pairs"] for arm in parts["arms"] if arm["verdict"]["test"]})
    paired = f", {pairs[0]} to {pairs[-1]} pairs a comparison" if len(pairs) > 1 else ""
    paired = f", {count(pairs[0], 'pair')} a comparison" if len(pairs) == 1 else paired
    margin = "no margin" if primary["margin"] is None else f"a margin of {primary['margin']:g}"
    better = "smaller" if primary["smaller_is_better"] else "larger"
    return (
        f"{count(counts['runs'], 'run')} of {used}, {updates}: {count(counts['arms'], 'arm')} at "
        f"{count(counts['seeds'], 'seed')}{paired}. "
        f"Stated beforehand: {primary['title']} ({better} is better), {margin}."
    )


def what_was_held_equal(warmups: Sequence[dict[str, Any]]) -> str:
    """A sentence on how warmups of several shapes compare in length and in T_eff; '' for a single shape.

    Equal means within one update, the finest that a whole number of updates can be set.
    """
    by_asked: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for one in warmups:
        by_asked.setdefault((one["asked"], one["total_steps"]), []).append(one)
    several = [group for group in by_asked.values() if len({one["warmup"] for one in group}) > 1]
    shapes = list(dict.fromkeys(one["warmup"] for one in warmups))
    if len(shapes) < 2:
        return ""
    spans = [_span([one["t_eff"] for one in group]) for group in several]
    held = [shape for shape in shapes if any(one["warmup"] == shape for group in several for one in group)]
    apart = [f"{one['warmup']} (T_eff {one['t_eff']:.4g})" for one in warmups if one["warmup"] not in held]
    but = f" Not among them: {_listed(apart)}." if held and apart else ""
    held = held or shapes
    of = f" Warmups of {len(held)} shapes ({_listed(held)})"
    if not several:
        return f"{of} were held equal in nothing: no length was asked of two of them."
    if all(max(t) - min(t) <= 1 for t in ([one["t_eff"] for one in group] for group in several)):
        what = f"T_eff, what they hold back in all, at {'; '.join(spans)} updates"
    elif all(len({one["warmup_steps"] for one in group}) == 1 for group in several):
        lengths = "; ".join(str(group[0]["warmup_steps"]) for group in several)
        what = f"length, at {lengths} updates, and differ in T_eff, what they hold back: {'; '.join(spans)} updates"
    else:
        lengths = "; ".join(_span([one["warmup_steps"] for one in group]) for group in several)
        return (
            f"{of} were held equal in neither length ({lengths} updates) nor T_eff ({'; '.join(spans)} updates).{but}"
        )
    return f"{of} were held equal in {what}.{but}"


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _what_failed(counts: dict[str, Any]) -> str:
    failed, diverged, errors = counts["failed"], counts["diverged"], counts["errors"]
    said = f"{failed['count']} of {count(failed['total'], 'finished run')} failed to learn"
    said += f", {diverged['count']} of them by diverging" if diverged["count"] else ""
    said = "Every finished run learned" if failed["total"] and not failed["count"] else said
    said = said if failed["total"] else "No run finished"
    return said + (
        f"; {count(errors, 'run')} did not finish and count{'s' * (errors == 1)} for nothing." if errors else "."
    )


def _smallest_sentences(found: list[dict[str, Any]]) -> list[str]:
    """One sentence for one set of arms; for several, those with the same answer together."""
    if len(found) == 1:
        return [found[0]["sentence"]]
    answers: dict[str, list[str]] = {}
    for one in (one for one in found if len(one["arms"]) > 1):
        share = f"{one['warmup_steps']} updates ({one['warmup_percent']:.3g} %)" if one["arm"] else ""
        answers.setdefault(share or f"not known ({one['reason']})", []).append(one["family"])
    said = [f"{answer} for {_shortened(families)}" for answer, families in answers.items()]
    return [f"Smallest warmup shown to be as good as the best: {'; '.join(said)}."] if said else []


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
