"""How much a training loss oscillates: pure functions from a loss trace to one number each.

A trace is `loss` of shape (T,): the mean training loss of update t in nats, measured before update t. C is the number
of classes; ln C, the loss at chance, is the unit where one is named. Rules that hold for all metrics:

- Series (EMA, running medians) are computed on the whole trace, then cut to a window.
- A trace ends before its first NaN or infinity: a diverged run is described up to there, its status says the rest.
- None means "not defined here" (too few updates, nothing found, nothing probed), never zero.

A run that collapsed, or has not learned yet, is the smoothest there is: read these beside the failure rate.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.series import (
    MAD_TO_SIGMA,
    NEIGHBOURS_A_SIDE,
    ONSET_CLIMB,
    WHOLE,
    FloatArray,
    LossSeries,
    _finite,
    _vector,
    windows,
)

Summary = dict[str, dict[str, float | None]]
# The standard error of the roughness of noise is 14 % at 100 updates, 29 % at 25, 47 % here.
MIN_SPREAD_UPDATES = 10


def roughness(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Step-to-step jitter of the loss, blind to its trend.

    Formula: 1.4826 * MAD(d) / sqrt(6) / ln C, where d_t = l_t - 2 l_{t-1} + l_{t-2} over the triples that lie wholly in
    the window, and MAD is the median absolute deviation from the median. Gaussian noise of standard deviation sigma
    gives sigma / ln C: d has the variance (1 + 4 + 1) sigma^2, and 1.4826 MAD is a Gaussian's standard deviation.
    A line has no second difference; a parabola's is constant, so MAD drops it. A few spikes do not move it.
    Unit: ln C. Range: [0, inf). None under 10 updates.
    Source: difference-based noise estimates (Gasser, Sroka and Jennen-Steinmetz 1986), made robust.
    Blind spot: period-2 bouncing of 5 times the noise or more makes d two-valued, and then the median of an odd number
    of differences is one of the two values, and MAD far too small.

    >>> roughness(LossSeries(np.linspace(1.0, 0.25, 13), num_classes=2))  # a straight line
    0.0
    >>> round(roughness(LossSeries([0.5, 0.7] * 6, num_classes=2)), 4)  # 1.4826 * 0.4 / sqrt(6) / ln 2
    0.3493
    """
    return _jitter(np.diff(series.loss[window], n=2), series.chance)


