"""The schema of the configuration: one frozen dataclass a section, a docstring under every field.

A wrong value raises `ConfigError` at construction and says the value and the mend. What needs the data or a
registry is judged by `plan`: warmup against the number of updates, the options of an optimizer or a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmup_lab.config.errors import ConfigError, require, require_positive, suggestion
from warmup_lab.config.model_schema import ModelConfig
from warmup_lab.config.task_schema import TaskConfig

# ---------------------------------------------------------------------------- optimizer, scheduler and others


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer by name; `options` are keyword arguments of its factory in `optimizers.OPTIMIZERS`."""

    name: str
    """A name of `optimizers.OPTIMIZERS`."""
    lr: float
    """Peak learning rate, above 0."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the factory takes: `betas`, `eps`, `weight_decay`, ..."""

    def __post_init__(self) -> None:
        good = self.lr > 0 and math.isfinite(self.lr)
        require(good, f"optimizer.lr={self.lr}: must be a finite number above 0, such as 1e-3")


@dataclass(frozen=True)
class SchedulerConfig:
    """A schedule by name; `options` are keyword arguments of its factory in `schedules.SCHEDULES`."""

    name: str
    """A name of `schedules.SCHEDULES`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the factory takes, such as `num_cycles`."""
    warmup: str = "linear"
    """A name of `warmups.WARMUPS`, the shapes, or of `warmups.AUTOMATIC`, which take their length from beta2."""
    start_factor: float = 0.0
    """Factor of the peak at which the warmup starts, in [0, 1)."""
    skip_zero: bool = False
    """Leave out the update at `start_factor`: update t of W is at (t + 1) / (W + 1) of the warmup, not t / W."""
    match: str = "length"
    """What the length asked for means: updates (`length`), or the `t_eff` of a linear warmup of so many updates."""
    warmup_power: float = 2.0
    """Exponent of the polynomial warmup, above 0."""
    warmup_rate: float = 5.0
    """k of the exponential warmup: (1 - exp(-k p)) / (1 - exp(-k)); not 0."""
    warmup_level: float = 0.1
    """Factor at which the step warmup holds, in [0, 1)."""

    def __post_init__(self) -> None:
        for key in ("start_factor", "warmup_level"):
            value = getattr(self, key)
            require(0 <= value < 1, f"scheduler.{key}={value}: must lie in [0, 1), such as 0.1")
        power, rate = self.warmup_power, self.warmup_rate
        require(0 < power < math.inf, f"scheduler.warmup_power={power}: must be above 0, such as 2")
        require(rate != 0 and abs(rate) <= 100, f"scheduler.warmup_rate={rate}: must not be 0, nor beyond 100")
        known = ("length", "t_eff")
        require(self.match in known, f"unknown scheduler.match {self.match!r}{suggestion(self.match, known)}")


@dataclass(frozen=True)
class TrackingConfig:
    """Weights & Biases beside the local files, which are always written."""

    kind: str = "wandb"
    """`wandb` or `none`."""
    mode: str = "auto"
    """`auto` (online when a key and a reachable server are there, else offline), `online` or `offline`."""
    project: str = "warmup-lab"
    """Project on the server."""
    entity: str | None = None
    """User or team; null is the account's own."""
    log_every: int = 1
    """Updates between two rows of history."""
    collect: bool = False
    """Let W&B collect console, git state, host, program and environment as it does by default."""

    def __post_init__(self) -> None:
        require(self.kind in ("wandb", "none"), f"unknown tracking.kind {self.kind!r}. Known: none, wandb")
        modes = ("auto", "online", "offline")
        require(self.mode in modes, f"unknown tracking.mode {self.mode!r}{suggestion(self.mode, modes)}")
        require_positive(self.log_every, "tracking.log_every")


PROBE_NAMES = ("overshoot", "sharpness", "critical_lr", "layers")
"""The probes, in the order of their columns."""


@dataclass(frozen=True)
class ProbeConfig:
    """Optional instruments in the loop; each writes columns to the trace."""

    overshoot_every: int | None = None
    """Updates between two measurements of whether the loss on the same batch rose; null never."""
    sharpness_every: int | None = None
    """Updates between two measurements of the top eigenvalues of the Hessian, plain and preconditioned; null never."""
    critical_lr_every: int | None = None
    """Updates between two measurements of the rate above which the update would raise the loss; null never."""
    layers_every: int | None = None
    """Updates between two measurements of each layer's gradient, relative update and similarity to the start."""
    batch_size: int = 64
    """Training examples of the fixed batch that all probes but overshoot measure on."""

    def __post_init__(self) -> None:
        require_positive(self.batch_size, "probe.batch_size")
        for name in PROBE_NAMES:
            require_positive(getattr(self, f"{name}_every"), f"probe.{name}_every")

    @property
    def wanted(self) -> dict[str, int]:
        """The probes that are on, with the updates between two of their measurements."""
        periods = {name: getattr(self, f"{name}_every") for name in PROBE_NAMES}
        return {name: every for name, every in periods.items() if every}


