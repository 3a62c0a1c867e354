"""A sweep with planned looks in which nothing is trained: made-up results of `fake_sweep`, plans of its jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_sweep import Outcome, make_job, write_run
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.config.schema import CompareConfig
from warmup_lab.sweeps.looks import LookByLook
from warmup_lab.sweeps.run import run_sweep

LINEAR_IS_OPEN = ("scheduler=warmuplinear,warmupcosine", "warmup_ratio=0,0.1")
"""Overrides of four arms. With `outcome`, those of `warmuplinear` are never decided, the others at the first look."""
MARGIN = 0.02


def outcome(strategy: dict[str, Any]) -> Outcome:
    spread = 0.3 if strategy["scheduler"] == "warmuplinear" else 1e-3
    rng = np.random.default_rng([strategy["seed"], strategy["warmup_steps"]])
    return Outcome(metrics={"eval_loss": 0.5 + spread * rng.standard_normal()})


class FakeLooks:
    """Runs of 120 updates over `scheduler` and `warmup_ratio`. `trained`: scheduler and seed of each trained run."""

    def __init__(self, folder: Path, compare: CompareConfig, outcome: Callable[[dict[str, Any]], Outcome] = outcome):
        self.folder, self.compare, self.outcome = folder, compare, outcome
        self.trained: list[tuple[str, int]] = []
        self.batches: list[int] = []

    def run(self, *words: str, until: int | None = None) -> None:
        """Runs the command with these overrides; `until` kills it after that many runs, as `kill -9` would."""
        overrides = OverridesParser.create().parse_overrides(list(words))
        self._left = until
        run_sweep(
            LookByLook(overrides, self.folder, self.compare), self.plan, self.launch, self.folder, lambda *_: None
        )

    def plan(self, overrides: Sequence[str]) -> Any:
        job = self._job(overrides)
        return SimpleNamespace(
            run_id=job.run_id,
            name=job.name,
            arm_id=job.arm_id,
            strategy=lambda: job.strategy,
            requested_warmup=job.asked,
            config=SimpleNamespace(study="study", compare=self.compare, force=False),
        )

    def launch(self, batch: Sequence[Sequence[str]], _: int) -> None:
        self.batches.append(len(batch))
        for overrides in batch:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left = None if self._left is None else self._left - 1
            job = self._job(overrides)
            write_run(self.folder / job.run_id, job, self.outcome(job.strategy), summarised=False)
            self.trained.append((job.strategy["scheduler"], job.strategy["seed"]))

    def _job(self, overrides: Sequence[str]) -> Any:
        values = dict(override.split("=", 1) for override in overrides)
        return make_job(values["scheduler"], float(values["warmup_ratio"]), 1e-3, int(values["seed"]), 120)
