"""The cells of `experiment=lr_jitter`: ramps, then constant rates around the lr at which the loss starts to jitter."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from warmup_lab.comparison.lr_jitter import (
    FIRST_MULTIPLES,
    MIN_PROBES,
    MIN_SEEDS,
    MIN_UPDATES,
    Start,
    find_onset,
    known_jitter,
    median_jitter_lr,
    next_multiples,
    round_to_digits,
)
from warmup_lab.config import ConfigError, require
from warmup_lab.runs import StepTable, is_finished
from warmup_lab.sweeps.cells import Grid
from warmup_lab.sweeps.jobs import PlanCell

_WARMUP_KEYS = ("warmup_ratio", "warmup_steps", "warmup_epochs")
_SCHEDULERS: dict[Start, str] = {"cold": "constantlr", "warmed": "warmupconstant"}


class JitterSearch:
    """A ramp at each seed, then runs at multiples of the median jitter lr, cold and warmed up, at the same seeds.

    A ramp is `scheduler=exponentialramp` up to `optimizer.lr`. Cold runs use `constantlr`; warmed-up runs use
    `warmupconstant` with the given warmup. If the ramps have no jitter lr, nothing follows and the report says why.
    Multiples are added until runs survive the smallest rate and fail at the largest (`next_multiples`).

    The median is rounded to two digits and the lr of a cell to three. Runs are deterministic, so the same command finds
    its finished runs again.
    """

    def __init__(self, overrides: Sequence[Override], directory: Path, plan_cell: PlanCell) -> None:
        """Raises `ConfigError` for too few seeds, updates or probes, and for another swept key than `seed`.

        Args:
            overrides: as for `Grid`, without a scheduler.
            directory: folder of the sweep, which holds the traces of the ramps.
            plan_cell: gives the plan of a cell.
        """
        swept = [item.get_key_element() for item in overrides if item.is_sweep_override()]
        others = ", ".join(key for key in swept if key != "seed")
        require(
            not others,
            f"{others}: lr_jitter sweeps only the seed; give one value, and run each value as its own study=NAME",
        )
        asked = [item for item in overrides if item.get_key_element().split("@")[0] == "scheduler"]
        if asked:
            raise ConfigError(
                f"{asked[-1].input_line}: lr_jitter sets the schedules itself (ramp, cold, warmed up); remove it"
            )
        self._fixed = list(Grid([item for item in overrides if item.get_key_element() != "seed"]).ask()[0])
        seeds = Grid([item for item in overrides if item.get_key_element() == "seed"]).ask()
        self._seeds = list(dict.fromkeys(text for cell in seeds for text in cell))
        self._directory = directory
        self._jitter_lr: float | None = None
        self._failed: dict[Start, dict[float, float]] = {start: {} for start in _SCHEDULERS}
        self._trials: list[tuple[float, Start]] = []
        self._batches = [self._ramps()]
        self._check(plan_cell)

    def _check(self, plan_cell: PlanCell) -> None:
        require(
            len(self._seeds) >= MIN_SEEDS,
            f"lr_jitter needs at least {MIN_SEEDS} seeds for a median and a range, and got {max(1, len(self._seeds))}: "
            f"set 'seed=range({MIN_SEEDS})'",
        )
        plan = plan_cell(self._batches[0][0])
        total, every = plan.total_steps, plan.config.probe.overshoot_every
        require(
            total >= MIN_UPDATES,
            f"lr_jitter needs ramps of at least {MIN_UPDATES} updates, and these have {total}: "
            f"set max_steps={MIN_UPDATES} or more",
        )
        if every is None:
            raise ConfigError("lr_jitter needs the overshoot probe: set probe.overshoot_every=1")
        num_probes = -(-total // every)
        require(
            num_probes >= MIN_PROBES,
            f"probe.overshoot_every={every} probes {num_probes} of {total} updates, and lr_jitter needs {MIN_PROBES}: "
            "probe more often, or raise max_steps",
        )

    def ask(self) -> Sequence[Sequence[str]]:
        return self._batches.pop() if self._batches else []

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """After the ramps, adds the cells at constant rates; after those, the rates that are still missing."""
        finished = [result for result in results if result and is_finished(result["status"])]
        missing = len(results) - len(finished)
        if missing:
            _say(f"{missing} of {len(results)} runs have no result, so the search stops; the same command continues it")
            return
        if self._jitter_lr is None:
            jitter = median_jitter_lr([self._onset(result) for result in finished])
            self._jitter_lr = jitter.median
            multiples: Sequence[float] = FIRST_MULTIPLES
            _say(known_jitter(jitter))
        else:
            self._count_failures(finished)
            multiples = next_multiples(self._failed)
            _say(self._failures_so_far())
        if self._jitter_lr is None:
            _say("No constant rate can be chosen, so the search ends.")
        elif multiples:
            _say(self._next_rates(self._jitter_lr, multiples))
            self._batches.append(self._constants(self._jitter_lr, multiples))

    def _failures_so_far(self) -> str:
        """`Failed so far, cold: 0 of 12 at lr 0.000875, ...; warmed: ...`."""
        assert self._jitter_lr is not None
        parts = []
        for start, shares in self._failed.items():
            counts = [
                f"{round(share * len(self._seeds))} of {len(self._seeds)} at lr {multiple * self._jitter_lr:.3g}"
                for multiple, share in sorted(shares.items())
            ]
            parts.append(f"{start}: {', '.join(counts)}")
        return f"Failed so far, {'; '.join(parts)}."

    def _next_rates(self, jitter_lr: float, multiples: Sequence[float]) -> str:
        """What is tried next, and why."""
        rates = [f"{multiple * jitter_lr:.3g}" for multiple in multiples]
        tried = self._failed["cold"]
        if not tried:
            return f"Next: {len(rates)} constant rates, {rates[0]} to {rates[-1]}, cold and after a warmup."
        return f"Next: {' and '.join(f'lr {rate}' for rate in rates)}, because {_why_more(multiples, tried)}."

    def _count_failures(self, results: Sequence[dict[str, Any]]) -> None:
        """Share of the runs that failed, of the trials of the last batch."""
        failed = [result["status"] == "diverged" or bool(result["failed_to_learn"]) for result in results]
        num = len(self._seeds)
        for index, (multiple, start) in enumerate(self._trials):
            self._failed[start][multiple] = sum(failed[index * num : (index + 1) * num]) / num

    def _onset(self, result: dict[str, Any]) -> Any:
        trace = StepTable.read(self._directory / result["run_id"] / "trace.parquet")
        return find_onset(trace.array("overshoot"), trace.array("lr"), total_steps=result["strategy"]["total_steps"])

    def _ramps(self) -> list[list[str]]:
        fixed = [text for text in self._fixed if not _sets_one_of(text, _WARMUP_KEYS)]
        return [[*fixed, "scheduler=exponentialramp", seed] for seed in self._seeds]

    def _constants(self, jitter_lr: float, multiples: Sequence[float]) -> list[list[str]]:
        """Cold and warmed-up cells at these multiples, without the probe, which costs two forward passes an update."""
        dropped = ("optimizer.lr", "scheduler.ramp_start", "probe.overshoot_every")
        warmed_up = [text for text in self._fixed if not _sets_one_of(text, dropped)]
        cold = [text for text in warmed_up if not _sets_one_of(text, _WARMUP_KEYS)]
        fixed = {"cold": cold, "warmed": warmed_up}
        self._trials = [(multiple, start) for multiple in multiples for start in _SCHEDULERS]
        return [
            [*fixed[start], f"scheduler={_SCHEDULERS[start]}",
             f"optimizer.lr={round_to_digits(multiple * jitter_lr, 3):g}", "probe.overshoot_every=null", seed]
            for multiple, start in self._trials
            for seed in self._seeds
        ]  # fmt: skip


def _why_more(multiples: Sequence[float], tried: Collection[float]) -> str:
    lowest, highest = min(tried), max(tried)
    reasons = ["some runs fail at the smallest rate"] if multiples[0] < lowest else []
    reasons += ["some runs survive the largest rate"] if multiples[-1] > highest else []
    return " and ".join(reasons)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _sets_one_of(override: str, keys: Sequence[str]) -> bool:
    return override.lstrip("+").partition("=")[0] in keys
