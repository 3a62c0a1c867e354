"""How much of the variance of final quality the learning rate, the warmup and their interaction explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warmup_lab.comparison.evidence import Design
from warmup_lab.comparison.statistics import Floats
from warmup_lab.system import JsonRecord


@dataclass(frozen=True)
class VarianceSplit(JsonRecord):
    """Shares of the sum of squares of final quality over the stated ranges; they add up to 1."""

    lr: float
    warmup: float
    interaction: float
    rest: float
    """Seeds, other settings and noise."""
    lrs: tuple[float, ...]
    warmup_percents: tuple[float, ...]
    num_runs: int


def split_variance(compared: Floats, design: Design) -> VarianceSplit | None:
    """Eta squared of learning rate, warmup and their interaction, on the values that comparisons use `(arms, seeds)`.

    Formula: sums of squares of a balanced two-way layout, each over the total sum of squares (Fisher 1925). Strata
    (schedulers, settings) and seeds are replicates. None unless every learning rate was run with every length of the
    warmup in every stratum, and at least one seed has all of its runs.
    """
    if not design.line_strata or len(design.line_strata[0]) < 2:
        return None
    lrs = design.lines[design.line_strata[0][0]].lrs
    lines = [[design.lines[number] for number in numbers] for numbers in design.line_strata]
    if any(line.lrs != lrs for stratum in lines for line in stratum):
        return None
    values = np.stack([[compared[list(line.rows)] for line in stratum] for stratum in lines])  # (S, W, L, seeds)
    values = values[..., ~np.isnan(values).any(axis=(0, 1, 2))]
    if not values.size or np.ptp(values) == 0:
        return None
    cells = np.moveaxis(values, 0, -1).reshape(values.shape[1], values.shape[2], -1)  # (W, L, replicates)
    warmup, lr, interaction = _sums_of_squares(cells)
    total = float(((cells - cells.mean()) ** 2).sum())
    return VarianceSplit(
        lr=lr / total,
        warmup=warmup / total,
        interaction=interaction / total,
        rest=1 - (lr + warmup + interaction) / total,
        lrs=lrs,
        warmup_percents=tuple(100 * line.arm.warmup_steps / line.arm.total_steps for line in lines[0]),
        num_runs=cells.size,
    )


def _sums_of_squares(cells: Floats) -> tuple[float, float, float]:
    """Of the first factor, the second, and their interaction, for cells `(first, second, replicates)`."""
    mean, replicates = cells.mean(), cells.shape[2]
    first, second = cells.mean(axis=(1, 2)) - mean, cells.mean(axis=(0, 2)) - mean
    both = cells.mean(axis=2) - mean - first[:, None] - second[None, :]
    return (
        float(replicates * cells.shape[1] * (first**2).sum()),
        float(replicates * cells.shape[0] * (second**2).sum()),
        float(replicates * (both**2).sum()),
    )
