"""Metrics that need the reference arm's run of the same seed."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd

from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import compare
from warmup_lab.metrics import (
    PAIRED_METRICS,
    excess_of_residuals,
    finite_prefix,
    first_below,
    half_way_loss,
    residual,
    trailing_median,
)

# ------------------------------------------------------------------------------ metrics that need two runs


def reference_arms(runs: pd.DataFrame, reference: str | None) -> dict[str, str]:
    """The arm that each arm is compared with; an arm that has none is missing."""
    # Which arm that is does not depend on the metric, and the sweep's own metric may need to know it first.
    verdicts = compare(runs.assign(none=np.nan), metric="none", reference=reference).verdicts
    return {verdict.arm: verdict.reference for verdict in verdicts if verdict.reference is not None}


def with_paired_metrics(sweep: Sweep, references: dict[str, str]) -> pd.DataFrame:
    """The table of runs with `PAIRED_METRICS`: each run against its reference arm's run of the same seed.

    Null where one of the two did not learn: a collapsed reference is the smoothest there is.
    """
    runs = sweep.runs
    learned = runs[(runs["status"] != "error") & ~runs["failed_to_learn"].astype(bool)]
    ids = {(arm, seed): run for arm, seed, run in zip(learned["arm"], learned["seed"], learned["run_id"], strict=True)}
    losses = {run: sweep.traces[run]["loss"] for run in ids.values() if run in sweep.traces}
    columns: dict[str, list[float]] = {name: [] for name in PAIRED_METRICS}
    nothing = np.empty(0)

    @cache
    def of_reference(run: str) -> tuple[np.ndarray, float]:
        """What is needed of a reference arm's run, made once for all arms that are compared with it."""
        loss = losses.get(run, nothing)
        return residual(finite_prefix(loss)), half_way_loss(loss)

    for arm, seed in zip(runs["arm"], runs["seed"], strict=True):
        ours = finite_prefix(losses.get(ids.get((arm, seed), ""), nothing))
        reference, target = of_reference(ids.get((references.get(arm, ""), seed), ""))
        columns["excess"].append(_number(excess_of_residuals(residual(ours), reference)))
        columns["updates_to_target"].append(_number(first_below(trailing_median(ours), target)))
    return runs.drop(columns=["error", "seconds"]).assign(**columns, error=runs["error"], seconds=runs["seconds"])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
