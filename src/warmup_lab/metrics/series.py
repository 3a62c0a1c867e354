"""The series that the oscillation metrics share: medians, averages, spikes, climbs and rises of a loss trace.

A trace is `loss` of shape (T,), in nats. Series are computed on the whole trace and cut to a window afterwards.
"""

import math
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from warmup_lab.metrics.rises import has_risen

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

NUM_NEIGHBOURS_PER_SIDE = 12
NUM_PREDECESSORS = 24
EMA_ALPHA = 2 / 26
MAD_TO_SIGMA = 1.4826
SPIKE_SIGMAS = 6.0
SPIKE_HEIGHT = 0.1  # in units of H
SPIKE_LEVEL = 0.5  # in units of H
MIN_SPIKE_UPDATES = 26
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
    sides = centred[:, :NUM_NEIGHBOURS_PER_SIDE], centred[:, NUM_NEIGHBOURS_PER_SIDE + 1 :]
    return _row_medians(np.concatenate(sides, axis=1))


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
        entropy: H, the entropy of the training labels in nats, above 0. It is the unit.

    Raises:
        ValueError: a shape is wrong, or `entropy` is not a positive number.
    """

    def __init__(self, loss: npt.ArrayLike, lr: npt.ArrayLike | None = None, *, entropy: float) -> None:
        self.entropy = positive_entropy(entropy)
        self.loss = finite_prefix(loss)
        rates = np.full(np.shape(loss), np.nan) if lr is None else float_vector(lr, "lr", length=np.size(loss))
        self.lr = rates[: self.loss.size]

    @cached_property
    def level(self) -> FloatArray:
        """The `neighbour_median`, (T,), nats."""
        return neighbour_median(self.loss)

    @cached_property
    def residual(self) -> FloatArray:
        """The loss minus the median of its neighbours, (T,), nats."""
        return self.loss - self.level

    @cached_property
    def spikes(self) -> BoolArray:
        """Whether each update is a spike as `spike_rate` defines it, (T,). All False under 26 updates."""
        flags = np.zeros(self.loss.shape, dtype=np.bool_)
        if self.loss.size < MIN_SPIKE_UPDATES:
            return flags
        # Late in most runs the loss is too low for a spike. The medians are expensive, so compute them only above.
        high = np.flatnonzero(self.loss > SPIKE_LEVEL * self.entropy)
        level, deviation = _surroundings(self.loss, high)
        rise = self.loss[high] - level
        lowest = np.append(np.inf, np.minimum.accumulate(self.loss)[:-1])
        height = SPIKE_HEIGHT * self.entropy
        is_sudden = (rise > height) & (rise > SPIKE_SIGMAS * MAD_TO_SIGMA * deviation)
        flags[high] = is_sudden & (self.loss[high] - lowest[high] > height)
        return flags

    @cached_property
    def climb(self) -> FloatArray:
        """The EMA minus its lowest value so far, (T,), in units of H."""
        average = exponential_average(self.loss)
        return (average - np.minimum.accumulate(average)) / self.entropy

    @cached_property
    def has_risen(self) -> BoolArray:
        """Whether the smoothed loss is above an earlier value by more than noise explains, (T,); see `onset_step`."""
        return has_risen(self.loss, entropy=self.entropy)


def _row_medians(rows: FloatArray) -> FloatArray:
    """The median of each row without its NaNs, (T, n) -> (T,); NaN if it has no other values.

    For short rows, sorting is faster than `np.median`.
    """
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.full(len(rows), rows.shape[1])
    short = np.flatnonzero(np.isnan(ordered[:, -1]))
    count[short] -= np.isnan(ordered[short]).sum(axis=1)
    row = np.arange(len(rows))
    median: FloatArray = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return median


def _surroundings(loss: FloatArray, steps: IntArray) -> tuple[FloatArray, FloatArray]:
    """Median of the 24 losses around each of these updates, and the median distance from it. (n,) -> (n,), (n,).

    Away from the borders this is the `neighbour_median`. At a border the 25 updates shift inwards, always by an even
    number, so 12 of the 24 are on each side of period-2 bouncing. A trace needs 26 updates for that.
    """
    last = loss.size - 2 * NUM_NEIGHBOURS_PER_SIDE - 1
    start = np.clip(steps - NUM_NEIGHBOURS_PER_SIDE, steps % 2, last - (last - steps) % 2)
    around = sliding_window_view(loss, 2 * NUM_NEIGHBOURS_PER_SIDE + 1)[start]
    around[np.arange(steps.size), steps - start] = np.nan
    level = _row_medians(around)
    return level, _row_medians(np.abs(around - level[:, None]))


def positive_entropy(entropy: float) -> float:
    """`entropy`, the unit of the metrics, if it is a positive number.

    Raises:
        ValueError: it is not.
    """
    if not (entropy > 0 and math.isfinite(entropy)):
        raise ValueError(f"entropy={entropy}: must be above 0, because the entropy of the training labels is the unit")
    return entropy


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
