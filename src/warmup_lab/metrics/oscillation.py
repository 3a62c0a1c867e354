"""How much a training loss oscillates: pure functions from the loss trace of one run to one number each.

A trace is `loss` of shape (T,). l_t is the mean training loss of update t in nats, measured before the update. C is the
number of classes. The unit of most metrics is ln C, the loss of guessing. For all metrics:

- Series (EMA, running medians) are computed on the whole trace and cut to a window afterwards.
- A trace ends before its first NaN or infinity. A diverged run is measured up to there; its status is `diverged`.
- None means "not defined" (too few updates, nothing found, nothing probed). It never means zero.

A run that collapsed or has not learned yet has the smoothest trace there is. Read these metrics with the failure rate.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.series import (
    MAD_TO_SIGMA,
    NUM_NEIGHBOURS_PER_SIDE,
    ONSET_CLIMB,
    WHOLE,
    FloatArray,
    LossSeries,
    finite_or_none,
    float_vector,
    windows,
)

Summary = dict[str, dict[str, float | None]]
"""{window: {metric: value}}."""
# The standard error of the roughness of noise is 14 % at 100 updates, 29 % at 25 and 47 % at 10.
MIN_SPREAD_UPDATES = 10


def roughness(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Step-to-step jitter of the loss, blind to its trend.

    Formula: 1.4826 * MAD(d) / sqrt(6) / ln C, where d_t = l_t - 2 l_{t-1} + l_{t-2} over all triples inside the window,
    and MAD is the median absolute deviation from the median. Gaussian noise of standard deviation sigma gives
    sigma / ln C, because d has the variance (1 + 4 + 1) sigma^2 and 1.4826 MAD estimates a Gaussian's standard
    deviation. The second difference of a line is 0. That of a parabola is constant, so MAD removes it. A few spikes do
    not change the value.
    Unit: ln C. Range: [0, inf). None under 10 updates.
    Source: difference-based noise estimates (Gasser, Sroka and Jennen-Steinmetz 1986), made robust.
    Blind spot: period-2 bouncing of at least 5 times the noise makes d two-valued. The median of an odd number of
    differences is then one of the two values, and MAD is far too small.

    >>> roughness(LossSeries(np.linspace(1.0, 0.25, 13), num_classes=2))  # a straight line
    0.0
    >>> round(roughness(LossSeries([0.5, 0.7] * 6, num_classes=2)), 4)  # 1.4826 * 0.4 / sqrt(6) / ln 2
    0.3493
    """
    return jitter(np.diff(series.loss[window], n=2), series.chance)


