"""The recommended lr and warmup, or the reason why none can be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from warmup_lab.comparison import Interval, mean_interval
from warmup_lab.comparison.lr_jitter.survival import STARTS, Start, Trial, largest_surviving
from warmup_lab.system import JsonRecord

MARGIN = 0.5
"""The largest multiple of the jitter lr that is recommended: well below the start of the jitter."""
_TOLERANCE = 1.01
"""Rates are rounded to three digits, so a multiple may exceed its nominal value by 1 %."""


@dataclass(frozen=True)
class Recommendation(JsonRecord):
    """An lr and a warmup, with the reasons; both are None if none can be given."""

    lr: float | None
    multiple: float | None
    """`lr` divided by the median jitter lr."""
    warmup_steps: int | None
    lr_reason: str
    warmup_reason: str
    cautions: tuple[str, ...] = ()
    """Where ramps and constant rates disagree, or where the evidence ends."""


def recommend(jitter_lr: float | None, why_none: str | None, trials: Sequence[Trial]) -> Recommendation:
    """The largest rate, at most half of the jitter lr, at which every run survived; a smaller one if it ends lower.

    Every run means all cold or all warmed runs. A warmup is recommended if cold runs failed at that rate and warmed
    runs did not, or if it lowers the final loss. One loss is lower than another if the 95 % t-interval of the
    difference, paired by seed, is below 0. Nothing is recommended that no run has confirmed. `why_none` is the reason
    if there is no jitter lr.
    """
    if jitter_lr is None:
        return no_recommendation(f"there is no jitter lr: {why_none}")
    if not any(trial.survived.total for trial in trials):
        return no_recommendation("no run at a constant rate has confirmed the jitter lr")
    low = sorted({trial.multiple for trial in trials if _within_margin(trial)}, reverse=True)
    pairs = [(_find(trials, "cold", multiple), _find(trials, "warmed", multiple)) for multiple in low]
    options = [pair for pair in pairs if any(trial and trial.all_survived for trial in pair)]
    if not options:
        return no_recommendation(_why_nothing_survived(trials))
    best, why_smaller = _lowest_loss(options)
    chosen = _at_one_rate(*best, jitter_lr)
    smallest = bool(why_smaller) and chosen.multiple == low[-1]
    at_edge = ["It is the smallest rate that was tried: a still smaller one may end lower."] if smallest else []
    above_guessing = _above_guessing(_used(*best))
    cautions = (
        *above_guessing,
        *at_edge,
        *_failures_below_margin(trials, chosen),
        *_survival_beyond(trials, jitter_lr),
    )
    return replace(chosen, lr_reason=chosen.lr_reason + why_smaller, cautions=cautions)


def fraction(multiple: float) -> str:
    """A multiple in words.

    >>> fraction(0.25), fraction(0.7071), fraction(1.4142), fraction(2.0)
    ('1/4', '0.71 times', '1.4 times', '2 times')
    """
    inverse = 1 / multiple
    return f"1/{inverse:g}" if multiple < 1 and inverse.is_integer() else f"{multiple:.2g} times"


def _part(multiple: float) -> str:
    """`1/2 of` or `0.71 times`."""
    words = fraction(multiple)
    return f"{words} of" if words.startswith("1/") else words


# ----------------------------------------------------------------------------------------------- the lr


_Rate = tuple[Trial | None, Trial | None]
"""The cold and the warmed trial at one rate."""


def _lowest_loss(options: Sequence[_Rate]) -> tuple[_Rate, str]:
    """The first of `options`, or a later (smaller) rate that ends lower, and the reason for a smaller one."""
    best, why_smaller = options[0], ""
    for option in options[1:]:
        used, smaller = _used(*best), _used(*option)
        change = _loss_change(used, smaller)
        if change and change.interval[1] < 0:
            why_smaller = (
                f" They ended lower than at {used.lr:.3g}, which all runs survived too ({change.words}). These runs "
                "hold their lr; with a decay, the larger lr may do as well."
            )
            best = option
    return best, why_smaller


def _used(cold: Trial | None, warmed: Trial | None) -> Trial:
    """The trial that represents its rate: the cold one if all of its runs survived, else the warmed one."""
    used = cold if cold and cold.all_survived else warmed
    assert used is not None
    return used


@dataclass(frozen=True)
class _LossChange:
    """A paired difference of final evaluation losses, in nats, with its 95 % t-interval."""

    mean: float
    interval: Interval

    @property
    def words(self) -> str:
        low, high = self.interval
        return f"final evaluation loss {self.mean:+.2g} [{low:+.2g}, {high:+.2g}]"


def _loss_change(first: Trial, second: Trial) -> _LossChange | None:
    """Loss of the second minus that of the first, over the seeds that survived both; None with fewer than 2."""
    seeds = [seed for seed in first.eval_loss if seed in second.eval_loss]
    differences = np.array([second.eval_loss[seed] - first.eval_loss[seed] for seed in seeds])
    interval = mean_interval(differences)
    return _LossChange(float(differences.mean()), interval) if interval else None


# ------------------------------------------------------------------------------------- lr and warmup


def _at_one_rate(cold: Trial | None, warmed: Trial | None, jitter_lr: float) -> Recommendation:
    """The recommendation of a rate at which all cold runs survived, or all warmed ones."""
    chosen = _used(cold, warmed)
    lr_reason = (
        f"Recommended lr: {chosen.lr:.3g}, {_part(chosen.multiple)} the jitter lr of {jitter_lr:.2g}; "
        f"{chosen.survivors_of_tried} runs that held it survived."
    )
    if cold and chosen is cold:
        steps, why = _warmup_where_cold_survived(cold, warmed)
        return Recommendation(chosen.lr, chosen.multiple, steps, lr_reason, why)
    failed = f"only {cold.survivors_of_tried} cold runs survived" if cold else "no cold run was made"
    why = f"Recommended warmup: {chosen.warmup_steps} updates, because at this lr {failed}."
    return Recommendation(chosen.lr, chosen.multiple, chosen.warmup_steps, lr_reason, why)


def _warmup_where_cold_survived(cold: Trial, warmed: Trial | None) -> tuple[int, str]:
    none = f"Recommended warmup: none, because {cold.survivors_of_tried} cold runs survived at this lr"
    if warmed is None:
        return 0, f"{none} (no warmed run was made)."
    if not warmed.all_survived:
        return 0, f"{none}, and {warmed.survivors_of_tried} with a warmup of {warmed.warmup_steps} updates."
    change = _loss_change(cold, warmed)
    if change is None:
        return 0, f"{none}."
    if change.interval[1] < 0:
        why = "At this lr runs survive without a warmup too, but the warmup lowers the loss"
        steps = warmed.warmup_steps
        return steps, f"Recommended warmup: {steps} updates. {why}: {change.words}."
    effect = "raised" if change.interval[0] > 0 else "was not shown to lower"
    return 0, f"{none}, and one of {warmed.warmup_steps} updates {effect} the loss ({change.words})."


# -------------------------------------------------------------------------------- no advice, and cautions


def no_recommendation(reason: str) -> Recommendation:
    """None can be given, for this reason."""
    no_warmup = "No warmup can be recommended either."
    return Recommendation(None, None, None, f"No lr can be recommended, because {reason}.", no_warmup)


def _within_margin(trial: Trial) -> bool:
    return trial.multiple <= MARGIN * _TOLERANCE


def _find(trials: Sequence[Trial], start: Start, multiple: float) -> Trial | None:
    return next((trial for trial in trials if trial.start == start and trial.multiple == multiple), None)


def _above_guessing(used: Trial) -> list[str]:
    """A caution if the runs at the chosen rate end above the loss of guessing, on average over the survivors."""
    losses = np.array(list(used.eval_loss.values()))
    if used.guess_loss is None or not losses.size or losses.mean() <= used.guess_loss:
        return []
    interval = mean_interval(losses)
    ends = f" [{interval[0]:.2g}, {interval[1]:.2g}]" if interval else ""
    return [
        f"At this lr the mean final evaluation loss is {losses.mean():.2g}{ends}, above that of guessing "
        f"({used.guess_loss:.2g}): the runs overfit, or are overconfident. Training survives this rate, which does not "
        "mean that the model generalises."
    ]  # fmt: skip


def _failures_below_margin(trials: Sequence[Trial], chosen: Recommendation) -> list[str]:
    """A caution if runs failed at a rate between the chosen one and half of the jitter lr."""
    assert chosen.multiple is not None
    between = [t for t in trials if chosen.multiple < t.multiple and _within_margin(t) and t.survived.total]
    if not between or any(trial.all_survived for trial in between):
        return []
    survived = ", ".join(f"{trial.survivors_of_tried} {trial.start}" for trial in between)
    return [
        f"Ramps and constant rates disagree at {between[0].lr:.3g}, half of the jitter lr: the ramp passed it without "
        f"jitter, but only {survived} runs that held it survived."
    ]  # fmt: skip


def _survival_beyond(trials: Sequence[Trial], jitter_lr: float) -> list[str]:
    """A caution if all runs survive above the jitter lr, so that it is no limit here."""
    largest = {start: largest_surviving(trials, start).lr or 0.0 for start in STARTS}
    above = [f"{start} up to {lr:.3g}" for start, lr in largest.items() if lr > jitter_lr * _TOLERANCE]
    if not above:
        return []
    return [
        f"The jitter is no hard limit here: all runs survived {' and '.join(above)}. Whether such rates train better "
        "is a question for a sweep over optimizer.lr with a decay."
    ]  # fmt: skip


def _why_nothing_survived(trials: Sequence[Trial]) -> str:
    low = [trial for trial in trials if _within_margin(trial) and trial.survived.total]
    if not low:
        return "no run at half of the jitter lr or below has finished"
    survived = ", ".join(f"{trial.survivors_of_tried} {trial.start} runs at {trial.lr:.3g}" for trial in low)
    reason = (
        "ramps and constant rates disagree: at half of the jitter lr and below, some runs failed (survivors: "
        f"{survived})"
    )
    higher = [trial for trial in trials if not _within_margin(trial) and trial.all_survived]
    if higher:
        best = max(higher, key=lambda trial: trial.lr)
        return (
            f"{reason}, but all {best.start} runs survived at {best.lr:.3g}. The lower rates seem too slow for so few "
            "updates, so raise max_steps"
        )
    return (
        f"{reason}. Either they are too slow for so few updates (raise max_steps), or holding a rate breaks a run that "
        "a ramp only passes through (lower optimizer.lr and run the search again)"
    )
