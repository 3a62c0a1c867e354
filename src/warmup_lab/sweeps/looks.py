"""The cells of a grid with planned looks (`compare.looks`): seeds are added until every arm is decided."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from warmup_lab.comparison import LookDecision
from warmup_lab.config import CompareConfig, ConfigError, require
from warmup_lab.runs import is_finished
from warmup_lab.sweeps.budget import TimeBudget
from warmup_lab.sweeps.cells import Grid
from warmup_lab.sweeps.jobs import Job, read_jobs
from warmup_lab.sweeps.look_decisions import decide_once

_SEED = "seed="


class LookByLook:
    """A grid that trains its seeds look by look and gives no more seeds to arms that are decided.

    The first batch is the grid at the seeds of the first look. After each look the comparison is read from the folder,
    and the next batch is the grid at the new seeds without the cells of arms that are decided. Decisions depend only on
    the results and are stored, so the same command finds its finished runs again and continues at its look. They are
    made in this process, wherever the runs are trained.
    """

    def __init__(self, overrides: Sequence[Override], directory: Path, compare: CompareConfig) -> None:
        """Raises `ConfigError` if the seeds are too few for the last look, or not rising.

        Args:
            overrides: as for `Grid`. Without `seed`, the seeds are 0, 1, 2, ...
            directory: folder of the sweep.
            compare: design of the comparison, with looks.
        """
        assert compare.looks
        self._looks, self._budget_minutes = compare.looks, compare.budget_minutes
        self._directory, self._budget = directory, TimeBudget(directory)
        self._cells = [list(cell) for cell in Grid(overrides).ask()]
        if not any(item.get_key_element() == "seed" for item in overrides):
            self._cells = [[*cell, f"{_SEED}{seed}"] for cell in self._cells for seed in range(self._looks[-1])]
        self._seeds = list(dict.fromkeys(_seed_of(cell) for cell in self._cells))
        self._check_seeds()
        self._num_looks = 0
        self._all_failed = False
        self._num_missing = 0

    def _check_seeds(self) -> None:
        """The comparison sorts the seeds, so its looks are those that were trained only if the seeds rise."""
        num_seeds, needed = len(self._seeds), self._looks[-1]
        require(
            num_seeds >= needed,
            f"compare.looks={self._looks} needs {needed} seeds, and {num_seeds} "
            f"{'is' if num_seeds == 1 else 'are'} given: set 'seed=range({needed})'",
        )
        require(
            all(low < high for low, high in itertools.pairwise(self._seeds)),
            f"compare.looks={self._looks} needs rising seeds, such as 'seed=range({needed})'",
        )

    def ask(self) -> Sequence[Sequence[str]]:
        cells = self._next_cells() if self._num_looks else self._cells_at(0)
        if cells:
            self._num_looks += 1
            self._budget.start()
        return cells

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        self._budget.record(results)
        self._all_failed = not any(result and is_finished(result["status"]) for result in results)
        self._num_missing = sum(result is None for result in results)

    def _cells_at(self, look: int) -> list[list[str]]:
        """The cells at the seeds that are new at a look, counted from 0."""
        first = self._looks[look - 1] if look else 0
        new = set(self._seeds[first : self._looks[look]])
        return [cell for cell in self._cells if _seed_of(cell) in new]

    def _next_cells(self) -> list[list[str]]:
        """The cells of the next look; empty if the sweep ends here. Says why it ends, or how many arms continue."""
        if self._all_failed:
            _say("no run of this look finished, so the sweep ends here; the same command tries them again")
            return []
        if self._num_missing:
            runs = f"{self._num_missing} {'run' if self._num_missing == 1 else 'runs'} of this look left no result"
            _say(f"{runs}, so the look is incomplete and the sweep ends here; the same command trains them")
            return []
        jobs = read_jobs(self._directory)
        decision = decide_once(self._directory, self._looks[self._num_looks - 1])
        ending = self._ending(jobs, decision) or self._over_budget(jobs, decision)
        if ending:
            _say(ending)
            return []
        num_arms, num_open = len(_arm_ids(jobs)), len(decision.open_arms)
        _say(f"{self._progress()}: {num_arms - num_open} of {num_arms} arms stop, {num_open} continue")
        arm_of = {_without_seed(job.overrides): job.arm_id for job in jobs}
        return [cell for cell in self._cells_at(self._num_looks) if arm_of[_without_seed(cell)] in decision.open_arms]

    def _progress(self) -> str:
        return f"{self._looks[self._num_looks - 1]} of {self._looks[-1]} seeds"

    def _ending(self, jobs: Sequence[Job], decision: LookDecision) -> str | None:
        """Why the sweep ends here; None if some arm needs the seeds of another look."""
        if not decision.has_tests:
            return f"no arm is compared with another, so the sweep ends after {self._progress()}"
        num_saved = len(_arm_ids(jobs)) * self._looks[-1] - len({job.run_id for job in jobs})
        saved = f": {num_saved} runs saved" if num_saved else ""
        if not decision.open_arms:
            return f"decided after {self._progress()}{saved}"
        if self._num_looks == len(self._looks):
            undecided = decision.num_undecided
            arms = f", {undecided} {'arm is' if undecided == 1 else 'arms are'} undecided" if undecided else ""
            return f"ended after all {self._looks[-1]} seeds{arms}{saved}"
        return None

    def _over_budget(self, jobs: Sequence[Job], decision: LookDecision) -> str | None:
        """Why the next look does not fit the budget, and what it needs; None if it fits or there is no budget."""
        if self._budget_minutes is None:
            return None
        num_seeds = self._looks[self._num_looks] - self._looks[self._num_looks - 1]
        used, needed = self._budget.minutes(jobs, dict.fromkeys(decision.open_arms, num_seeds))
        if used + needed <= self._budget_minutes:
            return None
        return (
            f"compare.budget_minutes={self._budget_minutes:g} ends the sweep after {self._progress()}: the next look "
            f"takes about {_up(needed)} min and {used:.1f} min are used. To continue, give the same command with "
            f"compare.budget_minutes={_up(used + needed)}"
        )


def _seed_of(cell: Sequence[str]) -> int:
    text = next(override for override in cell if override.startswith(_SEED)).removeprefix(_SEED)
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"seed={text}: must be a whole number") from None


def _without_seed(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(override for override in overrides if not override.startswith(_SEED))


def _arm_ids(jobs: Sequence[Job]) -> set[str]:
    return {job.arm_id for job in jobs}


def _up(minutes: float) -> str:
    """Rounded up to a tenth, so that a budget of this many minutes is enough."""
    return f"{-(-minutes // 0.1) * 0.1:.1f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
