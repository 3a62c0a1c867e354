"""Metrics that need the reference arm's run of the same seed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import reference_of
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.statistics import Floats
from warmup_lab.comparison.table import Sweep
from warmup_lab.metrics import (
    PAIRED_METRICS,
    JitterByLevel,
    LossSeries,
    excess_of_residuals,
    half_way_loss,
    jitter_of_series,
    matched_roughness_of,
    updates_to_target,
)


def reference_arms(runs: pd.DataFrame, reference: str | None) -> dict[str, str]:
    """The arm that each arm is compared with, by name; a reference is its own. An arm that has none is missing."""
    arms = read_runs(runs, metric=None).arms
    found = {arm.name: reference_of(arms, index, reference) for index, arm in enumerate(arms)}
    return {name: arms[index].name for name, index in found.items() if isinstance(index, int)}


def with_paired_metrics(sweep: Sweep, references: dict[str, str]) -> pd.DataFrame:
    """The table of runs with `PAIRED_METRICS`; `warmup_lab.metrics` has the formulas.

    - `excess`, nats, and `matched/roughness`, H: minus that of the reference arm's run of the same seed, and 0 for that
      run itself. NaN where one of the two runs did not learn, because a collapsed reference has the smoothest loss.
    - `updates_to_target`, updates: one target for all runs, the median half-way loss of the references' learned runs.
      NaN where a run never reaches it, which comparisons treat as later than every run that did.
    """
    runs = sweep.runs
    learned = runs[(runs["status"] == "completed") & ~runs["failed_to_learn"].astype(bool)]
    entropy = dict(zip(runs["run_id"], runs["guess_loss"], strict=True))
    ids = {
        (arm, seed): run
        for arm, seed, run in zip(learned["arm"], learned["seed"], learned["run_id"], strict=True)
        if run in sweep.traces and entropy[run] > 0
    }
    columns: dict[str, list[float]] = {name: [] for name in PAIRED_METRICS}
    of_references = [run for (arm, _), run in ids.items() if arm in references.values()]
    halves = [half_way_loss(sweep.traces[run]["loss"], entropy[run]) for run in of_references]
    known = [half for half in halves if half is not None]
    target = float(np.median(known)) if known else math.nan

    kept: dict[str, tuple[Floats, JitterByLevel]] = {}
    is_reference = frozenset(of_references)

    def oscillation_of(run: str) -> tuple[Floats, JitterByLevel]:
        """The residual and the jitter of a run. Those of references are kept for all arms compared with them."""
        if run in kept:
            return kept[run]
        series = LossSeries(sweep.traces[run]["loss"], entropy=entropy[run])
        found = series.residual, jitter_of_series(series)
        return kept.setdefault(run, found) if run in is_reference else found

    for arm, seed in zip(runs["arm"], runs["seed"], strict=True):
        own, other = ids.get((arm, seed)), ids.get((references.get(arm, ""), seed))
        excess = matched = None
        if own is not None and other is not None:
            (own_residual, own_jitter), (residual, jitter) = oscillation_of(own), oscillation_of(other)
            excess = excess_of_residuals(own_residual, residual)
            matched = matched_roughness_of(own_jitter, jitter)
        reached = updates_to_target(sweep.traces[own]["loss"], target) if own is not None else None
        columns["excess"].append(_number(excess))
        columns["updates_to_target"].append(_number(reached))
        columns["matched/roughness"].append(_number(None if matched is None else matched[0] - matched[1]))
    last = ["guess_loss", "guess_accuracy", "error", "seconds"]
    return runs.drop(columns=last).assign(**columns, **{name: runs[name] for name in last})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
