"""The test behind `onset_step`: has the smoothed loss risen by more than its own noise explains?"""

import math

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NUM_AVERAGED = 25
MIN_UPDATES = 50
BLOCK = 5
NOISE_QUANTILE = 0.8
NOISE_WINDOW = 100
NOISE_STRIDE = 25
MIN_HALF_WIDTH = 0.005  # in units of H; a rise below 1 % of H is never an onset
# The 80 % quantile of |D| for Gaussian noise of standard deviation 1: 1.2816 sqrt(6 / 5).
_GAUSSIAN_QUANTILE = 1.2815515655446004 * math.sqrt(6 / BLOCK)


def has_risen(loss: FloatArray, *, entropy: float) -> BoolArray:
    """Whether the lower bound of the smoothed loss is above the lowest upper bound so far. (T,) -> (T,).

    `onset_step` has the formula and the measured error rates. All False under 50 updates.

    Args:
        loss: (T,), finite, nats.
        entropy: The unit H, nats.
    """
    if loss.size < MIN_UPDATES:
        return np.zeros(loss.shape, dtype=np.bool_)
    count = np.minimum(np.arange(1, loss.size + 1), NUM_AVERAGED)
    smoothed = np.convolve(loss, np.ones(NUM_AVERAGED))[: loss.size] / count
    half_width = threshold(loss.size) * noise_of_averages(loss) / np.sqrt(count)
    half_width = np.maximum(half_width, MIN_HALF_WIDTH * entropy)
    risen: BoolArray = smoothed - half_width > np.minimum.accumulate(smoothed + half_width)
    return risen


def threshold(num_updates: int) -> float:
    """Half-width of the bounds in standard errors, for a trace of `num_updates`.

    It grows with the number of chances for a false alarm. Fitted to simulated AR(1) noise with coefficient 0.5, where
    1 % false alarms need 3.7, 3.95, 4.3, 4.75 and 5.0 for 120, 341, 1000, 3600 and 10,000 updates.
    """
    return 2.2 + 0.33 * math.log(num_updates)


def noise_of_averages(loss: FloatArray) -> FloatArray:
    """The standard deviation s_t for which s_t / sqrt(n) is about the noise of a mean of n losses. (T,) -> (T,), nats.

    It comes from second differences of means of 5 losses, which correlation between neighbouring losses enlarges as it
    does the noise of longer means: white noise of standard deviation 1 gives 1.0, AR(1) noise with 0.5 gives 1.3.
    The larger of two values: the one of the whole trace, and the one of the last 100 differences before update t,
    because the noise of a loss changes while it falls. The trace has at least 50 updates.
    """
    means = np.convolve(loss, np.ones(BLOCK), mode="valid") / BLOCK
    size = np.abs(means[2 * BLOCK :] - 2 * means[BLOCK:-BLOCK] + means[: -2 * BLOCK])
    noise = np.full(loss.shape, np.quantile(size, NOISE_QUANTILE))
    if size.size >= NOISE_WINDOW:
        local = np.quantile(sliding_window_view(size, NOISE_WINDOW)[::NOISE_STRIDE], NOISE_QUANTILE, axis=1)
        # The first window is complete at this update. Earlier updates use it too.
        complete = NOISE_WINDOW + 3 * BLOCK - 2
        latest = (np.arange(loss.size) - complete) // NOISE_STRIDE
        noise = np.maximum(noise, local[latest.clip(0, local.size - 1)])
    return noise / _GAUSSIAN_QUANTILE
