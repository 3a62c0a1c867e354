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
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.float64]
Summary = dict[str, dict[str, float | None]]

NEIGHBOURS_A_SIDE = 12
NUM_PREDECESSORS = 24
EMA_ALPHA = 2 / 26
MAD_TO_SIGMA = 1.4826
SPIKE_SIGMAS = 6.0
SPIKE_HEIGHT = 0.1
ONSET_CLIMB = 0.1
MATCHED_LOSS = (0.4, 0.8)  # of ln C: on its way from chance, 1, down
# The standard error of the roughness of noise is 14 % at 100 updates, 29 % at 25, 47 % here.
MIN_SPREAD_UPDATES = 10
WHOLE = slice(None)


def windows(total_steps: int) -> dict[str, slice]:
    """The updates of each window: all, the first 20 % (rounded up, as warmup updates are), the last 50 %.

    >>> windows(235)["early"], windows(235)["late"]
    (slice(0, 47, None), slice(117, 235, None))
    """
    early, late = slice(0, -(-total_steps // 5)), slice(total_steps // 2, total_steps)
    return {"whole": slice(0, total_steps), "early": early, "late": late}


def finite_prefix(loss: npt.ArrayLike) -> FloatArray:
    """The losses before the first NaN or infinity, as float64, (T,) -> (at most T,)."""
    array = _vector(loss, "loss")
    broken = ~np.isfinite(array)
    return array[: broken.argmax()] if broken.any() else array


def neighbour_median(loss: FloatArray) -> FloatArray:
    """The level around each loss: the median of its 24 neighbours, 12 on each side, itself left out, (T,) -> (T,).

    Bouncing does not move it: 12 of the 24 are high, 12 low, where of 25 the majority is on the side of the middle one.
    At the borders it is the median of those that exist, off by up to 6.5 updates' worth of a steep trend; every second
    update there has an odd number of them, and exact bouncing puts its level on the other side. A lone update has none,
    and so the level NaN; no metric reads it.
    """
    if not loss.size:
        return loss.copy()
    padded = np.pad(loss, NEIGHBOURS_A_SIDE, constant_values=np.nan)
    centred = sliding_window_view(padded, 2 * NEIGHBOURS_A_SIDE + 1)  # (T, 25)
    return _row_medians(np.delete(centred, NEIGHBOURS_A_SIDE, axis=1))


def trailing_median(loss: FloatArray) -> FloatArray:
    """Median of each loss and its 24 predecessors; NaN for the first 24 updates; (T,) -> (T,)."""
    trailing = np.full(loss.shape, np.nan)
    if loss.size > NUM_PREDECESSORS:
        trailing[NUM_PREDECESSORS:] = _row_medians(sliding_window_view(loss, NUM_PREDECESSORS + 1))
    return trailing


def residual(loss: FloatArray) -> FloatArray:
    """The loss minus its `neighbour_median`, nats, (T,) -> (T,).

    DESIGN's table says "centred running median (25)", but that follows lasting bouncing: of 2, 5, 10 sigma over 1000
    updates with noise sigma, RMS / sigma is 1.91, 2.04, 2.26 with it; 2.28, 5.17, 10.2 here (true 2.24, 5.10, 10.05).
    """
    return loss - neighbour_median(loss)


def exponential_average(loss: FloatArray) -> FloatArray:
    """EMA_0 = l_0, EMA_t = EMA_{t-1} + (l_t - EMA_{t-1}) * 2/26, (T,) -> (T,)."""
    # A plain loop: importing scipy.signal for lfilter costs more than a thousand of these.
    averages = accumulate(loss.tolist(), lambda average, value: average + EMA_ALPHA * (value - average))
    return np.fromiter(averages, dtype=np.float64, count=loss.size)


class LossSeries:
    """A loss trace and the series its metrics read, each computed once, on the whole trace.

    `loss` and `lr`, both (T,), are kept up to the last finite loss. Without `lr`, `onset_lr` is None.
    """

    def __init__(self, loss: npt.ArrayLike, lr: npt.ArrayLike | None = None, *, num_classes: int) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be 2 or more, since ln C is the unit; got {num_classes}")
        self.loss = finite_prefix(loss)
        rates = np.full(np.shape(loss), np.nan) if lr is None else _vector(lr, "lr", length=np.size(loss))
        self.lr = rates[: self.loss.size]
        self.chance = math.log(num_classes)

    @cached_property
    def residual(self) -> FloatArray:
        """The loss minus the median of its neighbours, (T,), nats."""
        return residual(self.loss)

    @cached_property
    def spikes(self) -> FloatArray:
        """1 at a spike of `spike_rate`, else 0; NaN for the first 24 updates, (T,)."""
        flags = np.full(self.loss.shape, np.nan)
        if self.loss.size <= NUM_PREDECESSORS:
            return flags
        before = sliding_window_view(self.loss, NUM_PREDECESSORS)[:-1]  # (T - 24, 24)
        median = _row_medians(before)
        rise = self.loss[NUM_PREDECESSORS:] - median
        # The deviation is the dear part, and only the few updates that are high enough need it.
        high = np.flatnonzero(rise > SPIKE_HEIGHT * self.chance)
        deviation = np.median(np.abs(before[high] - median[high, None]), axis=1)
        flags[NUM_PREDECESSORS:] = 0.0
        flags[NUM_PREDECESSORS + high] = rise[high] > SPIKE_SIGMAS * MAD_TO_SIGMA * deviation
        return flags

    @cached_property
    def climb(self) -> FloatArray:
        """How far the EMA stands above its lowest value so far, (T,), units of ln C."""
        average = exponential_average(self.loss)
        return (average - np.minimum.accumulate(average)) / self.chance


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


# The last finite losses of a diverging run may overflow when squared; that gives None.
@np.errstate(over="ignore", invalid="ignore")
def excess(loss: npt.ArrayLike, reference_loss: npt.ArrayLike, *, window: slice = WHOLE) -> float | None:
    """The oscillation an arm adds to that of the reference arm with the same seed.

    Formula: RMS(r) - RMS(r of the reference), where r is l minus its `neighbour_median` (see `residual`), computed on
    the whole trace, then cut to the window and to the updates that both traces have.
    Unit: nats. Range: (-inf, inf); negative is smoother. None where they share fewer than 10 updates.

    >>> flat = [0.5] * 18
    >>> round(excess(flat + [0.8, 0.2] * 6 + flat, flat + [0.6, 0.4] * 6 + flat), 9)  # 0.2 sqrt(12/48)
    0.1
    """
    return excess_of_residuals(residual(finite_prefix(loss)), residual(finite_prefix(reference_loss)), window=window)


@np.errstate(over="ignore", invalid="ignore")
def excess_of_residuals(ours: FloatArray, reference: FloatArray, *, window: slice = WHOLE) -> float | None:
    """`excess` of two traces whose `residual` is known: a reference arm's serves for all arms."""
    shared = min(ours.size, reference.size)
    ours, reference = ours[:shared][window], reference[:shared][window]
    if ours.size < MIN_SPREAD_UPDATES:
        return None
    return _finite(float(np.sqrt(np.mean(ours**2)) - np.sqrt(np.mean(reference**2))))


def updates_to_target(loss: npt.ArrayLike, reference_loss: npt.ArrayLike) -> int | None:
    """How many updates an arm needs to reach the loss that the reference arm has at half of its updates.

    Formula: the first t at which the median of l_{t-24}, ..., l_t is below that of the reference at its update T // 2.
    Only full medians count, lest one lucky batch at the start pass for convergence.
    Unit: updates. Range: [24, T); the reference itself needs about T / 2. None where never, and where the reference has
    no such median: under 48 updates, or diverged before half of its recorded ones.
    Sees: faster convergence, warmup's promise.

    >>> reference = np.linspace(1.0, 0.0, 101)
    >>> updates_to_target(reference, reference), updates_to_target(reference**2, reference)
    (51, 34)
    """
    return first_below(trailing_median(finite_prefix(loss)), half_way_loss(reference_loss))


def half_way_loss(loss: npt.ArrayLike) -> float:
    """The `trailing_median` at update T // 2, nats, (T,) -> (); NaN where there is none."""
    half, median = np.size(loss) // 2, trailing_median(finite_prefix(loss))
    return float(median[half]) if half < median.size else math.nan


def first_below(median: FloatArray, target: float) -> int | None:
    """The first update whose `median`, (T,), is below `target`; None where never, and where either is NaN."""
    below = np.flatnonzero(median < target)
    return int(below[0]) if below.size else None


@np.errstate(over="ignore", invalid="ignore")
def roughness_at_matched_loss(loss: npt.ArrayLike, *, num_classes: int) -> float | None:
    """The `roughness` while the loss passes from 0.8 to 0.4 of chance: compares arms at the same stage of learning.

    Formula: that of `roughness` over the second differences whose three points all lie at updates whose
    `neighbour_median` is in [0.4 ln C, 0.8 ln C]; an update's own loss has no say in whether it counts.
    Why: sampling noise alone gives 0.006 at chance and 0.14 in the middle of learning, so that at the same update the
    arm that learns later looks smoother.
    Unit: ln C. Range: [0, inf). None under 8 such differences, as many as 10 updates in a row have: the loss never came
    down to the band, or went through it faster. Blind spot: that of `roughness`.

    >>> loss = [0.7] * 30 + [0.3, 0.5] * 20 + [0.1] * 30  # 38 of the 40 updates in the middle are in the band
    >>> round(roughness_at_matched_loss(loss, num_classes=2), 4)  # 1.4826 * 0.4 / sqrt(6) / ln 2
    0.3493
    """
    series = LossSeries(loss, num_classes=num_classes)
    level = neighbour_median(series.loss) / series.chance
    matched = (level >= MATCHED_LOSS[0]) & (level <= MATCHED_LOSS[1])
    inside = matched[2:] & matched[1:-1] & matched[:-2]
    return _finite(_jitter(np.diff(series.loss, n=2)[inside], series.chance))


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


def _row_medians(rows: FloatArray) -> FloatArray:
    """The median of each row, (T, n) -> (T,), NaN left out. For short rows a sort is faster than `np.median`."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = rows.shape[1] - np.isnan(ordered).sum(axis=1)
    row = np.arange(len(rows))
    median: FloatArray = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return median


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _vector(values: npt.ArrayLike, name: str, *, length: int | None = None) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (T,), a value an update; got shape {array.shape}")
    if length is not None and array.size != length:
        raise ValueError(f"{name} has {array.size} values, but the loss trace has {length} updates")
    return array
