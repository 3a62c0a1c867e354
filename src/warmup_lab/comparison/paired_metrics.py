"""Metrics that need the reference arm's run of the same seed."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import reference_of
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.statistics import Floats
from warmup_lab.comparison.table import Sweep
from warmup_lab.metrics import (
    PAIRED_METRICS,
    excess_of_residuals,
    finite_prefix,
    first_below,
    half_way_loss,
    residual,
    trailing_median,
)
from warmup_lab.runs import is_finished


def reference_arms(runs: pd.DataFrame, reference: str | None) -> dict[str, str]:
    """The arm that each arm is compared with, by name; a reference is its own. An arm that has none is missing."""
    arms = read_runs(runs, metric=None).arms
    found = {arm.name: reference_of(arms, index, reference) for index, arm in enumerate(arms)}
    return {name: arms[index].name for name, index in found.items() if isinstance(index, int)}


def with_paired_metrics(sweep: Sweep, references: dict[str, str]) -> pd.DataFrame:
    """The table of runs with `PAIRED_METRICS`: each run against its reference arm's run of the same seed.

    `excess` is in nats, `updates_to_target` in updates; `warmup_lab.metrics` has the formulas. NaN where one of the two
    runs did not learn, because a collapsed reference has the smoothest loss of all.
    """
    runs = sweep.runs
    learned = runs[runs["status"].map(is_finished).astype(bool) & ~runs["failed_to_learn"].astype(bool)]
    ids = {(arm, seed): run for arm, seed, run in zip(learned["arm"], learned["seed"], learned["run_id"], strict=True)}
    losses = {run: sweep.traces[run]["loss"] for run in ids.values() if run in sweep.traces}
    columns: dict[str, list[float]] = {name: [] for name in PAIRED_METRICS}
    empty = np.empty(0)

    @cache
    def of_reference(run: str) -> tuple[Floats, float]:
        """Residual and target of a reference arm's run, shared by all arms that are compared with it."""
        loss = losses.get(run, empty)
        return residual(finite_prefix(loss)), half_way_loss(loss)

    for arm, seed in zip(runs["arm"], runs["seed"], strict=True):
        own = finite_prefix(losses.get(ids.get((arm, seed), ""), empty))
        reference, target = of_reference(ids.get((references.get(arm, ""), seed), ""))
        columns["excess"].append(_number(excess_of_residuals(residual(own), reference)))
        columns["updates_to_target"].append(_number(first_below(trailing_median(own), target)))
    return runs.drop(columns=["error", "seconds"]).assign(**columns, error=runs["error"], seconds=runs["seconds"])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
