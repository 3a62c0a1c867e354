"""What the files of a recommendation say so far: read by the sweeper between its stages, and by the report."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from warmup_lab.comparison import (
    Question,
    Sweep,
    arm_names,
    asked_warmups,
    comparable_runs,
    reference_arms,
    stated_question,
    varied_settings,
)
from warmup_lab.comparison.recommend.choice import Choice, GridRow, choose, choosing_metric, grid_rows
from warmup_lab.comparison.recommend.confirmation import Confirmation, confirm
from warmup_lab.comparison.recommend.failures import Failure, advised_updates, failure_counts, lacks_updates
from warmup_lab.comparison.recommend.ramp import RampResult, ramp_result
from warmup_lab.comparison.recommend.record import KINDS, StageKind, StoredPlan, plan_of_jobs


@dataclass(frozen=True)
class Findings:
    """The results of the stages that have begun."""

    plan: StoredPlan
    question: Question
    ramp: RampResult | None
    """None before a ramp has finished."""
    grid: tuple[GridRow, ...]
    choice: Choice | None
    """None before a run of the grid has finished."""
    confirmation: Confirmation | None
    guess_loss: float | None
    """Loss of guessing (entropy of the training labels, nats)."""
    num_missing: dict[StageKind, int]
    """Runs that have left no result, by stage."""

    failures: dict[Failure, int]
    """Why runs failed: those of the whole grid if most failed at every rate, otherwise those at the chosen
    rate, or of the confirmation once it was judged."""

    @property
    def advised_updates(self) -> int | None:
        """Updates to try where most runs failed because they learned too little; None elsewhere.

        Where the budget has shortened the runs, a larger budget comes first.
        """
        choice, confirmation = self.choice, self.confirmation
        if choice is None or self.plan.is_shortened or not lacks_updates(self.failures):
            return None
        if not choice.all_failed and (confirmation is None or confirmation.effect != "both_fail"):
            return None
        ramp = self.ramp
        return advised_updates(self.total_updates, ramp.updates if ramp is not None and ramp.learned else None)

    @property
    def total_updates(self) -> int:
        """Updates of a whole run. Before any is planned, those of a ramp."""
        return self.plan.full_updates or self.plan.run_updates or self.plan.stages[-1].updates

    @property
    def interrupted(self) -> bool:
        return any(self.num_missing.values())


def read_findings(sweep: Sweep) -> Findings | None:
    """The findings; None for a sweep that is no recommendation."""
    plan = plan_of_jobs(sweep.directory, sweep.jobs)
    if plan is None:
        return None
    question, missing = stated_question(sweep), _without_result(sweep)
    ramps, grid = plan.of_kind("ramp"), _part(sweep, plan.choosing_ids).runs
    metric = choosing_metric(question.metric, grid)
    rows = grid_rows(grid[~grid["run_id"].isin(missing)], metric) if metric in grid else []
    choice = choose(rows, metric, question.margin if metric == question.metric else None)
    confirmation = _confirmation(sweep, missing) if plan.run_ids("confirm") else None
    is_confirmed = confirmation is not None and confirmation.judged > 0
    own = _part(sweep, plan.run_ids("confirm")).runs if is_confirmed else _chosen(grid, choice)
    return Findings(
        plan=plan,
        question=question,
        ramp=ramp_result(sweep, plan.run_ids("ramp"), ramps[0].lrs[0]) if ramps else None,
        grid=tuple(rows),
        choice=choice,
        confirmation=confirmation,
        guess_loss=None if grid["guess_loss"].isna().all() else float(grid["guess_loss"].median()),
        num_missing={kind: len(missing & plan.run_ids(kind)) for kind in KINDS},
        failures=failure_counts(own, sweep),
    )


def _chosen(grid: pd.DataFrame, choice: Choice | None) -> pd.DataFrame:
    """The runs of the grid that the recommendation rests on; all of them if there is none."""
    if choice is None or choice.all_failed:
        return grid
    return grid[np.isclose(grid["lr"], choice.lr)]


def _confirmation(sweep: Sweep, missing: set[str]) -> Confirmation | None:
    """A pair with one run would favour runs that end early, so only seeds without a missing run count."""
    part = compared_part(sweep)
    question = stated_question(part)
    runs = comparable_runs(part, question, reference_arms(part.runs, question.reference))
    waiting = set(runs.loc[runs["run_id"].isin(missing), "seed"])
    ended = sorted(set(runs["seed"].tolist()) - waiting)
    return confirm(runs, ended, question) if ended else None


def _without_result(sweep: Sweep) -> set[str]:
    return {run for run in sweep.runs["run_id"] if not (sweep.directory / run / "result.json").exists()}


def compared_part(sweep: Sweep) -> Sweep:
    """The runs that a comparison of arms is about: of a recommendation, those that confirm, else those of the grid.

    Ramps compare nothing, so there may be no runs. The seeds that chose the lr would favour what they chose. Other
    sweeps stay whole.
    """
    plan = plan_of_jobs(sweep.directory, sweep.jobs)
    if plan is None:
        return sweep
    confirming = plan.run_ids("confirm")
    part = _part(sweep, confirming or plan.choosing_ids)
    warmed = part.runs.loc[part.runs["warmup_steps"] > 0, "arm"].unique().tolist()
    stated = {"reference": warmed[0]} if confirming and warmed else {}
    return replace(part, compare=sweep.compare | stated)


def _part(sweep: Sweep, run_ids: set[str]) -> Sweep:
    """Some of the runs. Arms are named again, because a name shows what differs among the runs."""
    jobs = [job for job in sweep.jobs if job["run_id"] in run_ids]
    runs = sweep.runs[sweep.runs["run_id"].isin(run_ids)].reset_index(drop=True)
    arm_of = {job["run_id"]: job["arm_id"] for job in jobs}
    for column, names in (
        ("arm", arm_names(jobs)),
        ("warmup_asked", asked_warmups(jobs)),
        ("setting", varied_settings(jobs)),
    ):
        runs[column] = [names[arm_of[run_id]] for run_id in runs["run_id"]]
    return replace(sweep, jobs=jobs, runs=runs)
