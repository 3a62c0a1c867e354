"""The stages of `experiment=recommend`, planned one after the other from measured times and results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from warmup_lab.comparison import count, read_sweep
from warmup_lab.comparison.recommend import (
    STEP,
    WIDE_STEP,
    Findings,
    Stage,
    StoredPlan,
    duration,
    ramp_sentence,
    rate_beyond,
    rates_to_try,
    read_findings,
    read_plan,
)
from warmup_lab.config import require
from warmup_lab.runs import is_finished, read_result
from warmup_lab.sweeps.jobs import PlanCell
from warmup_lab.sweeps.recommend_cells import Base, RecommendCells
from warmup_lab.sweeps.recommend_plan import (
    FULL_UPDATES,
    KEPT_RATES,
    PROBE_COST,
    TIMING_UPDATES,
    Timing,
    fits,
    fits_recommendation,
    minutes_for_recommendation,
    minutes_for_runs,
    plan_grid,
    plan_ramp,
)

CONFIRM_FROM = 10
"""So many seeds, from the first on, are kept for choosing the lr. Later seeds confirm it."""
_MOST_EXTENSIONS = 2
"""Rates that are added beyond the smallest or the largest."""


class RecommendSearch:
    """Ramps, a few rates with and without warmup, then the best of them on other seeds, look by look.

    Each stage is planned when it begins, from the times and the results of those before it, and stored in
    `recommend.json`. So the same command finds its finished runs again. With a larger budget, stages that the smaller
    one had cut short are made again.
    """

    def __init__(
        self,
        overrides: Sequence[Override],
        directory: Path,
        plan_cell: PlanCell,
        *,
        num_processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `ConfigError` for a key with several values, and if nothing can be compared.

        Args:
            overrides: those of the command, with one value each.
            directory: folder of the sweep.
            plan_cell: gives the plan of a cell.
            num_processes: runs that the launcher trains at the same time.
            clock: gives seconds.
        """
        self._base = Base.read(overrides)
        self._cells = RecommendCells(self._base, plan_cell)
        self._directory, self._plan_cell = directory, plan_cell
        self._num_processes, self._clock = num_processes, clock
        compare = self._cells.config.compare
        require(compare.looks is not None, "recommend needs compare.looks, such as [6,12,24]: the seeds that confirm")
        assert compare.looks is not None
        self._looks = tuple(compare.looks)
        self._position, self._is_over = 0, False
        self._plan = self._stored() or StoredPlan(self._identity, compare.budget_minutes)

    # --- the protocol of a source of cells

    def ask(self) -> Sequence[Sequence[str]]:
        if self._is_over:
            return []
        if self._position == len(self._plan.stages):
            stage = self._next_stage()
            if stage is None:
                self._plan.write(self._directory)
                return []
            run_ids = tuple(self._plan_cell(cell).run_id for cell in self._cells.of(stage))
            stages = (*self._plan.stages, replace(stage, run_ids=run_ids))
            self._plan = replace(self._plan, stages=stages, needed_minutes=None, needed_for=None)
            self._plan.write(self._directory)
        self._started = self._clock()
        return self._cells.of(self._plan.stages[self._position])

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """Records the time of the stage. Nothing follows a stage with a missing result, or without a finished one."""
        stages = list(self._plan.stages)
        stage = stages[self._position]
        if stage.wall_seconds is None:
            seconds = sum(_seconds(result) for result in results if result) / self._num_processes
            stages[self._position] = replace(stage, wall_seconds=max(self._clock() - self._started, seconds))
            self._plan = replace(self._plan, stages=tuple(stages))
            self._plan.write(self._directory)
        self._position += 1
        finished = [result for result in results if result and is_finished(result["status"])]
        self._is_over = not finished or None in results

    # --- the stored plan

    @property
    def _identity(self) -> str:
        """What is trained, and what decides between stages."""
        compare = self._cells.config.compare
        return f"{self._cells.plan.arm_id} {compare.metric} {self._base.given_lr} {self._base.first_seed} {self._looks}"

    def _stored(self) -> StoredPlan | None:
        """The plan of an earlier command of the same kind; of one with another budget, what a new plan would keep."""
        stored, budget = read_plan(self._directory), self._cells.config.compare.budget_minutes
        if stored is None or stored.identity != self._identity or self._cells.config.force:
            return None
        if budget == stored.budget_minutes:
            return stored
        kept: list[Stage] = []
        for stage in stored.stages:
            if not stored.of_kind("confirm") and not _is_kept(stage):
                break
            kept.append(stage)
        return replace(stored, budget_minutes=budget, stages=tuple(kept), needed_minutes=None, needed_for=None)

    # --- planning

    def _next_stage(self) -> Stage | None:
        """The next stage; None at the end. Says what is known and what comes next, or what is missing."""
        if not self._plan.stages:
            _say("measuring the time of an update")
            first = (self._base.first_seed,)
            return Stage("timing", first, (self._cells.ramp_lrs[1],), TIMING_UPDATES)
        timing = self._timing()
        self._plan = replace(self._plan, run_seconds=timing.run_seconds)
        last = self._plan.stages[-1].kind
        if last == "timing":
            return self._ramp_stage(timing)
        found = read_findings(read_sweep(self._directory))
        assert found is not None
        if last == "ramp":
            return self._grid_stage(found, timing)
        if last == "grid":
            return self._extension(found, timing) or self._confirmation(found, timing, look=0)
        return self._confirmation(found, timing, look=len(self._plan.of_kind("confirm")))

    def _timing(self) -> Timing:
        """The time of an update in the last stage, and how many runs went on at the same time."""
        update, parallelism = 0.0, float(self._num_processes)
        for stage in self._plan.stages:
            results = [read_result(self._directory / run_id) for run_id in stage.run_ids]
            trained = [result for result in results if result and _seconds(result)]
            seconds = sum(_seconds(result) for result in trained)
            if not trained or not stage.wall_seconds:
                continue
            updates = sum(_seconds(result) * result["speed"]["updates_per_second"] for result in trained)
            update = seconds / updates / (1 + PROBE_COST * stage.probed)
            if len(trained) > 1 and len(trained) >= self._num_processes:
                cost = seconds + len(trained) * self._cells.eval_updates * update
                parallelism = cost / stage.wall_seconds
        budget = self._plan.budget_minutes
        return Timing(
            update_seconds=update,
            run_updates=self._cells.plan.total_steps,
            eval_updates=self._cells.eval_updates,
            parallelism=parallelism,
            budget_seconds=None if budget is None else 60 * budget,
            used_seconds=self._plan.wall_seconds,
        )

    def _ramp_stage(self, timing: Timing) -> Stage | None:
        run = f"an update takes {duration(timing.update_seconds)}, a run of {timing.run_updates} updates "
        _say(f"{run}{duration(timing.run_seconds)}")
        size = plan_ramp(timing, self._looks[0])
        if size is None or not fits_recommendation(timing, self._looks[0]):
            self._too_small(timing, "doing what fits" if size else "nothing more fits", ramp=True, grid=True)
        if size is None:
            return None
        start, end = self._cells.ramp_lrs
        seconds = timing.ramp_seconds(size.num_seeds, size.updates)
        ramps = f"{count(size.num_seeds, 'ramp')} of {size.updates} updates, lr {start:.2g} to {end:.2g}"
        _say(f"1 of 3: {ramps}, about {duration(seconds)}")
        return Stage("ramp", self._seeds(size.num_seeds), (end,), size.updates, size.probed, expected_seconds=seconds)

    def _grid_stage(self, found: Findings, timing: Timing) -> Stage | None:
        if found.ramp is None:
            return None
        _say(ramp_sentence(found.ramp))
        size = plan_grid(timing, self._looks)
        if size is None or not size.is_confirmed:
            what = "nothing more fits" if size is None else "doing what fits"
            self._too_small(timing, what, ramp=found.ramp.updates < FULL_UPDATES, grid=True)
        if size is None:
            return None
        rates = rates_to_try(found.ramp, size.num_lrs, self._base.given_lr)
        return self._grid_of(rates, self._seeds(size.num_seeds), timing, "2 of 3: trying")

    def _grid_of(self, rates: Sequence[float], seeds: tuple[int, ...], timing: Timing, lead: str) -> Stage:
        num_runs = 2 * len(rates) * len(seeds)
        seconds = timing.runs_seconds(num_runs)
        listed = ", ".join(f"{rate:g}" for rate in rates)
        _say(f"{lead} lr {listed} with and without warmup, {num_runs} runs, about {duration(seconds)}")
        updates = self._cells.plan.total_steps
        return Stage("grid", seeds, tuple(rates), updates, expected_seconds=seconds)

    def _extension(self, found: Findings, timing: Timing) -> Stage | None:
        """One more rate where the best lies at the edge, if it fits before the confirmation."""
        choice, grids = found.choice, self._plan.of_kind("grid")
        assert choice is not None
        edge: str | None = "smallest" if choice.all_failed else choice.edge
        seeds = grids[0].seeds
        if edge is None or len(grids) > _MOST_EXTENSIONS:
            return None
        reserved = 2 * self._looks[0]
        if not fits(timing, reserved):
            reserved = 0  # no confirmation fits anyway
        if not fits(timing, 2 * len(seeds) + reserved):
            return None
        rate = rate_beyond(choice.lrs, edge, WIDE_STEP if choice.all_failed else STEP)
        why = "most runs failed" if choice.all_failed else f"lr {choice.lr:g} is the best so far and the {edge}"
        return self._grid_of([rate], seeds, timing, f"{why}: adding")

    def _confirmation(self, found: Findings, timing: Timing, look: int) -> Stage | None:
        choice, confirmation = found.choice, found.confirmation
        assert choice is not None
        is_decided = confirmation is not None and confirmation.judged and confirmation.effect != "undecided"
        if choice.all_failed or is_decided or look == len(self._looks):
            return None
        first = self._looks[look - 1] if look else 0
        num_runs = 2 * (self._looks[look] - first)
        if not fits(timing, num_runs):
            if look:
                minutes = minutes_for_runs(timing, num_runs)
                self._plan = replace(self._plan, needed_minutes=minutes, needed_for="more seeds")
                _say(f"undecided at {first} seeds; the next look does not fit compare.budget_minutes")
            else:
                self._too_small(timing, "ending here", ramp=False, grid=False)
            return None
        base = self._base.first_seed + CONFIRM_FROM
        seeds = tuple(range(base + first, base + self._looks[look]))
        seconds = timing.runs_seconds(num_runs)
        lr = self._plan.of_kind("confirm")[0].lrs[0] if look else choice.lr
        lead = f"undecided at {first} seeds; " if look else f"best so far: lr {choice.lr:g} {choice.start} warmup; "
        _say(
            f"{lead}3 of 3: confirming lr {lr:g} with and without warmup at {len(seeds)} other seeds, "
            f"{num_runs} runs, about {duration(seconds)}"
        )
        return Stage("confirm", seeds, (lr,), self._cells.plan.total_steps, expected_seconds=seconds)

    def _too_small(self, timing: Timing, what: str, *, ramp: bool, grid: bool) -> None:
        """Notes and says what budget a recommendation needs, and `what` follows instead."""
        minutes = minutes_for_recommendation(timing, self._looks[0], ramp=ramp, grid=grid)
        self._plan = replace(self._plan, needed_minutes=minutes, needed_for="recommendation")
        _say(
            f"one run takes {duration(timing.run_seconds)}; a recommendation needs about {minutes} min in all "
            f"(compare.budget_minutes={minutes}), so {what}"
        )

    def _seeds(self, count: int) -> tuple[int, ...]:
        return tuple(range(self._base.first_seed, self._base.first_seed + count))


def _is_kept(stage: Stage) -> bool:
    """Whether the stage is large enough to be kept with a larger budget."""
    if stage.wall_seconds is None:
        return False
    if stage.kind == "ramp":
        return stage.updates >= FULL_UPDATES
    return stage.kind != "grid" or len(stage.lrs) >= KEPT_RATES


def _seconds(result: dict[str, Any]) -> float:
    """Seconds of training; 0 for a run that ended in an error."""
    return float(result["speed"].get("seconds") or 0.0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
