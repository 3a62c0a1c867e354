"""The wording of the section `lr_jitter`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from warmup_lab.comparison import log_median, wilson
from warmup_lab.comparison.lr_jitter.advice import Recommendation
from warmup_lab.comparison.lr_jitter.onset import CONFIDENCE, WINDOW_SHARE, JitterLr, Onset
from warmup_lab.comparison.lr_jitter.survival import LargestLr, Start, Trial


def headline(jitter: JitterLr, advice: Recommendation) -> str:
    """The recommendation, or why there is none."""
    if advice.lr is None:
        return advice.lr_reason
    warmup = f"a warmup of {advice.warmup_steps} updates" if advice.warmup_steps else "no warmup"
    return f"Recommended: lr {advice.lr:.3g} with {warmup}. The loss starts to jitter at lr {jitter.median:.2g}."


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
        return "In most ramps the loss never rose by 0.1 ln C again, so the rate at which a ramp breaks is not known."
    times = f", {median / cold.lr:.2g} times the largest lr that survived cold" if cold.lr else ""
    return f"The ramps broke (the loss rose by 0.1 ln C again, or diverged) at a median lr of {median:.2g}{times}."


def definition(onset: Onset, total_steps: int) -> str:
    """How the start of the jitter is found; the sizes are those of one ramp."""
    return (
        f"A window of {100 * WINDOW_SHARE:.0f} % of the probed updates ({onset.window_size}) slides over the ramp's "
        f"{total_steps} updates. It stands out if the one-sided {100 * CONFIDENCE:g} % lower Wilson bound of its share "
        "of overshoots is above the one-sided upper bound of the low-lr share, which is that of the calmest quarter of "
        f"the ramp before it ({onset.low_total} probed updates). The jitter starts at the first overshoot of the first "
        "such window. If the share is constant, at most 5 % of ramps raise a false alarm (simulated). A run survives "
        "if it neither diverges nor fails to learn."
    )
