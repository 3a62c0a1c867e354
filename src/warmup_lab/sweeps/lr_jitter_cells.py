"""The cells of `experiment=lr_jitter`: ramps first, then constant rates around the lr from where they jitter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from warmup_lab.comparison.lr_jitter import (
    MIN_PROBES,
    MIN_SEEDS,
    MIN_UPDATES,
    MULTIPLES,
    find_onset,
    over_seeds,
    round_to_digits,
)
from warmup_lab.config import ConfigError, require
from warmup_lab.plan import Plan
from warmup_lab.runs import FINISHED, StepTable
from warmup_lab.sweeps.cells import Grid

log = logging.getLogger(__name__)
_WARMUP_KEYS = ("warmup_ratio", "warmup_steps", "warmup_epochs")


class JitterSearch:
    """Ramps at every seed; then each multiple of their median jitter lr, cold and through a warmup, same seeds.

    The ramp is `scheduler=exponentialramp` up to `optimizer.lr`; the cold runs are `constantlr`, the warmed ones
    `warmupconstant` with the warmup asked for. Nothing follows ramps that have no jitter lr; the report says why. The
    lr of a cell has two digits, and the runs are deterministic, so the same command finds its finished runs again.
    """

    def __init__(
        self, overrides: Sequence[Override], directory: Path, plan_cell: Callable[[Sequence[str]], Plan]
    ) -> None:
        """Raises `ConfigError` for what is too little to say anything, or would be swept beside the seeds."""
        swept = [item.get_key_element() for item in overrides if item.is_sweep_override()]
        others = ", ".join(key for key in swept if key != "seed")
        require(not others, f"{others}: lr_jitter sweeps the seeds alone; give one value, and another study= each")
        asked = [item for item in overrides if item.get_key_element().split("@")[0] == "scheduler"]
        if asked:
            raise ConfigError(f"{asked[-1].input_line}: lr_jitter chooses the schedules itself (ramp, cold, warmed)")
        self._fixed = list(Grid([item for item in overrides if item.get_key_element() != "seed"]).ask()[0])
        seeds = Grid([item for item in overrides if item.get_key_element() == "seed"]).ask()
        self._seeds = list(dict.fromkeys(text for cell in seeds for text in cell))
        self._directory = directory
        self._batches = [self._ramps()]
        self._check(plan_cell)

    def _check(self, plan_cell: Callable[[Sequence[str]], Plan]) -> None:
        require(
            len(self._seeds) >= MIN_SEEDS,
            f"lr_jitter needs at least {MIN_SEEDS} seeds, such as 'seed=range({MIN_SEEDS})', for a median and a range; "
            f"there {'is' if len(self._seeds) < 2 else 'are'} {max(1, len(self._seeds))}",
        )
        plan = plan_cell(self._batches[0][0])
        total, every = plan.total_steps, plan.config.probe.overshoot_every
        enough = f"lr_jitter needs ramps of at least {MIN_UPDATES} updates, and they have {total}"
        require(total >= MIN_UPDATES, f"{enough}: set max_steps={MIN_UPDATES} or more")
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
        """After the ramps, the cells at constant rates come next; after those, nothing."""
        is_ramp = all(result and result["strategy"]["scheduler"] == "exponentialramp" for result in results)
        if not is_ramp:
            return
        finished = [result for result in results if result and result["status"] in FINISHED]
        if len(finished) < len(results):
            return  # the sweep reports the failure, and the same command tries them again
        found = over_seeds([self._onset(result) for result in finished])
        if found.median is not None:
            self._batches.append(self._constants(found.median))

    def _onset(self, result: dict[str, Any]) -> Any:
        trace = StepTable.read(self._directory / result["run_id"] / "trace.parquet")
        return find_onset(trace.array("overshoot"), trace.array("lr"), total_steps=result["strategy"]["total_steps"])

    def _ramps(self) -> list[list[str]]:
        fixed = [text for text in self._fixed if not _is_about(text, _WARMUP_KEYS)]
        return [[*fixed, "scheduler=exponentialramp", seed] for seed in self._seeds]

    def _constants(self, jitter_lr: float) -> list[list[str]]:
        """Cold and warmed cells at every multiple, without the probe, which would cost two forward passes each."""
        dropped = ("optimizer.lr", "scheduler.ramp_start", "probe.overshoot_every")
        warmed = [text for text in self._fixed if not _is_about(text, dropped)]
        cold = [text for text in warmed if not _is_about(text, _WARMUP_KEYS)]
        return [
            [*fixed, f"scheduler={scheduler}", f"optimizer.lr={round_to_digits(multiple * jitter_lr, 3):g}",
             "probe.overshoot_every=null", seed]
            for multiple in MULTIPLES
            for scheduler, fixed in (("constantlr", cold), ("warmupconstant", warmed))
            for seed in self._seeds
        ]  # fmt: skip


def _is_about(override: str, keys: Sequence[str]) -> bool:
    return override.lstrip("+").partition("=")[0] in keys
