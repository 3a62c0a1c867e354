"""Why a run failed to learn, judged from its loss trace."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.oscillation import onset_step
from warmup_lab.metrics.rises import MIN_UPDATES, noise_of_averages
from warmup_lab.metrics.series import FloatArray, LossSeries

FailureKind = Literal["unstable", "too_slow", "stuck"]
FAILURE_KINDS: tuple[FailureKind, ...] = ("unstable", "too_slow", "stuck")
MIN_FALL = 0.005  # in units of H, over the last 20 % of updates
FALL_THRESHOLD = 2.25  # in standard errors


def failure_kind(loss: npt.ArrayLike, *, entropy: float, total_steps: int) -> FailureKind | None:
    """Whether a failed run was unstable, too slow or stuck. None if it has under 50 updates and did not diverge.

    - `unstable`: the run diverged (its finite losses are fewer than `total_steps`), or it has an onset (`onset_step`).
    - `too_slow`: not unstable, and the loss was still falling over the last 20 % of updates (`is_falling`).
    - `stuck`: neither.

    Whether the run failed is decided elsewhere; for a run that learned, the kind means nothing.

    Args:
        loss: (T,), nats.
        entropy: H, the entropy of the training labels, nats.
        total_steps: number of planned updates.
    """
    series = LossSeries(loss, entropy=entropy)
    if series.loss.size < total_steps:
        return "unstable"
    if series.loss.size < MIN_UPDATES:
        return None
    if onset_step(series) is not None:
        return "unstable"
    return "too_slow" if is_falling(series.loss, entropy=entropy) else "stuck"


def is_falling(loss: FloatArray, *, entropy: float) -> bool:
    """Whether a straight line through the last 20 % of the losses falls by more than noise explains.

    Formula: f > max(2.25 s sqrt(12 / n), 0.005 H). f is the fall of the least-squares line over the last n = ceil(T/5)
    losses. s sqrt(12 / n) is its standard error for noise s, which is that of `noise_of_averages` at the last update.
    Measured on simulated traces: flat traces of 60 to 10,000 updates are called falling in 4 % of cases if the noise is
    AR(1) with coefficient 0.5, and in 2 % or fewer if it is white. A linear fall of 2 noise standard deviations over
    the last 20 % is found in 44, 70, 99 and 100 % of runs of 60, 120, 341 and 1000 updates with white noise, and in 30,
    45, 84 and 100 % with AR(1) noise.

    Args:
        loss: (T,), finite, nats; at least 50.
        entropy: H, nats.
    """
    num_last = -(-loss.size // 5)
    steps = np.arange(num_last) - (num_last - 1) / 2
    fall = -float(steps @ loss[-num_last:]) / float(steps @ steps) * num_last
    standard_error = noise_of_averages(loss)[-1] * math.sqrt(12 / num_last)
    return bool(fall > max(FALL_THRESHOLD * standard_error, MIN_FALL * entropy))
