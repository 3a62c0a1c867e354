"""The wording of the section `lr_jitter`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmup_lab.comparison import Interval, log_median, wilson
from warmup_lab.comparison.lr_jitter.advice import Recommendation
from warmup_lab.comparison.lr_jitter.gain import EFFECT, POWER, Gain
from warmup_lab.comparison.lr_jitter.onset import CONFIDENCE, WINDOW_SHARE, JitterLr, Onset
from warmup_lab.comparison.lr_jitter.survival import STARTS, LargestLr, Start, Trial, largest_surviving

_SWEEP_DIR = "hydra.sweep.dir="


@dataclass(frozen=True)
class Warmup:
    """The warmup of the warmed runs."""

    steps: int
    total_steps: int

    @property
    def words(self) -> str:
        """`10 % warmup`."""
        return f"{100 * self.steps / self.total_steps:.2g} % warmup"


@dataclass(frozen=True)
class Findings:
    """What the ramps and the constant rates show."""

    jitter: JitterLr
    trials: Sequence[Trial]
    gain: Gain
    break_lrs: Sequence[float | None]
    """The lr at which each ramp broke."""
    total_steps: int
    command: str

    @property
    def warmup(self) -> Warmup:
        """That of the warmed runs."""
        return Warmup(max((trial.warmup_steps for trial in self.trials), default=0), self.total_steps)

    @property
    def largest(self) -> dict[Start, LargestLr]:
        """The largest rate at which every run survived."""
        return {start: largest_surviving(self.trials, start) for start in STARTS}


def sentences(advice: Recommendation, found: Findings) -> list[str]:
    """The sentences below the headline."""
    gain, warmup, trials, largest = found.gain, found.warmup, found.trials, found.largest
    parts = [gain_sentence(gain, warmup, found.command), lr50_sentence(gain, warmup)] if trials else []
    parts += [jitter_sentence(found.jitter)] if found.jitter.median is not None else []
    parts += [advice.lr_reason, advice.warmup_reason] if advice.lr is not None else []
    parts += advice.cautions
    parts += [limits_sentence(largest, trials), ramp_sentence(found.break_lrs, largest["cold"])] if trials else []
    return [part for part in parts if part]


def headline(advice: Recommendation, gain: Gain, warmup: Warmup) -> str:
    """What to use, and what the warmup buys; or why neither can be said."""
    if advice.lr is None:
        effect = _effect(gain, warmup)
        return advice.lr_reason + (f" {effect[:1].upper()}{effect[1:]}." if gain.answer != "undecided" else "")
    if not advice.warmup_steps:
        return f"Use lr {advice.lr:.3g} with no warmup; {_effect(gain, warmup)}."
    effect = _effect(gain, warmup).replace("buys nothing: it leaves", "leaves")
    return f"Use lr {advice.lr:.3g} with a warmup of {advice.warmup_steps} updates; {effect}."


def _effect(gain: Gain, warmup: Warmup) -> str:
    """What the warmup does to the usable lr, with its interval."""
    if gain.answer == "raises":
        least = "at least " if gain.bound else ""
        return f"a {warmup.words} raises the usable lr by a factor of {least}{_with(gain.ratio, gain.interval)}"
    if gain.answer == "lowers":
        most = "at most " if gain.bound else ""
        return f"a {warmup.words} lowers the usable lr to {most}{_with(gain.ratio, gain.interval)} times that without"
    if gain.answer == "nothing":
        ratio = f"ratio {_with(gain.ratio, gain.interval_90)}, 90 % interval"
        return f"a {warmup.words} buys nothing: it leaves the usable lr unchanged ({ratio})"
    needed = f"; {gain.num_seeds_needed} new seeds would decide it" if gain.num_seeds_needed else ""
    ratio = f" (ratio {_with(gain.ratio, gain.interval)}{needed})" if gain.ratio else ""
    return f"whether a {warmup.words} changes the usable lr is undecided{ratio}"


def gain_sentence(gain: Gain, warmup: Warmup, command: str) -> str:
    """How the ratio was judged; if it is undecided, what would decide it."""
    if gain.answer == "undecided":
        # The headline says that it is undecided, and how many seeds would decide it.
        reason = f"Why the effect of the warmup is undecided: {gain.reason}."
        if not gain.num_seeds_needed:
            return reason
        seeds = f"new seeds, which are judged alone ({100 * POWER:.0f} % power)"
        return f"{reason} To run {seeds}: {_more_seeds(command, gain)}"
    ratio = f"The ratio of the usable lr with a {warmup.words} to that without, paired over {len(gain.at_seeds)} seeds,"
    if gain.answer == "nothing":
        limits = f"{1 / EFFECT:g} and {EFFECT:g} (two one-sided t-tests at 5 %)"
        return f"{ratio} is {_with(gain.ratio, gain.interval_90)} (90 % interval). It is shown to be between {limits}."
    side = "above" if gain.answer == "raises" else "below"
    return f"{ratio} is {_with(gain.ratio, gain.interval)}. It is shown to be {side} 1 (paired t-test at 5 %)."


def _more_seeds(command: str, gain: Gain) -> str:
    """The command with the needed number of other seeds, as a study of its own."""
    assert gain.num_seeds_needed is not None
    given = shlex.split(command)
    words = [word for word in given if not word.startswith(("seed=", "study=", _SWEEP_DIR))]
    folder = next((f"{word.rstrip('/')}_more" for word in given if word.startswith(_SWEEP_DIR)), "study=lr_jitter_more")
    first = max(gain.at_seeds) + 1
    return shlex.join([*words, folder, f"seed=range({first},{first + gain.num_seeds_needed})"])


def lr50_sentence(gain: Gain, warmup: Warmup) -> str:
    """The usable lr of both starts; '' without a ratio."""
    if not gain.lr50:
        return ""
    cold, warmed = (
        f"{found.lr50:.2g}{_bracket(found.interval, 2)}" for found in (gain.lr50["cold"], gain.lr50["warmed"])
    )
    return (
        f"The usable lr, at which half of the runs fail (lr50), is {cold} cold and {warmed} after a {warmup.words}, "
        "each with its 95 % interval."
    )


def _with(number: float | None, interval: Interval | None) -> str:
    """`1.4 [1.13, 1.78]`."""
    return f"{number:.3g}{_bracket(interval, 3)}"


def _bracket(interval: Interval | None, digits: int) -> str:
    return f" [{interval[0]:.{digits}g}, {interval[1]:.{digits}g}]" if interval else ""


def jitter_sentence(jitter: JitterLr) -> str:
    """Where the jitter starts, over the seeds; it has to start at some."""
    assert jitter.median is not None
    assert jitter.low is not None
    assert jitter.high is not None
    never = f", {jitter.num_never} of them without jitter" if jitter.num_never else ""
    unknown = f"; {jitter.num_unknown} more cannot be read" if jitter.num_unknown else ""
    return (
        "On a ramp, updates start to raise the loss on their own batch more often than at a low lr at "
        f"{jitter.median:.2g}: median of {jitter.num_seeds} seeds ({jitter.low:.2g} to {jitter.high:.2g}{never}"
        f"{unknown}). The ramp is itself a warmup, so this rate was reached slowly."
    )


def limits_sentence(largest: Mapping[Start, LargestLr], trials: Sequence[Trial]) -> str:
    """The largest surviving rates, and how little so few runs can exclude."""
    steps = ", ".join(map(str, sorted({trial.warmup_steps for trial in trials if trial.start == "warmed"})))
    starts: dict[Start, str] = {"cold": "without warmup", "warmed": f"with a warmup of {steps} updates"}
    parts = []
    for start, words in starts.items():
        limit = largest[start]
        edge = ", the largest tried" if limit.at_edge else ""
        parts.append(f"{words} up to lr {limit.lr:.3g}{edge}" if limit.lr else f"{words} at no lr that was tried")
    size = min(trial.survived.total for trial in trials)
    low = wilson(size, size).low
    bound = f" ({size} of {size} still allows a survival rate as low as {100 * low:.0f} %)" if low else ""
    return f"At a constant lr, all runs survived {', and '.join(parts)}{bound}."


def ramp_sentence(break_lrs: Sequence[float | None], cold: LargestLr) -> str:
    """Where the ramps themselves broke."""
    median = log_median(break_lrs)
    if median is None:
        return "In most ramps the loss never rose by more than its noise, so the rate at which they break is unknown."
    times = f", {median / cold.lr:.2g} times the largest lr that survived cold" if cold.lr else ""
    return f"The ramps broke (the loss rose by more than its noise, or diverged) at a median lr of {median:.2g}{times}."


def definition(onset: Onset, total_steps: int) -> str:
    """How the start of the jitter is found; the sizes are those of one ramp."""
    return (
        f"A window of {100 * WINDOW_SHARE:.0f} % of the probed updates ({onset.window_size}) slides over the ramp's "
        f"{total_steps} updates. It stands out if the one-sided {100 * CONFIDENCE:g} % lower Wilson bound of its share "
        "of overshoots is above the one-sided upper bound of the low-lr share, which is that of the calmest quarter of "
        f"the ramp before it ({onset.low_total} probed updates). The jitter starts where that share most likely rose: "
        "the most likely split of the updates from that quarter to one window after the first one that stands out. If "
        "the share is constant, at most 5 % of ramps raise a false alarm (simulated). A run survives if it neither "
        "diverges nor fails to learn."
    )
