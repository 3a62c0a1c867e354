"""How much a training loss oscillates: pure functions from the loss trace of one run to one number each.

A trace is `loss` of shape (T,). l_t is the mean training loss of update t in nats, measured before the update. The unit
of most metrics is H, the entropy of the training labels in nats: the loss of a model that knows only how frequent each
label is. H is ln C for C balanced classes. For all metrics:

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
    MIN_SPIKE_UPDATES,
    NUM_NEIGHBOURS_PER_SIDE,
    WHOLE,
    FloatArray,
    LossSeries,
    finite_or_none,
    float_vector,
    windows,
)

Summary = dict[str, dict[str, float | None]]
"""{window: {metric: value}}."""
# The standard error of the roughness of noise is 12 % at 100 updates, 25 % at 25 and 40 % at 10.
MIN_SPREAD_UPDATES = 10
# The interquartile mean of |z| for a standard Gaussian z: 4 (pdf(0.3186) - pdf(1.1503)), with the quartiles of |z|.
GAUSSIAN_INTERQUARTILE_MEAN = 0.6933668485418077


def roughness(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Step-to-step jitter of the loss, blind to a linear trend.

    Formula: IQM(|d|) / 0.6934 / sqrt(6) / H, where d_t = l_t - 2 l_{t-1} + l_{t-2} over all triples inside the window,
    and IQM is the interquartile mean, the mean of the middle half of the values. Gaussian noise of standard deviation
    sigma gives sigma / H, because d has the variance (1 + 4 + 1) sigma^2 and 0.6934 is the IQM of |z| for a standard
    Gaussian z. Exact bouncing of +-a gives 2.36 a / H, whether the number of updates is even or odd.
    Unit: H, the entropy of the training labels. Range: [0, inf). None under 10 updates.
    Sees: noise and period-2 bouncing. For Gaussian noise, its efficiency is 65 % of that of the root mean square of d,
    with a standard error of 12 % at 100 updates. It breaks down when a quarter of the d are outliers; an isolated spike
    makes three.
    Source: difference-based noise estimates (Gasser, Sroka and Jennen-Steinmetz 1986), made robust.
    Blind spot: it is larger for curved trends, but only if the curvature per update is as large as the noise.

    >>> roughness(LossSeries(np.linspace(1.0, 0.25, 13), entropy=1.0))  # a straight line
    0.0
    >>> [round(roughness(LossSeries(([0.5, 0.7] * 7)[:n], entropy=1.0)), 4) for n in (12, 13)]  # 0.4 / 0.6934 / sqrt(6)
    [0.2355, 0.2355]
    """
    return jitter(np.abs(np.diff(series.loss[window], n=2)), series.entropy)


