"""Shapes: functions from the progress through a phase to a factor. Warmup shapes rise, decay shapes fall.

p is the progress through the phase, 0 at its start and 1 at its end. A warmup shape reaches 1 at p = 1.

T_eff measures how much a warmup holds back: the sum over its updates of 1 - factor (Ma & Yarats 2021). Each warmup
shape states its T_eff for a warmup of W updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

Multiplier = Callable[[int], float]
"""0-based index of the update to learning rate / peak learning rate."""
Shape = Callable[[float], float]
"""Progress through a phase, in [0, 1], to a factor."""


# ---------------------------------------------------------------------------------------------- warmup shapes


def linear(progress: float) -> float:
    """`p`: the default warmup. T_eff: (W + 1) / 2.

    Source: Goyal et al. 2017; Devlin et al. 2019.
    """
    return progress


def cosine(progress: float) -> float:
    """`(1 - cos(pi p)) / 2`: slow at the start, fastest in the middle, slow at the end. T_eff: about W / 2.

    >>> [round(cosine(p), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.1464, 0.5, 0.8536]
    """
    return 0.5 * (1.0 - math.cos(math.pi * progress))


def polynomial(progress: float, power: float) -> float:
    """`p ** power`, power above 0. T_eff: about W power / (power + 1).

    A power of 2 keeps the rate low for longer than linear, a power of 0.5 for less long.

    Source: `polynomial_schedule` of optax.

    >>> [polynomial(p, 2.0) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.0625, 0.25, 0.5625]
    """
    return float(progress**power)


def exponential(progress: float, rate: float) -> float:
    """`(1 - exp(-k p)) / (1 - exp(-k))`, k = rate. T_eff: about W (1 / k - 1 / (exp(k) - 1)).

    Fast at the start for k above 0, fast at the end for k below 0.

    Source: the exponential warmup of Ma & Yarats 2021, `1 - exp(-t / tau)` with tau = W / k. Theirs never reaches 1, so
    it is divided here by its value at the end.

    >>> [round(exponential(p, 5.0), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.7183, 0.9241, 0.9831]
    """
    return math.expm1(-rate * progress) / math.expm1(-rate)


def sqrt(progress: float) -> float:
    """`1 - sqrt(1 - p)`: slow at the start, steepest at the end. T_eff: about 2 W / 3.

    Source: `warmup_type="1-sqrt"` of `transformers.get_wsd_schedule`, which it equals.

    >>> [round(sqrt(p), 4) for p in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.134, 0.2929, 0.5]
    """
    return 1.0 - math.sqrt(1.0 - progress)


def step(_progress: float, level: float) -> float:
    """`level` until the warmup ends, then a jump to the peak. T_eff: W (1 - level).

    Source: He et al. 2016, who trained ResNet-110 with a level of 0.1; Goyal et al. 2017 call it constant warmup.
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
SHAPE_PARAMETERS = {"polynomial": "power", "exponential": "rate", "step": "level"}
"""The parameter of each warmup shape that has one."""


def make_shape(name: str, **parameters: float) -> Shape:
    """The warmup shape `name`, with its own parameter (`power`, `rate` or `level`) bound if it has one."""
    parameter = SHAPE_PARAMETERS.get(name)
    return partial(WARMUPS[name], **{parameter: parameters[parameter]}) if parameter else WARMUPS[name]


# ----------------------------------------------------------------------------------------------- decay shapes


def constant(_progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear_decay(progress: float, floor: float = 0.0) -> float:
    """`floor + (1 - floor) (1 - p)`; `floor` from p = 1 on."""
    return floor + (1.0 - floor) * max(0.0, 1.0 - progress)


def cosine_decay(progress: float, num_cycles: float = 0.5, floor: float = 0.0) -> float:
    """`floor + (1 - floor) (1 + cos(2 pi num_cycles p)) / 2`; with 0.5 cycles it falls from 1 to `floor`."""
    factor = 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress))
    return max(0.0, factor * (1.0 - floor) + floor)


def cosine_restarts(progress: float, num_cycles: int) -> float:
    """`(1 + cos(pi (num_cycles p mod 1))) / 2`; 0 from p = 1 on."""
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((num_cycles * progress) % 1.0))))


def polynomial_decay(progress: float, power: float, floor: float) -> float:
    """`(1 - floor) (1 - p) ** power + floor`; `floor` from p = 1 on."""
    return float((1.0 - floor) * max(0.0, 1.0 - progress) ** power + floor)


def sqrt_decay(progress: float) -> float:
    """`1 - sqrt(p)`: steepest at the start."""
    return 1.0 - math.sqrt(progress)
