"""The series that the oscillation metrics share: medians, averages, spikes and climbs of a loss trace.

A trace is `loss` of shape (T,), in nats. Series are computed on the whole trace and cut to a window afterwards.
"""

import math
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.float64]

NUM_NEIGHBOURS_PER_SIDE = 12
NUM_PREDECESSORS = 24
EMA_ALPHA = 2 / 26
MAD_TO_SIGMA = 1.4826
SPIKE_SIGMAS = 6.0
SPIKE_HEIGHT = 0.1
ONSET_CLIMB = 0.1
WHOLE = slice(None)


def windows(total_steps: int) -> dict[str, slice]:
    """The updates of each window: all, the first 20 % (rounded up, as warmup lengths are), and the last 50 %.

    >>> windows(235)["early"], windows(235)["late"]
    (slice(0, 47, None), slice(117, 235, None))
    """
    early, late = slice(0, -(-total_steps // 5)), slice(total_steps // 2, total_steps)
    return {"whole": slice(0, total_steps), "early": early, "late": late}


def finite_prefix(loss: npt.ArrayLike) -> FloatArray:
    """The losses before the first NaN or infinity, as float64. (T,) -> (at most T,)."""
    array = float_vector(loss, "loss")
    broken = ~np.isfinite(array)
    return array[: broken.argmax()] if broken.any() else array


def neighbour_median(loss: FloatArray) -> FloatArray:
    """The level around each loss: the median of its 24 neighbours, 12 per side, without the loss itself. (T,) -> (T,).

    Period-2 bouncing does not move this level: 12 of the 24 neighbours are high and 12 are low. Of 25 values including
    the loss itself, the majority would be on the side of that loss.

    At the borders the median covers the neighbours that exist. On a steep trend it is off there by up to 6.5 updates'
    worth of the trend. Every second update there has an odd number of neighbours, so exact bouncing puts its level on
    the opposite side. A trace of one update has no neighbours: the level is NaN, and no metric uses it.
    """
    if not loss.size:
        return loss.copy()
    padded = np.pad(loss, NUM_NEIGHBOURS_PER_SIDE, constant_values=np.nan)
    centred = sliding_window_view(padded, 2 * NUM_NEIGHBOURS_PER_SIDE + 1)  # (T, 25)
    return _row_medians(np.delete(centred, NUM_NEIGHBOURS_PER_SIDE, axis=1))


def trailing_median(loss: FloatArray) -> FloatArray:
    """The median of each loss and its 24 predecessors; NaN for the first 24 updates. (T,) -> (T,)."""
    trailing = np.full(loss.shape, np.nan)
    if loss.size > NUM_PREDECESSORS:
        trailing[NUM_PREDECESSORS:] = _row_medians(sliding_window_view(loss, NUM_PREDECESSORS + 1))
    return trailing


def residual(loss: FloatArray) -> FloatArray:
    """The loss minus its `neighbour_median`, in nats. (T,) -> (T,).

    A centred median of 25 updates would follow lasting bouncing. With bouncing of 2, 5 and 10 sigma over 1000 updates
    and noise of sigma, it gives RMS / sigma of 1.91, 2.04 and 2.26. This residual gives 2.28, 5.17 and 10.2. The true
    values are 2.24, 5.10 and 10.05.
    """
    return loss - neighbour_median(loss)


def exponential_average(loss: FloatArray) -> FloatArray:
    """EMA_0 = l_0, EMA_t = EMA_{t-1} + (l_t - EMA_{t-1}) * 2/26. (T,) -> (T,)."""
    # A plain loop: importing scipy.signal for lfilter takes longer than a thousand of these.
    averages = accumulate(loss.tolist(), lambda average, value: average + EMA_ALPHA * (value - average))
    return np.fromiter(averages, dtype=np.float64, count=loss.size)


class LossSeries:
    """A loss trace and the series that its metrics use, each computed once on the whole trace.

    Args:
        loss: (T,), nats. Kept up to the last update before the first NaN or infinity.
        lr: (T,), cut in the same way. Without it, `onset_lr` is None.
        num_classes: C, at least 2; ln C is the unit.
    """

    def __init__(self, loss: npt.ArrayLike, lr: npt.ArrayLike | None = None, *, num_classes: int) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes={num_classes}: must be at least 2, because ln C is the unit")
        self.loss = finite_prefix(loss)
        rates = np.full(np.shape(loss), np.nan) if lr is None else float_vector(lr, "lr", length=np.size(loss))
        self.lr = rates[: self.loss.size]
        self.chance = math.log(num_classes)

    @cached_property
    def residual(self) -> FloatArray:
        """The loss minus the median of its neighbours, (T,), nats."""
        return residual(self.loss)

    @cached_property
    def spikes(self) -> FloatArray:
        """1 at a spike as `spike_rate` defines it, else 0; NaN for the first 24 updates. (T,)."""
        flags = np.full(self.loss.shape, np.nan)
        if self.loss.size <= NUM_PREDECESSORS:
            return flags
        before = sliding_window_view(self.loss, NUM_PREDECESSORS)[:-1]  # (T - 24, 24)
        median = _row_medians(before)
        rise = self.loss[NUM_PREDECESSORS:] - median
        # The MAD is expensive, so compute it only for updates above the threshold.
        high = np.flatnonzero(rise > SPIKE_HEIGHT * self.chance)
        deviation = np.median(np.abs(before[high] - median[high, None]), axis=1)
        flags[NUM_PREDECESSORS:] = 0.0
        flags[NUM_PREDECESSORS + high] = rise[high] > SPIKE_SIGMAS * MAD_TO_SIGMA * deviation
        return flags

    @cached_property
    def climb(self) -> FloatArray:
        """The EMA minus its lowest value so far, (T,), in units of ln C."""
        average = exponential_average(self.loss)
        return (average - np.minimum.accumulate(average)) / self.chance


def _row_medians(rows: FloatArray) -> FloatArray:
    """The median of each row without its NaNs, (T, n) -> (T,). For short rows, sorting is faster than `np.median`."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = rows.shape[1] - np.isnan(ordered).sum(axis=1)
    row = np.arange(len(rows))
    median: FloatArray = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return median


def finite_or_none(value: float | None) -> float | None:
    """`value`, or None if it is NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def float_vector(values: npt.ArrayLike, name: str, *, length: int | None = None) -> FloatArray:
    """`values` as float64.

    Raises:
        ValueError: the shape is not (T,), or not (`length`,) if `length` is given.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: must be (T,), one value per update")
    if length is not None and array.size != length:
        raise ValueError(f"{name} has {array.size} values, but the loss trace has {length} updates")
    return array
