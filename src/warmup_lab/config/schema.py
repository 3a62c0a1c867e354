"""The schema of the configuration: one frozen dataclass per section, with a docstring under every field.

A wrong value raises `ConfigError` at construction. Checks that need the data or a registry are in `plan`: the warmup
against the number of updates, and the options of an optimizer or a schedule against its factory.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmup_lab.config.errors import ConfigError, require, require_positive, require_seed, suggestion
from warmup_lab.config.foreign_keys import advice
from warmup_lab.config.locations import check_output, check_study
from warmup_lab.config.model_schema import ModelConfig
from warmup_lab.config.task_schema import TaskConfig


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer by name, and the keyword arguments of its factory."""

    name: str
    """Name of the optimizer, a key of `optimizers.OPTIMIZERS`, such as `adamw`."""
    lr: float
    """Peak learning rate, finite and above 0."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Other keyword arguments of the factory: `betas`, `eps`, `weight_decay`, ..."""

    def __post_init__(self) -> None:
        good = self.lr > 0 and math.isfinite(self.lr)
        require(good, f"optimizer.lr={self.lr}: must be a finite number above 0, such as 1e-3")


@dataclass(frozen=True)
class SchedulerConfig:
    """A schedule by name, the keyword arguments of its factory, and the shape of its warmup."""

    name: str
    """Name of the schedule, a key of `schedules.SCHEDULES`, such as `warmuplinear`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Other keyword arguments of the factory, such as `num_cycles`."""
    warmup: str = "linear"
    """Shape of the warmup: `linear`, `cosine`, `polynomial`, `exponential`, `sqrt` or `step`.

    `untuned_linear`, `untuned_exponential`, `radam` and `giadam` have no length setting: it follows from beta2.
    """
    start_factor: float = 0.0
    """Share of the peak learning rate at which the warmup starts, in [0, 1)."""
    skip_zero: bool = False
    """Whether to skip the update at `start_factor`: update t of W has progress (t + 1) / (W + 1) instead of t / W."""
    match: str = "length"
    """Meaning of the configured warmup length.

    `length`: the number of warmup updates. `t_eff`: the length of the linear warmup whose T_eff, the sum over updates
    of 1 - factor, this warmup must match.
    """
    warmup_power: float = 2.0
    """Exponent of the polynomial warmup, finite and above 0."""
    warmup_rate: float = 5.0
    """Rate k of the exponential warmup (1 - exp(-k p)) / (1 - exp(-k)), in [-100, 100] but not 0."""
    warmup_level: float = 0.1
    """Share of the peak learning rate at which the step warmup stays, in [0, 1)."""

    def __post_init__(self) -> None:
        if re.fullmatch(r"[\d.]+%?", self.warmup):
            raise ConfigError(f"scheduler.warmup={self.warmup}: must be a shape, such as linear; for the length "
                              f"{advice('warmup', self.warmup)}")  # fmt: skip
        for key in ("start_factor", "warmup_level"):
            value = getattr(self, key)
            require(0 <= value < 1, f"scheduler.{key}={value}: must be in [0, 1), such as 0.1")
        power, rate = self.warmup_power, self.warmup_rate
        require(0 < power < math.inf, f"scheduler.warmup_power={power}: must be above 0, such as 2")
        require(
            rate != 0 and abs(rate) <= 100,
            f"scheduler.warmup_rate={rate}: must be between -100 and 100, but not 0",
        )
        known = ("length", "t_eff")
        require(self.match in known, f"unknown scheduler.match {self.match!r}{suggestion(self.match, known)}")


@dataclass(frozen=True)
class TrackingConfig:
    """Weights & Biases. The local files are written in any case."""

    kind: str = "wandb"
    """`wandb` or `none`."""
    mode: str = "auto"
    """`online`, `offline`, or `auto`: online if a key is set and the server is reachable, else offline."""
    project: str | None = None
    """Project on the server. Null means `WANDB_PROJECT`, or `warmup-lab` if that is not set."""
    entity: str | None = None
    """User or team on the server. Null means `WANDB_ENTITY`, or the account's default if that is not set."""
    log_every: int = 1
    """Updates between two logged rows of history, at least 1."""
    collect: bool = False
    """Whether W&B collects what it collects by default: console, git state, host, program and environment."""

    def __post_init__(self) -> None:
        require(self.kind in ("wandb", "none"), f"unknown tracking.kind {self.kind!r}. Known: none, wandb")
        require(self.mode != "disabled", "tracking.mode=disabled: type tracking=none")
        modes = ("auto", "online", "offline")
        require(self.mode in modes, f"unknown tracking.mode {self.mode!r}{suggestion(self.mode, modes)}")
        require_positive(self.log_every, "tracking.log_every")