@dataclass(frozen=True)
class CompareConfig:
    """What a comparison states beforehand."""

    metric: str = "eval_loss"
    """Primary metric: a key of `metrics`, or of oscillation, as `roughness` or `early/roughness`."""
    reference: str | None = None
    """Arm to compare with; null is the arm that differs only in warmup and has 10 %."""
    margin: float | None = None
    """Difference of the metric that would not matter, for equivalence; null tests none."""

    def __post_init__(self) -> None:
        margin = self.margin
        require(margin is None or margin > 0, f"compare.margin={margin}: must be above 0, or null")


@dataclass(frozen=True)
class RunConfig:
    """One training run, whole."""

    task: TaskConfig
    """What to learn."""
    model: ModelConfig
    """What learns it."""
    optimizer: OptimizerConfig
    """How weights are updated."""
    scheduler: SchedulerConfig
    """How the learning rate moves."""
    tracking: TrackingConfig = TrackingConfig(kind="none")
    """Where the run is recorded besides its folder."""
    probe: ProbeConfig = ProbeConfig()
    """Optional instruments."""
    compare: CompareConfig = CompareConfig()
    """What a comparison of a sweep's runs states beforehand."""
    seed: int = 0
    """Seed of initial weights, data order and dropout: at one seed all strategies share them."""
    study: str = "sweep"
    """Folder of a sweep under `runs/`."""
    epochs: int = 3
    """Passes over the training data."""
    max_steps: int | None = None
    """Updates in all, instead of `epochs`."""
    batch_size: int = 32
    """Examples of one forward pass."""
    grad_accumulation: int = 1
    """Forward passes an update."""
    max_grad_norm: float | None = 1.0
    """Global L2 norm that gradients are clipped to; null does not clip."""
    eval_every: int | None = 100
    """Updates between two evaluations; null evaluates at the end alone."""
    checkpoint_every: int | None = None
    """Updates between two checkpoints; null saves one a minute."""
    save_model: bool = False
    """Keep the trained model in the run's folder."""
    warmup_ratio: float | None = None
    """Warmup as a share of all updates, in [0, 1]."""
    warmup_steps: int | None = None
    """Warmup in updates."""
    warmup_epochs: float | None = None
    """Warmup in epochs."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    precision: str = "auto"
    """`fp32`, `bf16` (autocast), or `auto`: bf16 on a GPU that has it."""
    num_threads: int | None = None
    """Threads of the CPU; null (`auto`) is every core in a single run and 1 in a multirun."""
    force: bool = False
    """Train anew although a finished run is there."""
    objective: str = "eval_loss"
    """Metric handed to a sweeper."""

    def __post_init__(self) -> None:
        for key in (
            "epochs",
            "max_steps",
            "batch_size",
            "grad_accumulation",
            "eval_every",
            "checkpoint_every",
        ):
            require_positive(getattr(self, key), key)
        require_positive(self.num_threads, "num_threads")
        require(self.seed >= 0, f"seed={self.seed}: must not be negative")
        norm = self.max_grad_norm
        require(norm is None or norm > 0, f"max_grad_norm={norm}: must be above 0, or null for no clipping")
        known = ("auto", "fp32", "bf16")
        require(
            self.precision in known,
            f"unknown precision {self.precision!r}{suggestion(self.precision, known)}",
        )
        require(bool(self.study) and self.study not in (".", "..") and not set("/\\") & set(self.study),
                f"study={self.study!r}: must be a plain folder name")  # fmt: skip
        self._check_warmup()

    def _check_warmup(self) -> None:
        keys = ("warmup_ratio", "warmup_steps", "warmup_epochs")
        given = {key: value for key in keys if (value := getattr(self, key)) is not None}
        if len(given) > 1:
            both = " and ".join(f"{key}={value}" for key, value in given.items())
            raise ConfigError(f"{both}: give one of them (the other as {next(iter(given))}=null)")
        for key, value in given.items():
            require(value >= 0, f"{key}={value}: must not be negative")  # also refuses nan
        ratio = self.warmup_ratio
        require(ratio is None or ratio <= 1, f"warmup_ratio={ratio}: must lie in [0, 1]; 0.1 is 10 %")

    @property
    def asks_for_warmup(self) -> bool:
        return bool(self.warmup_ratio or self.warmup_steps or self.warmup_epochs)
