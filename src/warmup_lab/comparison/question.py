"""What a sweep states, and the table of runs that answers it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from warmup_lab.comparison.naming import resolve_reference
from warmup_lab.comparison.paired_metrics import with_paired_metrics
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Question
from warmup_lab.metrics import resolve_metric, smaller_is_better


def stated_question(sweep: Sweep) -> Question:
    """What the sweep states, with the metric and the reference by their full names."""
    stated = sweep.compare
    metric = resolve_metric(stated["metric"], sweep.runs)
    reference = resolve_reference(stated["reference"], list(sweep.runs["arm"].unique()))
    looks = stated.get("looks")
    return Question(
        metric,
        smaller_is_better(metric),
        stated["margin"],
        reference,
        failure_margin=stated.get("failure_margin", 0.2),
        looks=tuple(looks) if looks else None,
    )


def comparable_runs(sweep: Sweep, question: Question, references: dict[str, str]) -> pd.DataFrame:
    """The table of runs with `PAIRED_METRICS`, and with the primary metric even if no run has it."""
    runs = with_paired_metrics(sweep, references)
    if question.metric not in runs.columns:
        runs.insert(len(runs.columns) - 2, question.metric, np.nan)
    return runs