PROBE_NAMES = ("overshoot", "sharpness", "critical_lr", "layers")
"""The probes, in the order of their columns in the trace."""


@dataclass(frozen=True)
class ProbeConfig:
    """Optional measurements during training. Each probe adds columns to the trace."""

    overshoot_every: int | None = None
    """Updates between two measurements of whether an update raised the loss on its own batch. Null turns it off."""
    sharpness_every: int | None = None
    """Updates between two measurements of the top eigenvalues of the Hessian, plain and preconditioned.

    Null turns it off.
    """
    critical_lr_every: int | None = None
    """Updates between two measurements of the learning rate above which the update would raise the loss.

    Null turns it off.
    """
    layers_every: int | None = None
    """Updates between two measurements of each layer: gradient, relative update, similarity to the initial weights.

    Null turns it off.
    """
    batch_size: int = 64
    """Number of training examples in the fixed batch that every probe except overshoot uses, at least 1."""

    def __post_init__(self) -> None:
        require_positive(self.batch_size, "probe.batch_size")
        for name in PROBE_NAMES:
            require_positive(getattr(self, f"{name}_every"), f"probe.{name}_every")

    @property
    def wanted(self) -> dict[str, int]:
        """The probes that are on, with the number of updates between two measurements."""
        periods = {name: getattr(self, f"{name}_every") for name in PROBE_NAMES}
        return {name: every for name, every in periods.items() if every}


MIN_SEEDS_OF_LOOK = 6
"""With 5 seeds, the smallest two-sided p of a sign test is 0.0625."""


@dataclass(frozen=True)
class CompareConfig:
    """The design of a comparison, stated before its runs start."""

    metric: str = "eval_loss"
    """Primary metric, such as `eval_loss`, `eval_accuracy`, `roughness` or `early/roughness`."""
    reference: str | None = None
    """Arm to compare with. Null means the arm that differs only in warmup and has 10 %."""
    margin: float | None = None
    """Largest difference of the metric that does not matter, above 0. Null means no equivalence test."""
    failure_margin: float = 0.2
    """Largest difference of failure rates that does not matter, in (0, 1)."""
    looks: list[int] | None = None
    """Numbers of seeds at which the comparison is judged, rising, the first at least 6, such as `[6, 12, 24]`.

    Arms that are decided at a look get no more seeds. Null trains all seeds and judges once.
    """
    budget_minutes: float | None = None
    """Minutes that the runs of a sweep with `looks` may take, above 0. Null means no limit.

    The sweep ends before a look that is estimated not to fit. Runs of earlier commands in the same folder count.
    """

    def __post_init__(self) -> None:
        margin, looks, budget = self.margin, self.looks, self.budget_minutes
        require(margin is None or 0 < margin < math.inf, f"compare.margin={margin}: must be above 0, or null")
        require(
            0 < self.failure_margin < 1,
            f"compare.failure_margin={self.failure_margin}: must be between 0 and 1, such as 0.2",
        )
        if looks is not None:
            rising = all(low < high for low, high in itertools.pairwise(looks))
            require(
                bool(looks) and rising and looks[0] >= MIN_SEEDS_OF_LOOK,
                f"compare.looks={looks}: must be rising numbers of seeds, the first at least {MIN_SEEDS_OF_LOOK}, "
                "such as [6,12,24]",
            )
        require(budget is None or budget > 0, f"compare.budget_minutes={budget}: must be above 0, or null")
        require(
            budget is None or looks is not None,
            f"compare.budget_minutes={budget}: needs compare.looks, because a sweep ends between looks",
        )


MAX_UPDATES = 10_000_000
"""Updates of a run, which are also the rows of its trace."""


