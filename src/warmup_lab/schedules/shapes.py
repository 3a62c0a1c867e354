"""Warmup shapes: functions from progress in [0, 1] to the fraction of the peak learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

Multiplier = Callable[[int], float]
Shape = Callable[[float], float]
"""Progress through a phase, in [0, 1], to a multiplier."""


# --------------------------------------------------------------------------------------------------- shapes


def linear(progress: float) -> float:
    """`p`: the usual one (Goyal et al. 2017; Devlin et al. 2019). T_eff of W updates: (W + 1) / 2."""
    return progress


def cosine(progress: float) -> float:
    """`(1 - cos(pi p)) / 2`: slow at first, fastest in the middle, slow again; T_eff about W / 2.

    >>> [round(cosine(p), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.1464, 0.5, 0.8536]
    """
    return 0.5 * (1.0 - math.cos(math.pi * progress))


def polynomial(progress: float, power: float) -> float:
    """`p ** power`, power above 0: 2 holds the rate down for longer than linear, 0.5 for less.

    T_eff about W power / (power + 1). As optax's `polynomial_schedule`.

    >>> [polynomial(p, 2.0) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.0625, 0.25, 0.5625]
    """
    return float(progress**power)


def exponential(progress: float, rate: float) -> float:
    """`(1 - exp(-k p)) / (1 - exp(-k))`, k = rate: fast at first for k above 0, fast at the end for k below.

    The exponential warmup of Ma & Yarats 2021, `1 - exp(-t / tau)` with tau = W / k, divided by its value at the end,
    since it never reaches 1 itself. T_eff about W (1 / k - 1 / (exp(k) - 1)).

    >>> [round(exponential(p, 5.0), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.7183, 0.9241, 0.9831]
    """
    return math.expm1(-rate * progress) / math.expm1(-rate)


def sqrt(progress: float) -> float:
    """`1 - sqrt(1 - p)`: slow at first and steepest at the end; T_eff about 2 W / 3.

    Equals `warmup_type="1-sqrt"` of `transformers.get_wsd_schedule`.

    >>> [round(sqrt(p), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.134, 0.2929, 0.5]
    """
    return 1.0 - math.sqrt(1.0 - progress)


def step(_progress: float, level: float) -> float:
    """`level` until the warmup ends, then the peak at once; T_eff W (1 - level).

    He et al. 2016 started their ResNet-110 so, at a tenth; Goyal et al. 2017 call it constant warmup.
    """
    return level


WARMUPS: dict[str, Callable[..., float]] = {
    "linear": linear,
    "cosine": cosine,
    "polynomial": polynomial,
    "exponential": exponential,
    "sqrt": sqrt,
    "step": step,
}
_PARAMETER = {"polynomial": "power", "exponential": "rate", "step": "level"}


def make_shape(name: str, **parameters: float) -> Shape:
    """The shape called `name`, with `power`, `rate` or `level` bound where it has one."""
    wanted = _PARAMETER.get(name)
    return partial(WARMUPS[name], **{wanted: parameters[wanted]}) if wanted else WARMUPS[name]
