"""The cells of `experiment=recommend`: ramps, a few rates with and without warmup, and a confirmation of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override

from warmup_lab.comparison.recommend import Stage
from warmup_lab.config import FilesTask, PretrainedModel, RunConfig, require
from warmup_lab.schedules import has_warmup, is_automatic
from warmup_lab.sweeps.cells import Grid
from warmup_lab.sweeps.jobs import PlanCell

_WARMUP_KEYS = ("warmup_ratio", "warmup_steps", "warmup_epochs")
RAMP_EXAMPLES = 256
"""Training examples of a ramp. Few are learned early in the ramp, so that few updates at a low lr raise the loss."""
_FROM_SCRATCH = (0.1, 100.0)
_PRETRAINED = (1e-3, 10.0)
"""Start and end of a ramp in units of the optimizer's usual lr: 1e-4 to 0.1 for AdamW, 1e-6 to 1e-2 if pretrained."""


@dataclass(frozen=True)
class Base:
    """What the command asks for, without the lr, the warmup and the seed that a recommendation chooses."""

    common: tuple[str, ...]
    """Overrides of every cell, without those of the schedule and of the length of a run."""
    schedule: tuple[str, ...]
    length: tuple[str, ...]
    """`epochs`, `max_steps`."""
    warmup: tuple[str, ...]
    """The length of the warmup of the warmed runs; empty is 10 %."""
    given_lr: float | None
    first_seed: int

    @classmethod
    def read(cls, overrides: Sequence[Override]) -> Base:
        """Raises `ConfigError` for a key with several values."""
        swept = ", ".join(item.get_key_element() for item in overrides if item.is_sweep_override())
        require(
            not swept,
            f"{swept}: recommend takes one value and chooses the learning rates, warmups and seeds itself; give the "
            "command once for each value, each with a study=NAME",
        )
        texts = {item.get_key_element(): Grid([item]).ask()[0][0] for item in overrides}
        values = {key: text.partition("=")[2] for key, text in texts.items()}
        schedule = [text for key, text in texts.items() if key.split("@")[0].split(".")[0] == "scheduler"]
        length = [texts[key] for key in ("epochs", "max_steps") if key in texts]
        warmup = [texts[key] for key in _WARMUP_KEYS if key in texts]
        apart = {*schedule, *length, *warmup, *(texts.get(key) for key in ("optimizer.lr", "seed"))}
        return cls(
            tuple(text for text in texts.values() if text not in apart),
            tuple(schedule),
            tuple(length),
            tuple(warmup),
            _number(values.get("optimizer.lr"), "optimizer.lr"),
            int(_number(values.get("seed"), "seed") or 0),
        )


def _number(text: str | None, key: str) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        require(False, f"{key}={text}: must be a number")
        raise


class RecommendCells:
    """Makes the cells of each stage."""

    def __init__(self, base: Base, plan_cell: PlanCell) -> None:
        """Raises `ConfigError` if the schedule has no warmup, or the warmup has no update."""
        self._base = base
        plan = plan_cell([*base.common, *base.length, *base.schedule, *base.warmup, f"seed={base.first_seed}"])
        config = plan.config
        self.plan, self._config = plan, config
        require(
            has_warmup(config.scheduler.name),
            f"scheduler={config.scheduler.name} has no warmup, and recommend compares runs with and without one: "
            "use scheduler=warmupconstant",
        )
        asked = ", ".join(base.warmup) or "10 %"
        require(
            plan.warmup_steps > 0,
            f"{asked} is a warmup of 0 of {plan.total_steps} updates: recommend compares runs with and without one, "
            "so give a longer warmup, or train longer",
        )
        self._num_examples = len(plan.corpus.train)
        self.ramp_lrs = _ramp_lrs(config, base.given_lr)

    @property
    def config(self) -> RunConfig:
        return self._config

    @property
    def notes(self) -> list[str]:
        """What to know of the data before anything is trained."""
        task, num_held_out = self._config.task, len(self.plan.corpus.validation)
        if not isinstance(task, FilesTask) or task.validation_file is not None:
            return []
        total = num_held_out + self._num_examples
        return [f"no task.validation_file: {num_held_out:,} of {total:,} examples are set apart to evaluate on"]

    @property
    def eval_updates(self) -> float:
        """Time of an evaluation, in updates: a forward pass is about a third of one."""
        return len(self.plan.corpus.validation) / (self._config.batch_size * self._config.grad_accumulation) / 3

    def of(self, stage: Stage) -> list[list[str]]:
        """The overrides of each cell of a stage."""
        if stage.kind in ("timing", "ramp"):
            return [[*self._ramp(stage), f"seed={seed}"] for seed in stage.seeds]
        is_whole = stage.updates == self.plan.total_steps
        length = self._base.length if is_whole else (f"max_steps={stage.updates}",)
        warmup = self._base.warmup if is_whole else self._shortened_warmup(stage.updates)
        return [
            [*self._base.common, *length, *schedule, f"optimizer.lr={lr:g}", f"seed={seed}"]
            for lr in stage.lrs
            for schedule in (self._without_warmup(), [*self._base.schedule, *warmup])
            for seed in stage.seeds
        ]

    def _shortened_warmup(self, updates: int) -> tuple[str, ...]:
        """The same share of the updates; an automatic warmup has no length."""
        if is_automatic(self._config.scheduler):
            return ()
        return (f"warmup_steps={math.ceil(updates * self.plan.warmup_steps / self.plan.total_steps)}",)

    def _without_warmup(self) -> list[str]:
        """An automatic warmup has no length, so a linear one of 0 updates takes its place."""
        linear = ["scheduler.warmup=linear"] if is_automatic(self._config.scheduler) else []
        shape = ("scheduler.warmup=", "scheduler.match=")
        schedule = [text for text in self._base.schedule if not (linear and text.lstrip("+").startswith(shape))]
        return [*schedule, *linear, "warmup_steps=0"]

    def _ramp(self, stage: Stage) -> list[str]:
        """A rising lr on few examples. The ramp ignores the schedule and the length of the command."""
        start, end = self.ramp_lrs
        own = ("task.limit", "probe.overshoot_every", "probe")
        common = [text for text in self._base.common if text.lstrip("+").partition("=")[0] not in own]
        return [
            *common,
            *([f"task.limit={min(RAMP_EXAMPLES, self._num_examples)}"]),
            "probe.overshoot_every=null",
            f"max_steps={stage.updates}",
            "scheduler=exponentialramp",
            f"scheduler.ramp_start={start / end:.6g}",
            f"optimizer.lr={end:g}",
        ]


def _ramp_lrs(config: RunConfig, given: float | None) -> tuple[float, float]:
    """First and last lr of the ramps: wide enough for the optimizer's usual lr, and for the one that was given."""
    low, high = _PRETRAINED if isinstance(config.model, PretrainedModel) else _FROM_SCRATCH
    start, end = low * config.optimizer.lr, high * config.optimizer.lr
    if given is None:
        return float(f"{start:.6g}"), float(f"{end:.6g}")
    return min(float(f"{start:.6g}"), given / 10), max(float(f"{end:.6g}"), given * 10)
