"""The metric of every run, as the charts draw it: a dot for every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from warmup_lab.comparison import metric_kind, read_runs
from warmup_lab.figures.charts import rounded
from warmup_lab.figures.layout import Row
from warmup_lab.figures.palette import WHITE
from warmup_lab.metrics import smaller_is_better

Values = dict[int, float]
ReadSeeds = Callable[[Row], Values]
"""Arm -> seed -> value."""


@dataclass(frozen=True)
class SeedValues:
    """The metrics of all runs."""

    by_metric: dict[str, dict[str, Values]]
    """Metric -> arm -> seed -> value. Failed runs count as guessing, or are absent where they are only a rank."""
    failed: dict[str, set[int]]
    """Arm -> the seeds that failed to learn."""

    def of(self, metric: str) -> ReadSeeds:
        values = self.by_metric.get(metric, {})
        return lambda arm: values.get(arm["name"], {})

    def minus_reference(self, metric: str) -> ReadSeeds:
        """The paired differences of an arm from its reference; none for the reference itself."""
        values = self.by_metric.get(metric, {})

        def read(arm: Row) -> Values:
            reference = values.get(arm["verdict"].get("reference") or "", {})
            own = {} if arm["verdict"].get("reference") == arm["name"] else values.get(arm["name"], {})
            return {seed: value - reference[seed] for seed, value in own.items() if seed in reference}

        return read


NO_SEEDS = SeedValues({}, {})


def seed_values(runs: pd.DataFrame, metrics: Sequence[str]) -> SeedValues:
    """The values of the table of runs that the report builds. Unknown metrics are left out."""
    by_metric = {}
    for metric in metrics:
        if metric not in runs:
            continue
        table = read_runs(runs, metric)
        is_number = metric_kind(metric) != "rank"
        values = table.compared(metric, smaller_is_better=smaller_is_better(metric)) if is_number else table.values
        shown = np.isfinite(values) if is_number else table.usable
        by_metric[metric] = {
            arm.name: {table.seeds[column]: float(values[row, column]) for column in np.flatnonzero(shown[row])}
            for row, arm in enumerate(table.arms)
        }
    table = read_runs(runs, None)
    failed = {
        arm.name: {table.seeds[column] for column in np.flatnonzero(table.failed[row])}
        for row, arm in enumerate(table.arms)
    }
    return SeedValues(by_metric, failed)


def dot_rows(table: Sequence[Row], values: Sequence[Values], seeds: SeedValues, width: float) -> list[Row]:
    """A row per arm of `table` with the lists `dot_x`, `y`, `seed` and `fill`; `values` holds those of each arm.

    The dots of an arm are spread over `width` around its position, in the order of the seeds. A run that failed is
    hollow.
    """
    rows = []
    for row, own in zip(table, values, strict=True):
        if own:
            order = sorted(own)
            spread = np.linspace(-width / 2, width / 2, len(order)) if len(order) > 1 else np.zeros(1)
            failed = seeds.failed.get(row["arm"], set())
            rows.append(
                {
                    "line": row["line"],
                    "arm": row["arm"],
                    "dot_x": rounded(row["x"] + spread),
                    "y": rounded(np.array([own[seed] for seed in order])),
                    "seed": order,
                    "fill": [WHITE if seed in failed else row["colour"] for seed in order],
                }
            )
    return rows
