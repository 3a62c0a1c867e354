"""Where the loss of a ramp falls, and where it climbs back towards guessing."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DEPTH = 0.8
"""The loss must have fallen below this times that of guessing."""
_NOISE = 4.0
"""Smallest climb that counts, in standard deviations of the smoothed loss."""
_BLOCK = 5
_MIN_WINDOW, _WINDOW_SHARE = 5, 20


def climb_lr(loss: Floats, lr: Floats, guess_loss: float) -> float | None:
    """The lr at which the smoothed loss starts to climb from its lowest point half-way back to guessing.

    Formula: m is the running median of w losses, w = max(5, T / 20). It has to fall below 0.8 H, and to reach
    (min m + H) / 2 afterwards. The lr is that of the last update before that at which m is still below a quarter of
    the way. Half of the way has to be at least 4 standard deviations of m: 1.25 s sqrt(5 / w), where s is the noise of
    means of 5 losses up to the lowest point, from the median of their second differences.

    Simulated ramps of 60 to 300 updates whose loss falls to 0.1 H, 300 each, with white noise:

    | noise | 0.05 H | 0.1 H | 0.2 H | 0.3 H |
    |---|---|---|---|---|
    | ramps that only fall and have a climb | 0 % | 0 % | at most 0.3 % | at most 5.3 % |
    | found, broken at three quarters of 60 updates | 100 % | 86 % | 33 % | 12 % |
    | the same, 200 updates | 100 % | 100 % | 97 % | 51 % |

    The date is late by 3 to 4 % of the ramp.

    Args:
        loss: (T,), nats; not finite after a divergence.
        lr: (T,).
        guess_loss: H, the loss of guessing, nats.
    """
    smoothed, window = _running_median(loss)
    if not smoothed.size:
        return None
    lowest = int(smoothed.argmin())
    half = (guess_loss - float(smoothed[lowest])) / 2
    noise = 1.25 * _noise_of_means(loss[: max(lowest + window, 3 * _BLOCK)]) * math.sqrt(_BLOCK / window)
    if smoothed[lowest] >= _DEPTH * guess_loss or half < _NOISE * noise:
        return None
    after = smoothed[lowest:]
    reached = np.flatnonzero(after >= smoothed[lowest] + half)
    if not reached.size:
        return None
    below = np.flatnonzero(after[: reached[0]] < smoothed[lowest] + half / 2)
    return float(lr[lowest + int(below[-1]) + window - 1])


def fall_lr(loss: Floats, lr: Floats, guess_loss: float) -> float | None:
    """The lr at which the smoothed loss is first half-way down from guessing to its lowest point.

    The running median is that of `climb_lr`, and the lr that of the middle of its window. None if it did not fall below
    0.8 H. Arguments as in `climb_lr`.
    """
    smoothed, window = _running_median(loss)
    if not smoothed.size or smoothed.min() >= _DEPTH * guess_loss:
        return None
    half = (guess_loss + float(smoothed.min())) / 2
    return float(lr[int(np.flatnonzero(smoothed <= half)[0]) + window // 2])


def _running_median(loss: Floats) -> tuple[Floats, int]:
    """Medians of w = max(5, T / 20) losses, up to the first that is not finite, and w. Empty if there are too few."""
    size = int(np.isfinite(loss).cumprod().sum())
    window = max(_MIN_WINDOW, size // _WINDOW_SHARE)
    if size < 3 * window + 2 * _BLOCK:
        return np.zeros(0), window
    return np.median(sliding_window_view(loss[:size], window), axis=1), window


def _noise_of_means(loss: Floats) -> float:
    """Standard deviation of a mean of 5 losses, from second differences of such means; a trend hardly matters."""
    means = np.convolve(loss, np.ones(_BLOCK), mode="valid") / _BLOCK
    differences = means[2 * _BLOCK :] - 2 * means[_BLOCK:-_BLOCK] + means[: -2 * _BLOCK]
    return float(np.median(np.abs(differences))) / (0.6745 * math.sqrt(6)) if differences.size else math.inf
