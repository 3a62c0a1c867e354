"""The series that oscillation metrics read: medians, averages, spikes and climbs of a loss trace."""

import math
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.float64]

NEIGHBOURS_A_SIDE = 12
NUM_PREDECESSORS = 24
EMA_ALPHA = 2 / 26
MAD_TO_SIGMA = 1.4826
SPIKE_SIGMAS = 6.0
SPIKE_HEIGHT = 0.1
ONSET_CLIMB = 0.1
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
