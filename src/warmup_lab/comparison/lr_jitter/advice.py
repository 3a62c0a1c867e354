"""From the jitter of ramps and the fate of runs at constant rates to a recommended lr and warmup, or why not.

A run survives that neither diverged nor failed to learn. `cold` runs start at their rate, `warmed` ones reach the same
rate through a warmup; both then hold it, so that they differ in nothing but the warmup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from warmup_lab.comparison import Interval, Rate, mean_interval
from warmup_lab.system import JsonRecord

Start = Literal["cold", "warmed"]
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the median jitter lr: the rates at which it is confirmed."""
MARGIN = 0.5
"""The largest multiple of the jitter lr that is recommended: one step below where the jitter starts."""


@dataclass(frozen=True)
class Trial(JsonRecord):
    """All seeds at one constant rate."""

    start: Start
    lr: float
    multiple: float
    """`lr` over the median jitter lr."""
    warmup_steps: int
    survived: Rate
    """With its 95 % Wilson interval."""
    survivors: tuple[int, ...]
    """Seeds that survived."""
    tried: tuple[int, ...]
    """Seeds that finished."""
    eval_loss: dict[int, float]
    """Final evaluation loss of the seeds that survived."""

    @property
    def all_survived(self) -> bool:
        return 0 < self.survived.count == self.survived.total


@dataclass(frozen=True)
class Largest(JsonRecord):
    """The largest rate at which every run survived."""

    lr: float | None
    """Null where at no rate every run did."""
    at_edge: bool
    """It is the largest that was tried: the limit may lie higher."""


def largest_surviving(trials: Iterable[Trial], start: Start) -> Largest:
    """The largest lr at which every run of that start survived; a failure further down does not lower it.

    Far below it runs may fail because they are too slow for their number of updates, which is no instability.
    """
    ours = [trial for trial in trials if trial.start == start and trial.survived.total]
    good = [trial.lr for trial in ours if trial.all_survived]
    lr = max(good, default=None)
    return Largest(lr, lr is not None and lr == max(trial.lr for trial in ours))


# ---------------------------------------------------------------------------------- what the warmup buys


@dataclass(frozen=True)
class Gain(JsonRecord):
    """The largest surviving lr warmed over that cold: what warmup buys."""

    ratio: float | None
    """Of the largest rates at which every run survived; null where one of them is not known."""
    bound: Literal["at least", "at most"] | None
    """Which side is open, where one of the two rates is the largest tried."""
    seeds_larger: int
    """Seeds at which the warmed run survived a larger lr than the cold one did."""
    seeds_equal: int
    seeds_smaller: int
    p_value: float | None
    """Sign test of larger against smaller, two-sided; null where all are equal."""
    sentence: str


def gain(trials: Sequence[Trial], cold: Largest, warmed: Largest) -> Gain:
    """The ratio, and how many seeds agree with it."""
    by_seed = [_largest_by_seed(trials, start) for start in ("cold", "warmed")]
    signs = [np.sign(by_seed[1][seed] - by_seed[0][seed]) for seed in by_seed[0] if seed in by_seed[1]]
    larger, equal, smaller = (sum(sign == wanted for sign in signs) for wanted in (1, 0, -1))
    p_value = float(stats.binomtest(larger, larger + smaller).pvalue) if larger + smaller else None
    ratio, bound, words = _ratio(cold, warmed)
    seeds = f"the warmed run survived a larger lr at {larger} of {len(signs)} seeds, the same at {equal}"
    seeds += f", a smaller one at {smaller}" + (f" (sign test p = {p_value:.2g})" if p_value is not None else "")
    return Gain(ratio, bound, int(larger), int(equal), int(smaller), p_value, f"{words} Seed by seed, {seeds}.")


def _largest_by_seed(trials: Sequence[Trial], start: Start) -> dict[int, float]:
    """The largest lr that each seed survived; 0 where it survived none."""
    found: dict[int, float] = {}
    for trial in trials:
        for seed in trial.tried if trial.start == start else ():
            found[seed] = max(found.get(seed, 0.0), trial.lr if seed in trial.survivors else 0.0)
    return found