@dataclass(frozen=True)
class RunConfig:
    """The configuration of one training run."""

    task: TaskConfig
    """The data and its metric."""
    model: ModelConfig
    """The classifier."""
    optimizer: OptimizerConfig
    """The optimizer and its peak learning rate."""
    scheduler: SchedulerConfig
    """The learning-rate schedule."""
    tracking: TrackingConfig = TrackingConfig(kind="none")
    """Experiment tracking in addition to the local files."""
    probe: ProbeConfig = ProbeConfig()
    """Optional measurements during training."""
    compare: CompareConfig = CompareConfig()
    """The design of the comparison that a sweep ends with."""
    seed: int = 0
    """Seed of initial weights, data order and dropout, at least 0. All strategies share them at equal seeds."""
    study: str = "sweep"
    """Name of the folder of a sweep below `output`."""
    output: str = "runs"
    """Where results are: a folder, or the URL of an object store, such as `s3://bucket/runs`."""
    epochs: int = 3
    """Number of passes over the training data, at least 1."""
    max_steps: int | None = None
    """Total number of updates, at least 1. Null means `epochs` decides."""
    batch_size: int = 32
    """Number of examples per forward pass, at least 1."""
    grad_accumulation: int = 1
    """Number of forward passes per update, at least 1."""
    max_grad_norm: float | None = 1.0
    """Global L2 norm that gradients are clipped to, above 0. Null disables clipping."""
    eval_every: int | None = 100
    """Updates between two evaluations, at least 1. Null evaluates only at the end."""
    checkpoint_every: int | None = None
    """Updates between two checkpoints, at least 1. Null saves a checkpoint every minute."""
    save_model: bool = False
    """Whether to save the trained model in the run's folder."""
    warmup_ratio: float | None = None
    """Warmup as a share of all updates, in [0, 1]. Set at most one of the three warmup keys; none means 10 %."""
    warmup_steps: int | None = None
    """Warmup in updates, at least 0 and at most all updates of the run."""
    warmup_epochs: float | None = None
    """Warmup in epochs, at least 0 and at most all epochs of the run."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: `cuda` if there is a GPU, else `cpu`."""
    precision: str = "auto"
    """`fp32`, `bf16` (autocast), or `auto`: bf16 on a GPU that supports it, else fp32."""
    num_threads: int | None = None
    """Number of CPU threads, at least 1.

    Null, or `auto` on the command line, means all cores in a single run. A multirun uses 1, so that launchers agree bit
    for bit.
    """
    force: bool = False
    """Whether to train again even if a finished run exists."""
    objective: str = "eval_loss"
    """Metric that the run returns to the sweeper, such as `eval_loss` or `roughness`."""

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "grad_accumulation", "eval_every", "checkpoint_every"):
            require_positive(getattr(self, key), key)
        require_positive(self.max_steps, "max_steps", most=MAX_UPDATES)
        require_positive(self.num_threads, "num_threads", most=1024)
        require_seed(self.seed, "seed")
        norm = self.max_grad_norm
        require(norm is None or norm > 0, f"max_grad_norm={norm}: must be above 0, or null for no clipping")
        require(self.device != "gpu", "device=gpu: type device=cuda")
        known = ("auto", "fp32", "bf16")
        require(
            self.precision in known,
            f"unknown precision {self.precision!r}{suggestion(self.precision, known)}",
        )
        check_study(self.study)
        check_output(self.output, force=self.force)
        self._check_warmup()

    def _check_warmup(self) -> None:
        keys = ("warmup_ratio", "warmup_steps", "warmup_epochs")
        given = {key: value for key in keys if (value := getattr(self, key)) is not None}
        if len(given) > 1:
            both = " and ".join(f"{key}={value}" for key, value in given.items())
            raise ConfigError(f"{both}: give one of them (the other as {next(iter(given))}=null)")
        for key, value in given.items():
            require(value >= 0, f"{key}={value}: must not be negative")  # also refuses nan
        require(self.warmup_epochs != math.inf, "warmup_epochs=inf: must be a finite number")
        ratio = self.warmup_ratio
        if ratio is not None and ratio > 1:
            instead = [f"for {ratio:g} % type warmup_ratio={ratio / 100:g}"] if ratio <= 100 else []
            instead += [f"for {ratio:g} updates type warmup_steps={ratio:g}"] if ratio == ratio // 1 else []
            raise ConfigError("; ".join([f"warmup_ratio={ratio:g}: must be in [0, 1]", *instead]))

    @property
    def asks_for_warmup(self) -> bool:
        """Whether a warmup key is set to more than 0. False also if the default of 10 % applies."""
        return bool(self.warmup_ratio or self.warmup_steps or self.warmup_epochs)
