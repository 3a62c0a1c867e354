"""What helps against failures: a smaller learning rate if runs were unstable, more updates if they were not.

A learning rate that is far too large and too few updates look the same: the loss stays at that of guessing. So the
kinds of the failures decide first, then whether more runs fail at larger learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.failure_kinds import FailureKinds, total_of
from warmup_lab.comparison.statistics import ALPHA, Rate, equal_rates_p, wilson

_MORE_UPDATES = 4
"""Advised updates, as a multiple of those of the runs."""
_TOO_SHORT = 50
"""Runs of fewer updates have no kind of failure."""
_WORDS = {
    "unstable": "unstable (diverged, or the loss rose)",
    "too_slow": "too slow (the loss was still falling at the end)",
    "stuck": "stuck (the loss neither rose nor fell at the end)",
    "unknown": "of unknown cause (under 50 updates, or no trace)",
}


@dataclass(frozen=True)
class Remedy:
    """What to change where most runs fail."""

    action: Literal["lower_lr", "train_longer", "either"]
    text: str
    """What to do, such as `Train for more updates, for example 240 instead of 60`."""
    why: str
    """The reason, such as `none of the 21 failed runs was unstable`."""
    updates: int
    """The number of updates to try."""


def remedy(arms: Sequence[ArmSummary]) -> Remedy | None:
    """What helps against the failures of these arms; None if no run failed."""
    kinds, total_steps = total_of(arm.failure_kinds for arm in arms), max((arm.total_steps for arm in arms), default=0)
    if not kinds.total:
        return None
    slope = failures_over_lr(arms)
    updates = _MORE_UPDATES * total_steps
    # Without traces, as in a user's own table, the number of updates may not be known either.
    is_known = kinds.total > kinds.unknown or total_steps < _TOO_SHORT
    longer = f"Train for more updates{f', for example {updates} instead of {total_steps}' if is_known else ''}"
    if kinds.unstable and kinds.unstable >= kinds.calm:
        return Remedy("lower_lr", "Lower the learning rate", _num_unstable(kinds), updates)
    if slope == "rising":
        return Remedy("lower_lr", "Lower the learning rate", "more runs fail at larger learning rates", updates)
    if slope == "falling":
        larger = f"{longer}, or raise the learning rate"
        return Remedy("train_longer", larger, "fewer runs fail at larger learning rates", updates)
    if kinds.calm:
        return Remedy("train_longer", longer, _num_unstable(kinds), updates)
    if total_steps < _TOO_SHORT:
        return Remedy("train_longer", longer, f"runs of {total_steps} updates are too short to tell why", updates)
    return Remedy("either", f"{longer}, or try other learning rates", "why they failed is not known", updates)


def _num_unstable(kinds: FailureKinds) -> str:
    if kinds.total == 1:
        return f"the failed run was {'unstable' if kinds.unstable else 'not unstable'}"
    if kinds.unstable == kinds.total:
        return f"all {kinds.total} failed runs were unstable"
    number = {0: "none"}.get(kinds.unstable, str(kinds.unstable))
    return f"{number} of the {kinds.total} failed runs {'was' if kinds.unstable < 2 else 'were'} unstable"


def failures_over_lr(arms: Sequence[ArmSummary]) -> Literal["rising", "falling"] | None:
    """Whether more or fewer runs fail at the largest learning rate than at the smallest; None if neither is shown."""
    rates = sorted({arm.lr for arm in arms if arm.lr is not None})
    if len(rates) < 2:
        return None
    smallest, largest = (_pooled([arm.failed for arm in arms if arm.lr == lr]) for lr in (rates[0], rates[-1]))
    return slope_of(smallest, largest)


def slope_of(smallest: Rate, largest: Rate) -> Literal["rising", "falling"] | None:
    """The same from the failures at the two learning rates, by Boschloo's test."""
    p_value = equal_rates_p(smallest, largest)
    if p_value is None or p_value >= ALPHA:
        return None
    return "rising" if largest.share > smallest.share else "falling"


def _pooled(rates: Sequence[Rate]) -> Rate:
    return wilson(sum(rate.count for rate in rates), sum(rate.total for rate in rates))


def failure_sentence(arms: Sequence[ArmSummary], *, advise: bool = True) -> str:
    """Why runs failed, and what helps; '' if none failed.

    For example `Of them, 9 were unstable (...) and 4 too slow (...). To avoid failures: lower the learning rate (...).`
    """
    kinds, found = total_of(arm.failure_kinds for arm in arms), remedy(arms)
    if found is None:
        return ""
    advice = f" {advice_sentence(found)}" if advise else ""
    counts = {kind: number for kind, number in kinds.to_dict().items() if number}
    parts = [f"{number} {_WORDS[kind]}" for kind, number in counts.items()]
    if len(counts) == 1:
        (kind,) = counts
        return f"{'It was' if kinds.total == 1 else 'All were'} {_WORDS[kind]}.{advice}"
    verb = "was" if next(iter(counts.values())) == 1 else "were"
    parts[0] = parts[0].replace(" ", f" {verb} ", 1)
    return f"Of them, {', '.join(parts[:-1])} and {parts[-1]}.{advice}"


def advice_sentence(found: Remedy) -> str:
    """What to do, and the reason."""
    return f"To avoid failures: {found.text[:1].lower()}{found.text[1:]} ({found.why})."
