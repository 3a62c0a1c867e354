"""Parallel coordinates: an axis for every value that the sweep varied, and one for quality; a line for every run.

The page draws them itself, because Vega-Lite has no brush on parallel axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from warmup_lab.figures.charts import log_ticks
from warmup_lab.figures.layout import Layout, Row, unique
from warmup_lab.figures.over_warmup import capitalized, with_unit
from warmup_lab.figures.seed_dots import SeedValues
from warmup_lab.metrics import smaller_is_better, title_and_unit

MAX_LINES = 1500
"""Most lines; beyond, the first seeds of each arm are drawn."""
_MAX_TICKS = 10
"""An axis with at most so many values has them at equal distances, each with its label."""
_MARGIN = 0.04

Positions = Callable[[Any], float]


def parallel_coordinates(layout: Layout, seeds: SeedValues, metric: str) -> Row | None:
    """`axes` and `lines`, or None if the sweep varied less than two values, or no run has the metric.

    - An axis has a `title` and `ticks`, pairs of a position between 0 and 1 and a label. Quality is the last axis.
    - A line has `arm`, `seed`, `failed`, `at` (its position on each axis), `value` (of the metric) and `good`, from 0
      for the worst run to 1 for the best.
    """
    swept = [(title, values) for title, values in _swept(layout.arms) if len(set(values)) > 1]
    runs = _runs(layout.arms, seeds, metric)
    if len(swept) < 2 or not runs:
        return None
    axes, positions = [], []
    for title, values in swept:
        position, ticks = ordered_axis(values) if len(set(values)) <= _MAX_TICKS else number_axis(values, title)
        axes.append({"title": title, "ticks": ticks})
        positions.append([position(value) for value in values])
    quality, ticks = number_axis([value for _, _, value in runs], "")
    title, unit = title_and_unit(metric)
    axes.append({"title": capitalized(with_unit(title, unit)), "ticks": ticks})
    sign = -1 if smaller_is_better(metric) else 1
    ranks = {value: rank for rank, value in enumerate(sorted({sign * value for _, _, value in runs}))}
    lines = [
        {
            "arm": layout.arms[row]["name"],
            "seed": seed,
            "failed": seed in seeds.failed.get(layout.arms[row]["name"], ()),
            "at": [round(own[row], 4) for own in positions] + [round(quality(value), 4)],
            "value": float(f"{value:.4g}"),
            "good": round(ranks[sign * value] / max(1, len(ranks) - 1), 3),
        }
        for row, seed, value in runs
    ]
    return {"axes": axes, "lines": lines, "metric": title}


def _runs(arms: Sequence[Row], seeds: SeedValues, metric: str) -> list[tuple[int, int, float]]:
    """Row of the arm, seed and value of the runs to draw."""
    read = seeds.of(metric)
    most = max(1, MAX_LINES // max(1, len(arms)))
    return [(row, seed, value) for row, arm in enumerate(arms) for seed, value in sorted(read(arm).items())[:most]]


def _swept(arms: Sequence[Row]) -> list[tuple[str, list[Any]]]:
    """Title of each setting and its value in every arm: schedule, warmup, lr, number of updates, other overrides."""
    several_shapes = len({arm["warmup"] for arm in arms if arm["warmup_steps"]}) > 1
    settings = [dict(part.partition("=")[::2] for part in arm["setting"].split()) for arm in arms]
    keys = unique(key for own in settings for key in own)
    return [
        ("Schedule", [arm["scheduler"] for arm in arms]),
        ("Warmup shape", [arm["warmup"] if several_shapes and arm["warmup_steps"] else "none" for arm in arms]),
        ("Warmup (% of updates)", [float(f"{100 * arm['warmup_steps'] / arm['total_steps']:.3g}") for arm in arms]),
        ("Peak learning rate", [arm["lr"] for arm in arms]),
        ("Updates", [arm["total_steps"] for arm in arms]),
        *(
            (key.rpartition(".")[2].replace("_", " "), [_value(own.get(key, "default")) for own in settings])
            for key in keys
        ),
    ]


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def ordered_axis(values: Iterable[Any]) -> tuple[Positions, list[tuple[float, str]]]:
    """Positions at equal distances: numbers in rising order, then words in the order of appearance."""
    found = list(dict.fromkeys(values))
    numbers = sorted(value for value in found if not isinstance(value, str))
    order = [*numbers, *(value for value in found if isinstance(value, str))]
    places = {value: _inside(rank / max(1, len(order) - 1)) for rank, value in enumerate(order)}
    ticks = [(place, value if isinstance(value, str) else f"{value:g}") for value, place in places.items()]
    return places.__getitem__, ticks


def number_axis(values: Sequence[Any], title: str) -> tuple[Positions, list[tuple[float, str]]]:
    """Positions along a scale, logarithmic for learning rates."""
    is_log = title == "Peak learning rate"
    scale: Callable[[float], float] = math.log if is_log else float
    low, high = min(values), max(values)
    width = scale(high) - scale(low) or 1.0

    def position(value: float) -> float:
        return _inside((scale(value) - scale(low)) / width)

    marks = log_ticks(low, high) if is_log else even_ticks(low, high)
    return position, [(position(mark), f"{mark:g}") for mark in marks]


def _inside(share: float) -> float:
    """From 0 to 1 into the axis, with a margin at both ends."""
    return round(_MARGIN + (1 - 2 * _MARGIN) * share, 4)


def even_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about 5 of them.

    >>> even_ticks(0.28, 0.71)
    [0.3, 0.4, 0.5, 0.6, 0.7]
    """
    if high <= low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda one: abs((high - low) / one - 4.5))
    return [float(f"{step * n:.6g}") for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