def _ratio(cold: Largest, warmed: Largest) -> tuple[float | None, Literal["at least", "at most"] | None, str]:
    unknown = "What warmup buys is not known: "
    if cold.lr is None or warmed.lr is None:
        missing = "cold or warmed" if cold.lr == warmed.lr else "cold" if cold.lr is None else "warmed"
        return None, None, f"{unknown}at no rate that was tried did all {missing} runs survive."
    if cold.at_edge and warmed.at_edge:
        words = f"{unknown}all runs survived the largest rate that was tried, {warmed.lr:.3g}, cold and warmed."
        return None, None, words
    bound: Literal["at least", "at most"] | None = None
    if warmed.at_edge or cold.at_edge:
        bound = "at least" if warmed.at_edge else "at most"
    ratio = warmed.lr / cold.lr
    if ratio == 1:
        same = f"What warmup buys: all runs survived up to the same lr, {cold.lr:.3g}, warmed and cold: no factor that"
        return ratio, bound, f"{same} rates a factor of 2 apart could show."
    words = f"What warmup buys: the largest lr that all runs survived is {warmed.lr:.3g} warmed and {cold.lr:.3g} cold"
    return ratio, bound, f"{words}, {bound + ' ' if bound else ''}{ratio:.2g} times (a factor of 2 between rates)."


# ------------------------------------------------------------------------------------------ what to do


@dataclass(frozen=True)
class Recommendation(JsonRecord):
    """An lr and a warmup, with the reasons; both null where none can be given."""

    lr: float | None
    multiple: float | None
    warmup_steps: int | None
    lr_reason: str
    warmup_reason: str
    cautions: tuple[str, ...] = ()
    """Where the stages disagree, or the evidence ends."""


def recommend(jitter_lr: float | None, why_none: str | None, trials: Sequence[Trial]) -> Recommendation:
    """The largest rate, at most half of the jitter lr, at which every run survived; a smaller one if it ends lower.

    Cold runs or warmed ones may be those that all survived. A warmup is recommended where cold runs failed at that rate
    and warmed ones did not, or where it lowers the final loss. One loss is lower than another where the 95 % t-interval
    of the difference, paired by seed, lies below 0. Nothing is recommended that no run has confirmed.
    """
    if jitter_lr is None:
        return _none(f"there is no jitter lr: {why_none}")
    if not any(trial.survived.total for trial in trials):
        return _none("no run at a constant rate has confirmed the jitter lr")
    low = sorted({trial.multiple for trial in trials if trial.multiple <= MARGIN * 1.01}, reverse=True)
    pairs = [(_trial(trials, "cold", multiple), _trial(trials, "warmed", multiple)) for multiple in low]
    options = [pair for pair in pairs if any(trial and trial.all_survived for trial in pair)]
    if not options:
        return _none(_why_nothing_survived(trials))
    best, why_smaller = options[0], ""
    for option in options[1:]:
        change = _paired(_used(*best), _used(*option))
        if change and change.interval[1] < 0:
            why_smaller = f" They ended lower than at {_used(*best).lr:.3g}, which all survived too ({change.words}); \
these runs hold their lr, and before a decay the larger may do as well."
            best = option
    chosen = _chosen(*best, jitter_lr)
    smallest = bool(why_smaller) and chosen.multiple == low[-1]
    at_edge = ["It is the smallest rate that was tried: one still smaller may end lower yet."] if smallest else []
    cautions = (*at_edge, *_below_the_margin(trials, chosen), *_beyond(trials, jitter_lr))
    return replace(chosen, lr_reason=chosen.lr_reason + why_smaller, cautions=cautions)


def _none(reason: str) -> Recommendation:
    return Recommendation(None, None, None, f"No lr can be recommended, because {reason}.", "Nor can a warmup.")


def _trial(trials: Sequence[Trial], start: str, multiple: float) -> Trial | None:
    return next((trial for trial in trials if trial.start == start and trial.multiple == multiple), None)


def _used(cold: Trial | None, warmed: Trial | None) -> Trial:
    """The trial that speaks for its rate: the cold one where all of its runs survived, else the warmed one."""
    used = cold if cold and cold.all_survived else warmed
    assert used is not None
    return used


def _chosen(cold: Trial | None, warmed: Trial | None, jitter_lr: float) -> Recommendation:
    """One rate at which all cold runs survived, or all warmed ones."""
    chosen = _used(cold, warmed)
    lr_reason = (
        f"Recommended lr: {chosen.lr:.3g}, {fraction(chosen.multiple)} of the jitter lr of {jitter_lr:.2g}; "
        f"{_of(chosen)} runs that held it survived."
    )
    if cold and chosen is cold:
        steps, why = _warmup_where_cold_survived(cold, warmed)
        return Recommendation(chosen.lr, chosen.multiple, steps, lr_reason, why)
    failed = f"only {_of(cold)} cold runs survived" if cold else "no cold run was made"
    why = f"Recommended warmup: {chosen.warmup_steps} updates, since at this lr {failed}."
    return Recommendation(chosen.lr, chosen.multiple, chosen.warmup_steps, lr_reason, why)