def rho1(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Whether successive losses lie on opposite sides of the level around them (negative) or on the same.

    Formula: sum(r_t r_{t+1}) / sum(r_t^2) over the window, the usual lag-1 autocorrelation (Box and Jenkins), where r
    is l minus its `neighbour_median` (see `residual`), less the mean of that in the window.
    Unit: none. Range: (-1, 1), standard error about 1 / sqrt(updates). Independent noise gives -0.03, not 0, since the
    median follows it a little. None under 25 updates, and where r is 0, as in a collapsed run.
    Sees: period-2 bouncing, as at the edge of stability (Cohen et al. 2021); of 2, 5, 10 times the noise: -0.77, -0.95,
    -0.98 (with a centred median of 25, never below -0.7).

    >>> burst = [0.5] * 20 + [0.6, 0.4] * 6 + [0.5] * 20
    >>> round(rho1(LossSeries(burst, num_classes=2)), 4)  # 11 negative products over 12 squares
    -0.9167
    """
    cut = series.residual[window]
    if cut.size <= 2 * NEIGHBOURS_A_SIDE:
        return None
    centred = cut - cut.mean()
    power = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / power if power > 0 else None


def spike_rate(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Sudden high losses, also early ones, per 1000 updates that could have been one.

    Formula: 1000 * (spikes in the window) / (updates in the window with 24 predecessors in the trace). l_t is a spike
    if it exceeds the median of l_{t-24}, ..., l_{t-1} by more than 6 * 1.4826 * MAD of these and by more than 0.1 ln C.
    On a flat stretch, where MAD is 0, the second condition alone decides.
    Unit: spikes per 1000 updates. Range: [0, 1000]. None where no update has 24 predecessors.
    Sees: spikes from update 24 on; a lasting jump counts 12 times, until half of the 24 have seen it. The scores with
    128 to 1000 predecessors (OLMo) start too late for a catapult at step 30 of 235.

    >>> loss = np.full(124, 0.5)
    >>> loss[30] = 2.0
    >>> spike_rate(LossSeries(loss, num_classes=2))  # 1 of the 100 updates 24..123
    10.0
    """
    flags = series.spikes[window]
    known = flags[~np.isnan(flags)]
    return 1000 * float(known.sum()) / known.size if known.size else None


def max_rise(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The largest climb of the smoothed loss back up from its lowest point so far.

    Formula: max over t in the window of (EMA_t - min over s <= t of EMA_s) / ln C. The EMA has alpha 2/26 and starts at
    l_0; the minimum reaches back to update 0, also where the window does not.
    Unit: ln C. Range: [0, inf); 0 for a loss that only falls, and for one update. None for an empty window.
    Sees: catapults (Lewkowycz et al. 2020), slow climbs, runs that lose what they had learned.

    >>> round(max_rise(LossSeries([0.5, 1.8], num_classes=2)), 4)  # 1.3 / 13 / ln 2
    0.1443
    """
    climb = series.climb[window]
    return float(climb.max()) if climb.size else None


def onset_step(series: LossSeries, window: slice = WHOLE) -> int | None:
    """The first update of the window at which the climb of `max_rise` stands above 0.1.

    Unit: updates, counted from 0 at the start of the run in every window. Range: the window's updates; its first one
    where the climb began before it. None exactly where `max_rise` is not above 0.1.
    Sees: where the loss starts to jitter.

    >>> onset_step(LossSeries([0.5, 0.5, 1.8], num_classes=2))
    2
    """
    above = np.flatnonzero(series.climb[window] > ONSET_CLIMB)
    return window.indices(series.climb.size)[0] + int(above[0]) if above.size else None


def onset_lr(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The learning rate of the update `onset_step`.

    Unit: the learning rate's. Range: [0, peak]. None where there is no onset.
    Sees: the learning rate that this run did not bear, found by its own warmup.

    >>> onset_lr(LossSeries([0.5, 0.5, 1.8], [0.0, 0.1, 0.2], num_classes=2))
    0.2
    """
    step = onset_step(series, window)
    return None if step is None else _finite(float(series.lr[step]))


Metric = Callable[[LossSeries, slice], float | None]
METRICS: dict[str, Metric] = {
    metric.__name__: metric for metric in (roughness, rho1, spike_rate, max_rise, onset_step, onset_lr)
}


def overshoot_rate(overshoot_column: npt.ArrayLike) -> float | None:
    """The share of probed updates after which the loss on the same batch is higher.

    Formula: the mean of the column, (T,): 1 higher, 0 not, NaN not probed and so not counted.
    Unit: none. Range: [0, 1]. None where nothing was probed.
    Sees: a learning rate above its critical value, free of batch noise (Kalra and Barkeshli 2024).

    >>> overshoot_rate([0.0, float("nan"), 1.0, 1.0, 0.0])
    0.5
    """
    column = _vector(overshoot_column, "overshoot")
    probed = column[~np.isnan(column)]
    strange = probed[(probed != 0) & (probed != 1)]
    if strange.size:
        raise ValueError(f"overshoot holds 0, 1 or NaN (not probed); got {strange[0]}")
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
    """Every metric of one run, {window: {metric: number or None}}; Python numbers, never NaN or infinite.

    `loss`, `lr` and `overshoot` have shape (T,). Windows are those of `total_steps`, the planned updates (default T):
    with it, `early` of a run that diverged holds the same updates as in the runs beside it, and `late` holds None if it
    never got there. `overshoot_rate` is always a key.
    """
    num_updates = np.size(loss)
    planned = num_updates if total_steps is None else total_steps
    if planned < num_updates:
        raise ValueError(f"total_steps={planned} is fewer than the {num_updates} updates of the trace")
    series = LossSeries(loss, lr, num_classes=num_classes)
    column = np.full(num_updates, np.nan) if overshoot is None else overshoot
    probed = _vector(column, "overshoot", length=num_updates)[: series.loss.size]
    return {name: _metrics(series, probed, window) for name, window in windows(planned).items()}


def _metrics(series: LossSeries, probed: FloatArray, window: slice) -> dict[str, float | None]:
    found = {name: _finite(metric(series, window)) for name, metric in METRICS.items()}
    return {**found, "overshoot_rate": overshoot_rate(probed[window])}


def _jitter(difference: FloatArray, chance: float) -> float | None:
    """The `roughness` of these second differences; None under 8, as many as 10 updates have."""
    if difference.size < MIN_SPREAD_UPDATES - 2:
        return None
    deviation = np.median(np.abs(difference - np.median(difference)))
    return float(MAD_TO_SIGMA * deviation / math.sqrt(6) / chance)