def rho1(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Whether successive losses are on opposite sides of the level around them (negative) or on the same side.

    Formula: sum(r_t r_{t+1}) / sum(r_t^2) over the window, the lag-1 autocorrelation of Box and Jenkins. r is l minus
    its `neighbour_median` (see `residual`), minus the mean of that difference in the window.
    Unit: none. Range: (-1, 1), standard error about 1 / sqrt(updates). Independent noise gives -0.03, not 0, because
    the median follows the noise slightly. None under 25 updates, and if r is 0, as in a collapsed run.
    Sees: period-2 bouncing, as at the edge of stability (Cohen et al. 2021). Bouncing of 2, 5 and 10 times the noise
    gives -0.77, -0.95 and -0.98. With a centred median of 25 updates it would never be below -0.7.

    >>> burst = [0.5] * 20 + [0.6, 0.4] * 6 + [0.5] * 20
    >>> round(rho1(LossSeries(burst, num_classes=2)), 4)  # 11 negative products over 12 squares
    -0.9167
    """
    cut = series.residual[window]
    if cut.size <= 2 * NUM_NEIGHBOURS_PER_SIDE:
        return None
    centred = cut - cut.mean()
    power = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / power if power > 0 else None


def spike_rate(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Sudden high losses, early ones included, per 1000 updates that can be tested.

    Formula: 1000 * (spikes in the window) / (updates in the window with 24 predecessors in the trace). l_t is a spike
    if it exceeds the median of l_{t-24}, ..., l_{t-1} by more than 6 * 1.4826 * MAD of these and by more than 0.1 ln C.
    On a flat stretch, where MAD is 0, only the second condition matters.
    Unit: spikes per 1000 updates. Range: [0, 1000]. None if no update has 24 predecessors.
    Sees: spikes from update 24 on. A lasting jump counts 12 times, until it makes up half of the 24 predecessors.
    Scores with 128 to 1000 predecessors (OLMo) start too late for a catapult at step 30 of 235.

    >>> loss = np.full(124, 0.5)
    >>> loss[30] = 2.0
    >>> spike_rate(LossSeries(loss, num_classes=2))  # 1 of the 100 updates 24..123
    10.0
    """
    flags = series.spikes[window]
    known = flags[~np.isnan(flags)]
    return 1000 * float(known.sum()) / known.size if known.size else None


def max_rise(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The largest climb of the smoothed loss above its lowest point so far.

    Formula: max over t in the window of (EMA_t - min over s <= t of EMA_s) / ln C. The EMA has alpha 2/26 and starts at
    l_0. The minimum covers the whole run from update 0, even if the window starts later.
    Unit: ln C. Range: [0, inf). 0 for a loss that only falls, and for a single update. None for an empty window.
    Sees: catapults (Lewkowycz et al. 2020), slow climbs, runs that lose what they had learned.

    >>> round(max_rise(LossSeries([0.5, 1.8], num_classes=2)), 4)  # 1.3 / 13 / ln 2
    0.1443
    """
    climb = series.climb[window]
    return float(climb.max()) if climb.size else None


def onset_step(series: LossSeries, window: slice = WHOLE) -> int | None:
    """The first update of the window at which the climb of `max_rise` is above 0.1.

    Unit: updates, counted from 0 at the start of the run in every window. Range: the window's updates; its first update
    if the climb began before it. None exactly if `max_rise` is not above 0.1.
    Sees: where the loss starts to jitter.

    >>> onset_step(LossSeries([0.5, 0.5, 1.8], num_classes=2))
    2
    """
    above = np.flatnonzero(series.climb[window] > ONSET_CLIMB)
    return window.indices(series.climb.size)[0] + int(above[0]) if above.size else None


def onset_lr(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The learning rate of the update `onset_step`.

    Unit: learning rate. Range: [0, peak]. None if there is no onset.
    Sees: the learning rate that is too high for this run, found during its own warmup.

    >>> onset_lr(LossSeries([0.5, 0.5, 1.8], [0.0, 0.1, 0.2], num_classes=2))
    0.2
    """
    step = onset_step(series, window)
    return None if step is None else finite_or_none(float(series.lr[step]))


Metric = Callable[[LossSeries, slice], float | None]
METRICS: dict[str, Metric] = {
    metric.__name__: metric for metric in (roughness, rho1, spike_rate, max_rise, onset_step, onset_lr)
}


def overshoot_rate(overshoot_column: npt.ArrayLike) -> float | None:
    """The share of probed updates that raised the loss on their own batch.

    Formula: the mean of the column, (T,): 1 if the loss rose, 0 if not. NaN means not probed and is left out.
    Unit: none. Range: [0, 1]. None if nothing was probed.
    Sees: a learning rate above its critical value, free of batch noise (Kalra and Barkeshli 2024).

    >>> overshoot_rate([0.0, float("nan"), 1.0, 1.0, 0.0])
    0.5
    """
    column = float_vector(overshoot_column, "overshoot")
    probed = column[~np.isnan(column)]
    invalid = probed[(probed != 0) & (probed != 1)]
    if invalid.size:
        raise ValueError(f"overshoot has the value {invalid[0]}: must be 0, 1 or NaN (not probed)")
    return float(probed.mean()) if probed.size else None


@np.errstate(over="ignore", invalid="ignore")
def summarise(
    loss: npt.ArrayLike,
    lr: npt.ArrayLike,
    *,
    num_classes: int,
    overshoot: npt.ArrayLike | None = None,
    total_steps: int | None = None,
) -> Summary:
    """Every metric of one run, {window: {metric: number or None}}. Numbers are Python's, never NaN or infinite.

    Args:
        loss: (T,), nats.
        lr: (T,).
        num_classes: C, at least 2.
        overshoot: (T,), the column of the overshoot probe. `overshoot_rate` is a key even without it.
        total_steps: Number of planned updates, T by default. It sets the windows, so `early` of a diverged run has the
            same updates as in the other runs, and `late` has only None if the run did not get there.

    Raises:
        ValueError: the shapes differ, `num_classes` is below 2, or `total_steps` is below T.
    """
    num_updates = np.size(loss)
    planned = num_updates if total_steps is None else total_steps
    if planned < num_updates:
        raise ValueError(f"total_steps={planned}: must be at least {num_updates}, the updates of the trace")
    series = LossSeries(loss, lr, num_classes=num_classes)
    column = np.full(num_updates, np.nan) if overshoot is None else overshoot
    probed = float_vector(column, "overshoot", length=num_updates)[: series.loss.size]
    return {name: _window_metrics(series, probed, window) for name, window in windows(planned).items()}


def _window_metrics(series: LossSeries, probed: FloatArray, window: slice) -> dict[str, float | None]:
    values = {name: finite_or_none(metric(series, window)) for name, metric in METRICS.items()}
    return {**values, "overshoot_rate": overshoot_rate(probed[window])}


def jitter(difference: FloatArray, chance: float) -> float | None:
    """The `roughness` of these second differences; None under 8, the number that 10 updates have."""
    if difference.size < MIN_SPREAD_UPDATES - 2:
        return None
    deviation = np.median(np.abs(difference - np.median(difference)))
    return float(MAD_TO_SIGMA * deviation / math.sqrt(6) / chance)
