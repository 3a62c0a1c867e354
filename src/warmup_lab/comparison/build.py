"""The result of a sweep in numbers and sentences: the content of `comparison.json`.

Whatever the report shows about more than one update is taken from here, so the file holds every number of the report.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.evidence import make_design
from warmup_lab.comparison.failure_kinds import with_failure_kinds
from warmup_lab.comparison.lr_jitter import jitter_section
from warmup_lab.comparison.naming import resolve_reference
from warmup_lab.comparison.paired_metrics import reference_arms, with_paired_metrics
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.recommendation import recommendation_section
from warmup_lab.comparison.rows import arm_rows, counts_section, rate_section, run_rows, warmup_rows
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.sections import (
    largest_lr_rows,
    looks_section,
    own_best_lr_section,
    secondary_section,
    smallest_warmup_rows,
    variance_section,
)
from warmup_lab.comparison.summary import summary_sentences
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Question
from warmup_lab.metrics import ROUGHNESS, resolve_metric, smaller_is_better, title_and_unit
from warmup_lab.system import to_json


def build_comparison(sweep: Sweep) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of runs with `PAIRED_METRICS`, and the content of `comparison.json`.

    Raises:
        ConfigError: `compare.metric` or `compare.reference` is unknown.
    """
    question = stated_question(sweep)
    references = reference_arms(sweep.runs, question.reference)
    runs = comparable_runs(sweep, question, references)
    primary, design = compare(runs, question), make_design(read_runs(runs, None).arms, question.reference)
    secondary = [name for name in ROUGHNESS if name != question.metric and name in runs]
    parts = {
        "primary": asdict(question) | dict(zip(("title", "unit"), title_and_unit(question.metric), strict=True)),
        "counts": counts_section(runs, primary),
        "arms": with_failure_kinds(arm_rows(runs, primary, references), runs, sweep),
        "warmups": warmup_rows(sweep),
        "smallest_warmup": smallest_warmup_rows(runs, question, primary),
        "own_best_lr": own_best_lr_section(runs, question),
        "largest_lr": largest_lr_rows(primary.arms),
        "trends": [trend.to_dict() for trend in primary.trends],
        "levels": [level.to_dict() | {"failed": rate_section(level.failed)} for level in primary.levels],
        "lr_lines": [line.to_dict() for line in primary.lr_lines],
        "looks": looks_section(primary),
        "variance": variance_section(runs, question, design),
        "oscillation": [secondary_section(runs, name, question.reference) for name in secondary],
        "runs": run_rows(runs, question.metric),
        "errors": runs.loc[runs["status"] == "error", ["run_id", "arm", "seed", "error"]].to_dict("records"),
    }
    jitter = jitter_section(sweep)
    head = {
        "schema": 1,
        "study": sweep.directory.resolve().name,
        "headline": jitter["headline"] if jitter else primary.headline,
        "summary": summary_sentences(parts, jitter),
        "recommendation": recommendation_section(sweep, runs, primary, jitter),
        "lr_jitter": jitter,
    }
    tail = {
        "command": sweep.command,
        "example_overrides": sweep.jobs[0]["overrides"],
        "versions": sweep.versions,
        "seconds": float(runs["seconds"].sum()),
    }
    return runs, to_json(head | parts | tail)


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
