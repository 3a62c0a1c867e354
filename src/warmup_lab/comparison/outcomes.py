"""What a run that failed to learn counts as, so that all seeds enter a comparison.

Restricting a comparison to runs that learned selects on the outcome: of two arms with equal losses, the one that fails
more often looks better, because its worst runs are left out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from warmup_lab.comparison.statistics import Floats

Kind = Literal["loss", "score", "rank"]
_LOSSES = ("train_loss", "eval_loss")
_CENSORED = ("updates_to_target",)
_NEVER_IS_BEST = ("onset_step", "onset_lr")
_MINUS_REFERENCE = ("matched/roughness", "excess")


def metric_kind(metric: str) -> Kind:
    """How a metric is compared.

    - `loss`: by a t-test. A failed run counts as `min(its loss, H)`, or H without a loss, where H is the loss of
      guessing (entropy of the training labels).
    - `score` (accuracy and the like): by a t-test. A failed run counts as a model that always answers with the most
      frequent label.
    - `rank` (oscillation, updates to a target): by a rank test, in which a failed run is the worst. A number would
      mislead: a run that failed to learn is the smoothest of all.
    """
    if metric in _LOSSES:
        return "loss"
    return "score" if metric.startswith("eval_") else "rank"


def compared_values(
    metric: str, values: Floats, failed: NDArray[np.bool_], guess: tuple[Floats, Floats], *, smaller_is_better: bool
) -> Floats:
    """The values that a comparison uses, `(arms, seeds)`; NaN is missing, and infinity is a rank only.

    Args:
        metric: name of the metric.
        values: the metric of each run, NaN if it has none.
        failed: whether the run failed to learn or diverged.
        guess: loss (H) and accuracy of guessing for each run, NaN if unknown.
        smaller_is_better: direction of the metric.
    """
    kind, (guess_loss, guess_accuracy) = metric_kind(metric), guess
    values = np.where(np.isfinite(values), values, np.nan)
    if kind == "loss":
        return np.where(failed, np.fmin(values, guess_loss), values)
    if kind == "score":
        chance = guess_accuracy if metric == "eval_accuracy" else np.zeros_like(values)
        return np.where(failed, np.where(np.isnan(chance), values, chance), values)
    worst = np.inf if smaller_is_better else -np.inf
    name = metric.rpartition("/")[2]
    if name in _CENSORED:  # never reached: later than every run that reached it
        values = np.where(np.isnan(values), worst, values)
    elif name in _NEVER_IS_BEST:  # the loss never started to jitter
        values = np.where(np.isnan(values), -worst, values)
    elif metric in _MINUS_REFERENCE:  # the reference failed and is the worst, or the two runs cannot be compared
        values = np.where(np.isnan(values), 0.0, values)
    return np.where(failed, worst, values)