def rho1(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Whether successive losses are on opposite sides of the level around them (negative) or on the same side.

    Formula: sum(r_t r_{t+1}) / sum(r_t^2) over the window, the lag-1 autocorrelation of Box and Jenkins. r is l minus
    its `neighbour_median` (see `residual`), minus the mean of that difference in the window.
    Unit: none. Range: (-1, 1), standard error about 1 / sqrt(updates). Independent noise gives -0.03, not 0, because
    the median follows the noise slightly. None under 25 updates, and if r is 0, as in a collapsed run.
    Sees: period-2 bouncing, as at the edge of stability (Cohen et al. 2021). Bouncing of 2, 5 and 10 times the noise
    gives -0.77, -0.95 and -0.98. With a centred median of 25 updates it would never be below -0.7.

    >>> burst = [0.5] * 20 + [0.6, 0.4] * 6 + [0.5] * 20
    >>> round(rho1(LossSeries(burst, entropy=1.0)), 4)  # 11 negative products over 12 squares
    -0.9167
    """
    cut = series.residual[window]
    if cut.size <= 2 * NUM_NEIGHBOURS_PER_SIDE:
        return None
    centred = cut - cut.mean()
    power = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / power if power > 0 else None


def spike_rate(series: LossSeries, window: slice = WHOLE) -> float | None:
    """Sudden high losses per 1000 updates, early ones included.

    Formula: 1000 * (spikes in the window) / (updates in the window). Update t is a spike if all of these hold:
    l_t - m_t > 0.1 H and l_t - m_t > 6 * 1.4826 * MAD, where m_t is the median of the 24 updates around t and MAD the
    median distance of these from m_t; l_t > 0.5 H; and l_t is more than 0.1 H above the lowest loss before it, so the
    first fall of the loss is no spike. There are 12 updates on each side of t; at a border, all 24 are from the 26
    updates there.
    Why: where a run has learned its batches, the loss is near 0 and MAD too, and one wrong example would be a spike.
    With l_t > 0.5 H, a spike is a loss that is half-way back to guessing or worse.
    Unit: spikes per 1000 updates. Range: [0, 1000]. None if the trace has under 26 updates.
    Sees: spikes from update 1 on. Each update of a burst of up to 11 updates counts.
    Blind spot: a jump that lasts 12 updates or longer is no spike; `max_rise` and `onset_step` see it.

    >>> loss = np.full(100, 0.5)
    >>> loss[3] = 2.0
    >>> spike_rate(LossSeries(loss, entropy=1.0))  # 1 of 100 updates
    10.0
    """
    flags = series.spikes[window]
    return 1000 * int(flags.sum()) / flags.size if flags.size and series.loss.size >= MIN_SPIKE_UPDATES else None


def max_rise(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The largest climb of the smoothed loss above its lowest point so far.

    Formula: max over t in the window of (EMA_t - min over s <= t of EMA_s) / H. The EMA has alpha 2/26 and starts at
    l_0. The minimum covers the whole run from update 0, even if the window starts later.
    Unit: H, the entropy of the training labels. Range: [0, inf). 0 for a loss that only falls, and for a single update.
    None for an empty window.
    Sees: catapults (Lewkowycz et al. 2020), slow climbs, runs that lose what they had learned.

    >>> round(max_rise(LossSeries([0.5, 1.8], entropy=1.0)), 4)  # 1.3 / 13
    0.1
    """
    climb = series.climb[window]
    return float(climb.max()) if climb.size else None


def onset_step(series: LossSeries, window: slice = WHOLE) -> int | None:
    """The first update of the window at which the loss has risen by more than its noise explains.

    Formula: the first t with m_t - b_t > min over s <= t of (m_s + b_s). m_t is the mean of l_{t-24}, ..., l_t, at the
    start of the n_t updates so far. b_t = max(c s_t / sqrt(n_t), 0.005 H), where c = 2.2 + 0.33 ln T. s_t is the noise
    of a loss in nats: the 80 % quantile of |D| over 1.2816 sqrt(6/5), where D = B_k - 2 B_{k-5} + B_{k-10} and B_k is
    the mean of 5 losses. It is the larger of two such values: that of the whole trace, and that of the last 100 D,
    renewed every 25 updates.
    Why: a threshold in nats is exceeded by noise alone if the noise is large or the run long. This one is in units of
    the noise of m_t and grows with the length T.
    Unit: updates, counted from 0 at the start of the run in every window. Range: the window's updates; its first update
    if the rise began before it. None if there is no such rise, and if the trace has under 50 updates.
    Sees: where the loss starts to jitter, about 15 to 30 updates after the start of a rise of 3 noise SDs. Simulated
    runs of 120, 341, 1000, 3600 and 10,000 updates with a flat trend, the worst case: 0.8, 0.5, 0.5, 0.5 and 0.4 %
    have an onset if the noise is AR(1) with coefficient 0.5, and 0.1 % or less if it is white. A rise of 3 noise SDs
    over 25 updates that lasts, or stays for 50 updates, is found in 94 % of runs of 341 updates with AR(1) noise
    on a slow linear descent, and in 99 % or more of all others (white or AR(1); flat, linear, exponential with a time
    constant of T/10; 341 to 10,000 updates). A rise that lasts 25 updates: 84 %, and 95 % or more.
    Blind spot: a rise below 0.01 H, or one that the falling trend cancels: with AR(1) noise, T = 341 and a time
    constant of T/3, 64 % are found at 0.3 T. A single spike of about 30 noise SDs is a rise, because it moves the mean.

    >>> onset_step(LossSeries([0.5] * 60 + [1.8] * 10, entropy=1.0))
    60
    """
    risen = np.flatnonzero(series.has_risen[window])
    return window.indices(series.loss.size)[0] + int(risen[0]) if risen.size else None


def onset_lr(series: LossSeries, window: slice = WHOLE) -> float | None:
    """The learning rate of the update `onset_step`.

    Unit: learning rate. Range: [0, peak]. None if there is no onset.
    Sees: the learning rate that is too high for this run, found during its own warmup.

    >>> onset_lr(LossSeries([0.5] * 60 + [1.8] * 10, [0.1] * 60 + [0.2] * 10, entropy=1.0))
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
    entropy: float,
    overshoot: npt.ArrayLike | None = None,
    total_steps: int | None = None,
) -> Summary:
    """Every metric of one run, {window: {metric: number or None}}. Numbers are Python's, never NaN or infinite.

    Args:
        loss: (T,), nats.
        lr: (T,).
        entropy: H, the entropy of the training labels in nats, above 0.
        overshoot: (T,), the column of the overshoot probe. `overshoot_rate` is a key even without it.
        total_steps: Number of planned updates, T by default. It sets the windows, so `early` of a diverged run has the
            same updates as in the other runs, and `late` has only None if the run did not get there.

    Raises:
        ValueError: the shapes differ, `entropy` is not above 0, or `total_steps` is below T.
    """
    num_updates = np.size(loss)
    planned = num_updates if total_steps is None else total_steps
    if planned < num_updates:
        raise ValueError(f"total_steps={planned}: must be at least {num_updates}, the updates of the trace")
    series = LossSeries(loss, lr, entropy=entropy)
    column = np.full(num_updates, np.nan) if overshoot is None else overshoot
    probed = float_vector(column, "overshoot", length=num_updates)[: series.loss.size]
    return {name: _window_metrics(series, probed, window) for name, window in windows(planned).items()}


def _window_metrics(series: LossSeries, probed: FloatArray, window: slice) -> dict[str, float | None]:
    values = {name: finite_or_none(metric(series, window)) for name, metric in METRICS.items()}
    return {**values, "overshoot_rate": overshoot_rate(probed[window])}


def jitter(sizes: FloatArray, entropy: float, *, weights: FloatArray | None = None) -> float | None:
    """The `roughness` of second differences with these absolute `sizes`, (N,).

    None under 8 differences, the number that 10 updates have. `weights`, (N,), count a difference more or less often.
    """
    if sizes.size < MIN_SPREAD_UPDATES - 2:
        return None
    scale = interquartile_mean(sizes, np.ones(sizes.shape) if weights is None else weights)
    return scale / GAUSSIAN_INTERQUARTILE_MEAN / math.sqrt(6) / entropy


def interquartile_mean(values: FloatArray, weights: FloatArray) -> float:
    """The weighted mean of the values between the quartiles. (N,), (N,) -> ().

    Values at a quartile count partly, so one more value changes the result by little. A median of values in two groups
    of equal size would jump between the groups.

    >>> interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0]), np.ones(4))  # the two in the middle
    2.5
    """
    order = np.argsort(values)
    end = np.cumsum(weights[order])
    start, total = end - weights[order], end[-1]
    share = np.minimum(end, 0.75 * total) - np.maximum(start, 0.25 * total)
    inside = share > 0
    return float(values[order][inside] @ share[inside] / share[inside].sum())
