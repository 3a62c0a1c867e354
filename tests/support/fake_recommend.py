"""A recommendation in which nothing is trained: made-up results of `fake_sweep`, and a clock that the runs advance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_sweep import LN2, Outcome, learning_curve, make_job, write_run
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import CompareConfig, OptimizerConfig, SchedulerConfig
from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.runs.stored_run import with_digests
from warmup_lab.sweeps.jobs import Job
from warmup_lab.sweeps.recommend_search import RecommendSearch
from warmup_lab.sweeps.run import run_sweep

TOTAL = 120
BREAK_LR = 0.008
"""From here on the loss of a ramp rises."""
UPDATE_SECONDS = 0.1
PROCESSES = 2


def outcome(strategy: dict[str, Any], *, penalty: float = 0.2, spread: float = 0.01) -> Outcome:
    """Best at lr 0.002; without warmup the loss is larger by `penalty`, with noise of `spread` on the difference."""
    if strategy["scheduler"] == "exponentialramp":
        return ramp(strategy)
    seed, cold = strategy["seed"], strategy["warmup_steps"] == 0
    noise = np.random.default_rng([seed, strategy["warmup_steps"]]).standard_normal()
    distance = abs(math.log2(strategy["lr"] / 0.002))
    return Outcome(metrics={"eval_loss": 0.3 + 0.05 * distance + 0.01 * seed / 10 + cold * penalty + spread * noise})


def ramp(strategy: dict[str, Any], break_lr: float = BREAK_LR) -> Outcome:
    """A loss that falls until `break_lr` and rises from there on."""
    total = strategy["total_steps"]
    lr = strategy["lr"] * 1e-4 ** (1 - np.arange(total) / (total - 1))
    loss = learning_curve(strategy, jitter=0.01)
    broken = lr >= break_lr
    return Outcome(loss=np.where(broken, LN2 * (1 + np.cumsum(broken) / 20), loss))


class FakeRecommend:
    """`experiment=recommend` in `folder`; `trained` has every trained job, `stages` the number of runs of each."""

    def __init__(
        self,
        folder: Path,
        outcome: Callable[[dict[str, Any]], Outcome] = outcome,
        *,
        num_processes: int = PROCESSES,
        **stated: Any,
    ) -> None:
        self.folder, self.outcome, self.num_processes = folder, outcome, num_processes
        self.compare = CompareConfig(**{"looks": [6, 12, 24], "budget_minutes": 10} | stated)
        self.trained: list[Job] = []
        self.stages: list[int] = []
        self.now = 0.0
        self.update_seconds: Callable[[dict[str, Any]], float] = lambda _: UPDATE_SECONDS

    def run(self, *words: str, until: int | None = None) -> None:
        """Runs the command; `until` kills it after that many runs, as `kill -9` would."""
        self._left = until
        run_sweep(self.search(*words), self.plan, self.launch, self.folder, lambda *_: None)

    def search(self, *words: str) -> RecommendSearch:
        parsed = OverridesParser.create().parse_overrides(list(words))
        return RecommendSearch(parsed, self.folder, self.plan, num_processes=self.num_processes, clock=lambda: self.now)

    def plan(self, overrides: Sequence[str]) -> Any:
        job = self.job(overrides)
        config = SimpleNamespace(
            study="study", task=SyntheticTask(), compare=self.compare, force=False,
            scheduler=SchedulerConfig(job.strategy["scheduler"]),
            optimizer=OptimizerConfig("adamw", 1e-3), model=RandomModel(), batch_size=32, grad_accumulation=1,
        )  # fmt: skip
        return SimpleNamespace(
            run_id=job.run_id, name=job.name, arm_id=job.arm_id, strategy=lambda: job.strategy,
            requested_warmup=job.asked, total_steps=job.strategy["total_steps"],
            warmup_steps=job.strategy["warmup_steps"], config=config,
            corpus=SimpleNamespace(train=range(1000), validation=range(96)),
        )  # fmt: skip

    def launch(self, batch: Sequence[Sequence[str]], _: int) -> None:
        self.stages.append(len(batch))
        for overrides in batch:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left = None if self._left is None else self._left - 1
            self._train(self.job(overrides), min(self.num_processes, len(batch)))

    def _train(self, job: Job, num_at_a_time: int) -> None:
        folder = self.folder / job.run_id
        write_run(folder, job, self.outcome(job.strategy), summarised=False)
        result = json.loads((folder / "result.json").read_text())
        seconds = job.strategy["total_steps"] * self.update_seconds(job.strategy)
        if result["speed"]:
            result["speed"] = {"seconds": seconds, "updates_per_second": job.strategy["total_steps"] / seconds}
        (folder / "result.json").write_text(json.dumps(with_digests(folder, result)))
        self.now += seconds / num_at_a_time
        self.trained.append(job)

    def job(self, overrides: Sequence[str]) -> Job:
        values = dict(text.split("=", 1) for text in overrides)
        total = int(values.get("max_steps", TOTAL))
        ratio = float(values.get("warmup_ratio", int(values.get("warmup_steps", total // 10)) / total))
        scheduler = values.get("scheduler", "warmuplinear")
        lr, seed = float(values.get("optimizer.lr", 1e-3)), int(values.get("seed", 0))
        made = make_job(scheduler, ratio, lr, seed, total, f"max_steps={total}")
        return replace(made, overrides=list(overrides))

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "recommend.json").read_text())
        return found