def _warmup_where_cold_survived(cold: Trial, warmed: Trial | None) -> tuple[int, str]:
    none = f"Recommended warmup: none, since {_of(cold)} cold runs survived at this lr"
    if warmed is None:
        return 0, f"{none} (no warmed run was made)."
    if not warmed.all_survived:
        return 0, f"{none}, and {_of(warmed)} with a warmup of {warmed.warmup_steps} updates."
    change = _paired(cold, warmed)
    if change is None:
        return 0, f"{none}."
    if change.interval[1] < 0:
        return warmed.warmup_steps, (
            f"Recommended warmup: {warmed.warmup_steps} updates. At this lr runs survive without one too, but it "
            f"lowers the loss: {change.words}."
        )  # fmt: skip
    effect = "raised" if change.interval[0] > 0 else "was not shown to lower"
    return 0, f"{none}, and one of {warmed.warmup_steps} updates {effect} the loss ({change.words})."


@dataclass(frozen=True)
class _Change:
    """A paired difference with its 95 % t-interval."""

    mean: float
    interval: Interval

    @property
    def words(self) -> str:
        low, high = self.interval
        return f"final evaluation loss {self.mean:+.2g} [{low:+.2g}, {high:+.2g}]"


def _paired(first: Trial, second: Trial) -> _Change | None:
    """Final evaluation loss of the second minus that of the first, over the seeds that survived both; None under 2."""
    seeds = [seed for seed in first.eval_loss if seed in second.eval_loss]
    differences = np.array([second.eval_loss[seed] - first.eval_loss[seed] for seed in seeds])
    interval = mean_interval(differences)
    return _Change(float(differences.mean()), interval) if interval else None


def _below_the_margin(trials: Sequence[Trial], chosen: Recommendation) -> list[str]:
    """Said where the stages disagree: runs failed at a rate between the chosen one and half of the jitter lr."""
    assert chosen.multiple is not None
    failed = [t for t in trials if chosen.multiple < t.multiple <= MARGIN * 1.01 and t.survived.total]
    if not failed or any(trial.all_survived for trial in failed):
        return []
    said = ", ".join(f"{_of(t)} {t.start}" for t in failed)
    return [
        f"The stages disagree at {failed[0].lr:.3g}, half of the jitter lr: the ramp passed it without jitter, but "
        f"only {said} runs that held it survived."
    ]  # fmt: skip


def _beyond(trials: Sequence[Trial], jitter_lr: float) -> list[str]:
    """Said where runs survive far above the jitter lr, so that it is no limit here."""
    starts: tuple[Start, ...] = ("cold", "warmed")
    beyond = {start: found for start in starts if (found := largest_surviving(trials, start).lr or 0.0)}
    above = {start: lr for start, lr in beyond.items() if lr > jitter_lr * 1.01}
    if not above:
        return []
    said = " and ".join(f"{start} up to {lr:.3g}" for start, lr in above.items())
    return [
        f"The jitter is no hard limit here: all runs survived {said}. Whether such rates train better is a question "
        "for a sweep over optimizer.lr with a decay."
    ]  # fmt: skip


def _why_nothing_survived(trials: Sequence[Trial]) -> str:
    low = [trial for trial in trials if trial.multiple <= MARGIN * 1.01 and trial.survived.total]
    if not low:
        return "no run at half of the jitter lr or below has finished"
    said = ", ".join(f"{_of(trial)} {trial.start} runs at {trial.lr:.3g}" for trial in low)
    reason = f"the stages disagree: at half of the jitter lr and below not all runs survived ({said})"
    higher = [trial for trial in trials if trial.multiple > MARGIN * 1.01 and trial.all_survived]
    if higher:
        best = max(higher, key=lambda trial: trial.lr)
        return f"{reason}, while all {best.start} runs at {best.lr:.3g} did: the lower rates seem too slow for so few \
updates, so raise max_steps"
    return f"{reason}. Either they are too slow for so few updates (raise max_steps), or a rate that is held breaks \
what a ramp only passes (lower optimizer.lr and look again)"


def _of(trial: Trial) -> str:
    return f"{trial.survived.count} of {trial.survived.total}"


def fraction(multiple: float) -> str:
    """A multiple in words.

    >>> fraction(0.5), fraction(0.25), fraction(2.0)
    ('1/2', '1/4', '2 times')
    """
    return f"1/{1 / multiple:g}" if multiple < 1 else f"{multiple:g} times"
