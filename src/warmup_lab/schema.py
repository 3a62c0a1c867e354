"""The schema of the configuration: one frozen dataclass a section, a docstring under every field.

A wrong value raises `ConfigError` at construction and says the value and the mend. What needs the data or a
registry is judged by `plan`: warmup against the number of updates, the options of an optimizer or a schedule.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class ConfigError(ValueError):
    """A wrong value, key or combination; the message says the value and how to mend it."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'? Known: ...` for an unknown `name`."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ".") + f" Known: {', '.join(names)}"


def lookup(registry: Mapping[str, Any], name: str, what: str) -> Any:
    """The registry's entry of that name, in any case of letters."""
    if name.lower() not in registry:
        raise ConfigError(f"unknown {what} {name!r}{suggestion(name.lower(), registry)}")
    return registry[name.lower()]


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_positive(value: float | None, key: str) -> None:
    require(value is None or value > 0, f"{key}={value}: must be at least 1")


# ---------------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class TaskConfig:
    """What every task has, wherever its texts come from."""

    kind: str = ""
    """Where the texts come from: `synthetic`, `files` or `hub`."""
    id: str | None = None
    """The name shown in results, and the folder under `WARMUP_LAB_DATA`; by default made from the source."""
    metric: str = "accuracy"
    """The task's own metric beside loss and accuracy: `accuracy`, `f1` or `matthews_correlation`."""
    max_length: int = 128
    """Tokens an example is cut to, special tokens included."""
    limit: int | None = None
    """Training examples to use: a random subset, the same for every training seed; null is all."""
    data_seed: int = 0
    """Seed of what is drawn about the data (grammar, subset, validation split)."""

    def __post_init__(self) -> None:
        require(self.max_length >= 8, f"task.max_length={self.max_length}: must be at least 8 tokens")
        _require_positive(self.limit, "task.limit")
        require(self.data_seed >= 0, f"task.data_seed={self.data_seed}: must not be negative")
        known = ("accuracy", "f1", "matthews_correlation")
        require(self.metric in known, f"unknown task.metric {self.metric!r}{suggestion(self.metric, known)}")

    @property
    def title(self) -> str:
        return self.id or self.kind


@dataclass(frozen=True)
class SyntheticTask(TaskConfig):
    """Sentences of a small grammar with negation and distractors, made from `data_seed`."""

    num_train: int = 3821
    """Training sentences."""
    num_validation: int = 800
    """Validation sentences; their labels carry no noise."""
    label_noise: float = 0.05
    """Share of training labels that are flipped, in [0, 0.5)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_train >= 2, f"task.num_train={self.num_train}: must be at least 2")
        require(self.num_validation >= 2, f"task.num_validation={self.num_validation}: must be at least 2")
        require(0 <= self.label_noise < 0.5, f"task.label_noise={self.label_noise}: must lie in [0, 0.5)")


@dataclass(frozen=True)
class FilesTask(TaskConfig):
    """One's own data: CSV, TSV (read without quoting), JSON Lines or Parquet."""

    train_file: str | None = None
    """Path of the training data."""
    validation_file: str | None = None
    """Path of the validation data; null splits `validation_share` off the training data, stratified."""
    validation_share: float = 0.1
    """Share split off where no validation file is given, in (0, 1)."""
    text_columns: list[str] | None = None
    """One or two columns of text; null is every column but the label and an `index`, `id` or `idx`."""
    label_column: str = "label"
    """Column of the labels, strings or numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.validation_share
        require(0 < share < 1, f"task.validation_share={share}: must lie between 0 and 1")

    @property
    def title(self) -> str:
        return self.id or (self.train_file or "files").replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]


@dataclass(frozen=True)
class HubTask(TaskConfig):
    """A data set of the Hugging Face hub, of a local folder, or of `WARMUP_LAB_DATA`."""

    path: str | None = None
    """Hub id or folder, as `datasets.load_dataset` takes it."""
    name: str | None = None
    """Configuration of the data set, such as `sst2` of `nyu-mll/glue`."""
    train_split: str = "train"
    """Split to train on."""
    validation_split: str = "validation"
    """Split to evaluate on."""
    text_columns: list[str] | None = None
    """One or two columns of text; null is every string column but the label and an index."""
    label_column: str = "label"
    """Column of the labels."""
    revision: str | None = None
    """Branch, tag or commit of the data set."""

    @property
    def title(self) -> str:
        return self.id or "-".join(part.rsplit("/", 1)[-1] for part in (self.path, self.name) if part) or "hub"


# --------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class ModelConfig:
    """What every model has."""

    kind: str = ""
    """`bert` and `preln` (BERT with the LayerNorm before each block) from random weights, or `pretrained`."""
    id: str | None = None
    """The name shown in results; by default made from the source."""

    @property
    def title(self) -> str:
        return self.id or self.kind


@dataclass(frozen=True)
class RandomModel(ModelConfig):
    """An encoder from random weights."""

    num_layers: int = 2
    """Transformer blocks."""
    hidden_size: int = 128
    """Width; the feed-forward layers are 4 times as wide."""
    num_heads: int = 2
    """Attention heads; they divide the width."""
    dropout: float = 0.1
    """Dropout of hidden states, attention and classifier, in [0, 1)."""
    vocab_size: int = 8192
    """At most so many WordPiece units, learned from the training texts."""
    tokenizer: str | None = None
    """Folder or hub id of a ready tokenizer, instead of learning one."""

    def __post_init__(self) -> None:
        for key in ("num_layers", "hidden_size", "num_heads"):
            _require_positive(getattr(self, key), f"model.{key}")
        require(
            self.hidden_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide model.hidden_size={self.hidden_size}",
        )
        require(0 <= self.dropout < 1, f"model.dropout={self.dropout}: must lie in [0, 1)")
        require(self.vocab_size >= 100, f"model.vocab_size={self.vocab_size}: must be at least 100")


@dataclass(frozen=True)
class PretrainedModel(ModelConfig):
    """A classifier on a pretrained encoder: safetensors only, never remote code."""

    path: str | None = None
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    dropout: float | None = None
    """Dropout instead of the model's own; null keeps it."""

    def __post_init__(self) -> None:
        require(bool(self.path), "model=pretrained needs model.path=<folder or hub id>")
        dropout = self.dropout
        require(dropout is None or 0 <= dropout < 1, f"model.dropout={dropout}: must lie in [0, 1)")

    @property
    def title(self) -> str:
        return self.id or str(self.path).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


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
        _require_positive(self.log_every, "tracking.log_every")


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
        _require_positive(self.batch_size, "probe.batch_size")
        for name in PROBE_NAMES:
            _require_positive(getattr(self, f"{name}_every"), f"probe.{name}_every")

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
            _require_positive(getattr(self, key), key)
        _require_positive(self.num_threads, "num_threads")
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


TASK_KINDS: dict[str, type[TaskConfig]] = {"synthetic": SyntheticTask, "files": FilesTask, "hub": HubTask}
MODEL_KINDS: dict[str, type[ModelConfig]] = {
    "bert": RandomModel,
    "preln": RandomModel,
    "pretrained": PretrainedModel,
}
