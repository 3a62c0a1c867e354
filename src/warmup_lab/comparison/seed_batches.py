"""Seeds that were added to a sweep without planned looks, after other seeds had been judged.

Judging 6 seeds, then 12, then 24 at 5 % each finds something false in 12 % of sweeps. So seeds that left something
undecided are not judged again together with later ones: the later ones are judged alone. Seeds that decided keep their
verdicts. All seeds together are exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from warmup_lab.comparison.naming import resolve_reference
from warmup_lab.comparison.paired_metrics import reference_arms
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.question import comparable_runs, stated_question
from warmup_lab.comparison.rows import arm_rows
from warmup_lab.comparison.sweep_log import SweepLog
from warmup_lab.comparison.table import Sweep
from warmup_lab.config import ConfigError
from warmup_lab.runs import is_finished
from warmup_lab.system import JsonRecord


@dataclass(frozen=True)
class AddedSeeds(JsonRecord):
    """Which seeds the verdicts are about."""

    judged: tuple[int, ...]
    """Seeds of the verdicts."""
    others: tuple[int, ...]
    """Seeds that are only part of the exploratory figures."""
    decided: bool
    """Whether the verdicts are those of earlier seeds, which decided; otherwise those of the seeds added last."""
    earlier: tuple[tuple[int, ...], ...] = ()
    """Batches of seeds that were judged before the verdicts and decided nothing."""


def added_seeds(sweep: Sweep, log: SweepLog) -> AddedSeeds | None:
    """How the seeds of the sweep were added; None if all seeds are judged together."""
    if sweep.compare.get("looks"):
        return None
    groups, decided = _groups(sweep, log)
    if len(groups) < 2:
        return None
    place = decided.index(True) if any(decided) else len(groups) - 1
    others = sorted(seed for group in groups if group is not groups[place] for seed in group)
    earlier = tuple(tuple(group) for group in groups[:place])
    return AddedSeeds(tuple(sorted(groups[place])), tuple(others), any(decided), earlier)


def _groups(sweep: Sweep, log: SweepLog) -> tuple[list[list[int]], list[bool]]:
    """The seeds by the report that judged them first, with whether it decided; last those that none has judged."""
    seed_of = {job["run_id"]: int(job["strategy"]["seed"]) for job in sweep.jobs}
    left = set(seed_of.values())
    groups, decided = [], []
    for batch in log.judged:
        own = left & {seed_of[run_id] for run_id in batch.run_ids if run_id in seed_of}
        if own:
            groups.append(sorted(own))
            decided.append(batch.decided)
            left -= own
    if left:
        groups.append(sorted(left))
        decided.append(False)
    return groups, decided


def judged_part(sweep: Sweep, seeds: Sequence[int] | None) -> Sweep:
    """The runs that the verdicts are about: those at `seeds`, or all."""
    if seeds is None:
        return sweep
    runs = sweep.runs[sweep.runs["seed"].isin(seeds)].reset_index(drop=True)
    jobs = [job for job in sweep.jobs if job["strategy"]["seed"] in seeds]
    part = replace(sweep, jobs=jobs, runs=runs)
    try:
        resolve_reference(sweep.compare["reference"], list(runs["arm"].unique()))
    except ConfigError:  # the stated reference was not trained at these seeds
        return replace(part, compare=sweep.compare | {"reference": None})
    return part


def pooled_runs(sweep: Sweep) -> pd.DataFrame:
    """The table of all runs with `PAIRED_METRICS`."""
    question = stated_question(sweep)
    return comparable_runs(sweep, question, reference_arms(sweep.runs, question.reference))


def pooled_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Each arm over all seeds: failures, and mean and difference of the primary metric. No tests."""
    question, runs = stated_question(sweep), pooled_runs(sweep)
    rows = arm_rows(runs, compare(runs, question), reference_arms(sweep.runs, question.reference))
    return [
        {
            "name": row["name"],
            "failed": row["failed"],
            "reference": row["verdict"]["reference"],
            "metric": row["metrics"][question.metric],
        }
        for row in rows
    ]


def judged_runs_of(comparison: dict[str, Any]) -> tuple[list[str], bool]:
    """The runs that a report judged, and whether it decided all; from the content of `comparison.json`.

    No runs if nothing was tested: in a report of one seed, of an interrupted sweep, or of one that compares no arms.
    """
    own_answer = comparison["lr_jitter"] or comparison["recommend"] or comparison["search"]
    verdicts = [arm["verdict"] for arm in comparison["arms"]]
    tested = [comparison["trends"], *(_p_values(verdict) for verdict in verdicts)]
    if own_answer or comparison["counts"]["unfinished"] or not any(tested):
        return [], False
    run_ids = [run["run_id"] for run in comparison["runs"] if is_finished(run["status"])]
    return run_ids, not any(verdict["value"] == "inconclusive" for verdict in verdicts)


def _p_values(verdict: dict[str, Any]) -> Sequence[float]:
    names = ("p_holm", "p_equivalent_holm", "p_failed_holm")
    return [verdict[name] for name in names if verdict[name] is not None]
