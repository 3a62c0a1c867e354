"""The stages of `experiment=recommend`, planned one after the other from measured times and results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from warmup_lab.comparison import read_sweep
from warmup_lab.comparison.recommend import (
    Findings,
    Stage,
    StoredPlan,
    own_plan,
    ramp_sentence,
    rates_to_try,
    read_findings,
)
from warmup_lab.config import require
from warmup_lab.runs import is_finished
from warmup_lab.sweeps.jobs import PlanCell
from warmup_lab.sweeps.recommend_cells import Base, RecommendCells
from warmup_lab.sweeps.recommend_grids import Grid, longer_runs, rate_at_edge, seed_more
from warmup_lab.sweeps.recommend_lines import (
    confirmation_line,
    needed_line,
    opening_line,
    other_recommendation_line,
    ramp_line,
    rates_line,
    say,
    stored_line,
    timing_line,
)
from warmup_lab.sweeps.recommend_plan import (
    TIMING_UPDATES,
    Needed,
    Timing,
    fits_recommendation,
    kept_stages,
    minutes_for_runs,
    plan_grid,
    plan_ramp,
)
from warmup_lab.sweeps.recommend_timing import measured_timing, training_seconds

CONFIRM_FROM = 10
"""So many seeds, from the first on, are kept for choosing the lr. Later seeds confirm it."""


class RecommendSearch:
    """Ramps, a few rates with and without warmup, then the best of them on other seeds, look by look.

    Each stage is planned when it begins, from the times and results of those before it, and stored in `recommend.json`,
    so the same command finds its finished runs again. A larger budget makes again what the smaller one cut short.
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
        whole = self._cells.plan
        self._plan = self._stored() or StoredPlan(
            self._identity, compare.budget_minutes, full_updates=whole.total_steps, full_warmup_steps=whole.warmup_steps
        )

    # --- the protocol of a source of cells

    def ask(self) -> Sequence[Sequence[str]]:
        if self._is_over:
            return []
        if self._position == 0:
            say(opening_line(self._cells.config, self._directory), *self._cells.notes)
            if self._plan.write(self._directory):
                say(other_recommendation_line(self._directory))
        if self._position == len(self._plan.stages):
            stage = self._next_stage()
            if stage is None:
                self._plan.write(self._directory)
                return []
            run_ids = tuple(self._plan_cell(cell).run_id for cell in self._cells.of(stage))
            stages = (*self._plan.stages, replace(stage, run_ids=run_ids))
            self._plan = replace(self._plan, stages=stages)
            self._plan.write(self._directory)
        elif line := stored_line(self._plan.stages[self._position]):
            say(line)
        self._started = self._clock()
        return self._cells.of(self._plan.stages[self._position])

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """Records the time of the stage. Nothing follows a stage with a missing result, or without a finished one."""
        stages = list(self._plan.stages)
        stage = stages[self._position]
        if stage.wall_seconds is None:
            seconds = sum(training_seconds(result) for result in results if result)
            seconds /= max(1, min(self._num_processes, len(results)))
            stages[self._position] = replace(stage, wall_seconds=max(self._clock() - self._started, seconds))
            self._plan = replace(self._plan, stages=tuple(stages))
            self._plan.write(self._directory)
        self._position += 1
        finished = [result for result in results if result and is_finished(result["status"])]
        self._is_over = not finished or None in results

    @property
    def expected_seconds(self) -> float | None:
        """Estimated wall time of the batch that was asked for last; None if nothing is measured yet."""
        return self._plan.stages[self._position].expected_seconds

    # --- the stored plan

    @property
    def _identity(self) -> str:
        """What is trained, and what decides between stages."""
        compare = self._cells.config.compare
        return (
            f"2 {self._cells.plan.arm_id} {compare.metric} {self._base.given_lr} {self._base.first_seed} {self._looks}"
        )

    def _stored(self) -> StoredPlan | None:
        """The plan of an earlier command of the same kind; of one with another budget, what a new plan would keep."""
        stored, budget = own_plan(self._directory, self._identity), self._cells.config.compare.budget_minutes
        if stored is None or self._cells.config.force:
            return None
        if budget == stored.budget_minutes:
            return stored
        return replace(
            stored, budget_minutes=budget, stages=kept_stages(stored, self._cells.plan.total_steps)
        ).without_need()

    # --- planning

    def _next_stage(self) -> Stage | None:
        """The next stage; None at the end. Says what is known and what comes next, or what is missing."""
        if not self._plan.stages:
            say("measuring the time of an update")
            return Stage("timing", (self._base.first_seed,), (self._cells.ramp_lrs[1],), TIMING_UPDATES)
        timing = measured_timing(
            self._plan, self._directory, run_updates=self._cells.plan.total_steps,
            eval_updates=self._cells.eval_updates, num_processes=self._num_processes,
        )  # fmt: skip
        self._plan = replace(self._plan, run_seconds=timing.run_seconds)
        last = self._plan.stages[-1].kind
        if last == "timing":
            return self._ramp_stage(timing)
        found = read_findings(read_sweep(self._directory))
        assert found is not None
        if last == "ramp":
            return self._grid_stage(found, timing)
        if last == "confirm":
            return self._next_look(found, timing, len(self._plan.of_kind("confirm")))
        base = self._base
        more = longer_runs(found, timing, self._looks, base.given_lr, base.first_seed) or rate_at_edge(
            found, timing, self._looks[0]
        )
        if more is not None:
            return self._grid_of(more, timing)
        confirming = self._first_look(found, timing)
        if confirming is not None:
            return confirming
        more = seed_more(found, timing)
        return None if more is None else self._grid_of(more, timing)

    def _ramp_stage(self, timing: Timing) -> Stage | None:
        say(timing_line(timing))
        size = plan_ramp(timing, self._looks[0])
        if size is None:
            self._needs(timing)
            say(needed_line(self._plan, "nothing more fits"))
            return None
        if not fits_recommendation(timing, self._looks[0]):
            say(f"compare.budget_minutes={self._plan.budget_minutes:g} may be too little for a whole answer")
        say(ramp_line(size, self._cells.ramp_lrs, timing))
        seconds = timing.seconds(size.num_seeds, size.updates)
        end = self._cells.ramp_lrs[1]
        return Stage("ramp", self._seeds(size.num_seeds), (end,), size.updates, expected_seconds=seconds)

    def _grid_stage(self, found: Findings, timing: Timing) -> Stage | None:
        if found.ramp is None:
            return None
        say(ramp_sentence(found.ramp))
        size = plan_grid(timing, self._looks)
        if size is None or not size.is_confirmed:
            self._needs(timing)
            say(needed_line(self._plan, size.words(timing.run_updates) if size else "nothing more fits"))
        if size is None:
            return None
        rates = tuple(rates_to_try(found.ramp, size.num_lrs, self._base.given_lr))
        return self._grid_of(Grid("2 of 3: trying", rates, self._seeds(size.num_seeds), size.updates), timing)

    def _grid_of(self, grid: Grid, timing: Timing) -> Stage:
        seconds = timing.seconds(grid.num_runs, grid.updates)
        say(rates_line(grid.why, grid.lrs, grid.num_runs, seconds))
        return Stage("grid", grid.seeds, grid.lrs, grid.updates, expected_seconds=seconds)

    def _first_look(self, found: Findings, timing: Timing) -> Stage | None:
        choice, num_runs = found.choice, 2 * self._looks[0]
        assert choice is not None
        if choice.all_failed:
            if choice.edge is None and not found.plan.is_shortened:  # neither longer runs nor other rates would help
                self._plan = self._plan.without_need()
            return None
        if not timing.fits(num_runs):
            is_new = self._plan.needed_minutes is None
            self._needs(timing)  # again, because each stage measures the times better
            if is_new:
                say(needed_line(self._plan, "no confirmation follows"))
            return None
        self._plan = self._plan.without_need()
        lead = f"best so far: lr {choice.lr:g} {choice.start} warmup"
        return self._confirmation(choice.lr, 0, timing, lead)

    def _next_look(self, found: Findings, timing: Timing, look: int) -> Stage | None:
        confirmation = found.confirmation
        is_decided = confirmation is not None and confirmation.judged and confirmation.effect != "undecided"
        if is_decided or look == len(self._looks):
            return None
        first = self._looks[look - 1]
        num_runs = 2 * (self._looks[look] - first)
        if not timing.fits(num_runs):
            minutes = minutes_for_runs(timing, num_runs)
            used = self._plan.wall_seconds
            self._plan = replace(self._plan, needed_minutes=minutes, needed_for="more seeds", kept_seconds=used)
            say(f"undecided at {first} seeds; the next look does not fit compare.budget_minutes")
            return None
        return self._confirmation(self._plan.of_kind("confirm")[0].lrs[0], look, timing, f"undecided at {first} seeds")

    def _confirmation(self, lr: float, look: int, timing: Timing, lead: str) -> Stage:
        first, base = self._looks[look - 1] if look else 0, self._base.first_seed + CONFIRM_FROM
        seeds = tuple(range(base + first, base + self._looks[look]))
        seconds = timing.seconds(2 * len(seeds))
        say(confirmation_line(lead, lr, len(seeds), seconds))
        return Stage("confirm", seeds, (lr,), self._cells.plan.total_steps, expected_seconds=seconds)

    # --- the budget

    def _needs(self, timing: Timing) -> None:
        """Notes the budget of a whole recommendation: what it keeps of the stages so far, and what it makes again."""
        kept = kept_stages(self._plan, timing.run_updates)
        seconds, kinds = sum(stage.wall_seconds or 0.0 for stage in kept), {stage.kind for stage in kept}
        needed = Needed(timing, seconds, self._looks[0], ramp="ramp" not in kinds, grid="grid" not in kinds)
        more = int(self._plan.budget_minutes or 0) + 1  # the present budget was not enough, whatever the times say
        minutes = max(needed.minutes, more)
        self._plan = replace(
            self._plan, needed_minutes=minutes, needed_for="recommendation", needed_parts=needed.parts,
            kept_seconds=seconds,
        )  # fmt: skip

    def _seeds(self, count: int) -> tuple[int, ...]:
        return tuple(range(self._base.first_seed, self._base.first_seed + count))
