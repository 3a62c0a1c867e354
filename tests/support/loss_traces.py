"""Loss traces with known properties, and slow reference implementations written from the definitions."""

import math
import statistics

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.series import LossSeries

LN2 = math.log(2)
NAN = float("nan")
FloatArray = npt.NDArray[np.float64]

# On both sides of every threshold: 10 (spread), 13 (half a median), 25 (a median), 50 (an onset).
LENGTHS = [1, 2, 3, 9, 10, 12, 13, 14, 23, 24, 25, 26, 37, 48, 49, 50, 235]


def noise(num_updates: int, *, seed: int = 0, sigma: float = 0.1, level: float = 0.6) -> FloatArray:
    return level + sigma * np.random.default_rng(seed).standard_normal(num_updates)


def autoregressive_noise(num_runs: int, num_updates: int, *, coefficient: float, seed: int = 0) -> FloatArray:
    """Stationary AR(1) noise with standard deviation 1; white noise if the coefficient is 0. (`num_runs`, T)."""
    noise = np.random.default_rng(seed).standard_normal((num_runs, num_updates))
    for step in range(1, num_updates if coefficient else 0):
        noise[:, step] = coefficient * noise[:, step - 1] + math.sqrt(1 - coefficient**2) * noise[:, step]
    return noise


def learning_curve(num_updates: int, *, seed: int = 0) -> FloatArray:
    """A falling, noisy loss with ties, a catapult and a few spikes."""
    generator = np.random.default_rng(seed)
    loss = 0.2 + 0.6 * np.exp(-np.arange(num_updates) / 40) + 0.05 * generator.standard_normal(num_updates)
    loss[generator.random(num_updates) < 0.03] += 0.8
    loss[6:12] += 0.7
    return np.round(loss, 2)


def series(loss: npt.ArrayLike, lr: npt.ArrayLike | None = None) -> LossSeries:
    return LossSeries(loss, lr, entropy=LN2)


def flat_with(values: dict[int, float], *, num_updates: int, level: float = 0.5) -> FloatArray:
    loss = np.full(num_updates, level)
    for step, value in values.items():
        loss[step] = value
    return loss


def burst(amplitude: float, *, before: int = 20, after: int = 20) -> list[float]:
    """Flat at 0.5, except for 12 updates that bounce by +-amplitude. These are too few to move a median of 24."""
    return [0.5] * before + [0.5 + amplitude, 0.5 - amplitude] * 6 + [0.5] * after


def reference_level(loss: list[float], step: int) -> float:
    neighbours = loss[max(0, step - 12) : step] + loss[step + 1 : step + 13]
    return statistics.median(neighbours) if neighbours else NAN


def catapult(num_updates: int = 100) -> FloatArray:
    """0.7, then 1.2 for the five updates 10..14, then 0.3."""
    return np.concatenate([np.full(10, 0.7), np.full(5, 1.2), np.full(num_updates - 15, 0.3)])
