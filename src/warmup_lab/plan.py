"""The plan of one run, made before the run writes its first file: number of updates, warmup, device and identity.

`make_plan` combines the configuration with the data. It checks the warmup against the number of updates, and the
options of the schedule and the optimizer against the factories that take them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from warmup_lab.config import (
    DEFAULT_WARMUP_RATIO,
    MAX_UPDATES,
    ConfigError,
    ModelConfig,
    PretrainedModel,
    RunConfig,
    SchedulerConfig,
    num_steps_per_epoch,
    num_warmup_steps,
    require,
)
from warmup_lab.metrics import check_metric
from warmup_lab.optimizers import check_options
from warmup_lab.schedules import (
    Schedule,
    compose_schedule,
    has_warmup,
    is_automatic,
    t_eff,
    uses_default_warmup,
    warmup_title,
)
from warmup_lab.system import available_cores, resolve_device, resolve_precision
from warmup_lab.tasks import Corpus, content_digest, load_corpus

_NOT_IDENTITY = (
    "tracking", "study", "output", "force", "objective", "compare", "checkpoint_every",  # do not change what is trained
    "warmup_ratio", "warmup_steps", "warmup_epochs", "epochs", "max_steps",  # replaced by numbers of updates
)  # fmt: skip
"""Keys of the configuration that are not part of `run_id`."""


@dataclass(frozen=True)
class Plan:
    """All that one run needs to know before it starts."""

    config: RunConfig
    """The configuration."""
    corpus: Corpus
    """The texts and labels of the task."""
    steps_per_epoch: int
    """Optimizer updates per epoch."""
    total_steps: int
    """Optimizer updates of the whole run."""
    warmup_steps: int
    """Updates of warmup, at most `total_steps`."""
    multiplier: Schedule
    """Maps the index of an update to learning rate / peak learning rate."""
    device: str
    """Device as torch names it, for example `cuda:0`."""
    precision: str
    """`fp32` or `bf16`."""
    num_threads: int
    """CPU threads."""
    run_id: str
    """First 12 hex digits of the SHA-256 of everything that determines the result."""
    arm_id: str
    """The same without the seed. Runs of one arm differ only in the seed."""

    @property
    def name(self) -> str:
        """A readable name, for example `warmupcosine-w36-lr0.001-s0` or `warmupcosine-sqrt-w36-lr0.001-s0`."""
        config, shape = self.config, warmup_title(self.shape)
        schedule = f"{config.scheduler.name}{f'-{shape}' if shape else ''}"
        return f"{schedule}-w{self.warmup_steps}-lr{config.optimizer.lr:g}-s{config.seed}"

    @property
    def shape(self) -> str:
        """Shape of the warmup, for example `polynomial(power=2)`; `none` if there is none, `own` if the scheduler's."""
        return self.multiplier.warmup.label if self.warmup_steps else "none"

    @property
    def requested_warmup(self) -> str | None:
        """Requested length of the warmup, for example `10 %`; None if it is a number of updates or cannot be set."""
        config = self.config
        if is_automatic(config.scheduler):
            return None
        if config.warmup_epochs is not None:
            return f"{config.warmup_epochs:g} epochs"
        if config.warmup_steps is not None or not has_warmup(config.scheduler.name):
            return None
        ratio = DEFAULT_WARMUP_RATIO if config.warmup_ratio is None else config.warmup_ratio
        return f"{100 * ratio:g} %"

    def describe_warmup(self) -> str:
        """For example `36 of 360 updates of warmup`; warns if the run ends before its warmup."""
        shape = warmup_title(self.shape)
        full_length = self.multiplier.warmup.warmup_steps
        if full_length <= self.total_steps:
            return f"{self.warmup_steps} of {self.total_steps} updates of {f'{shape} ' if shape else ''}warmup"
        factor = max(map(self.multiplier.warmup_factor, range(self.total_steps)))
        highest = max(map(self.multiplier, range(self.total_steps)))
        return (
            f"{shape} warmup of {full_length} updates in a run of {self.total_steps}: the lr never reaches its peak "
            f"(the warmup reaches {100 * factor:.3g} % of it, and the lr with its decay at most {100 * highest:.3g} %)"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and was probably not meant, one line each."""
        config, num_examples = self.config, len(self.corpus.train)
        asked = config.batch_size * config.grad_accumulation
        if asked <= num_examples:
            return ()
        factor = f" x grad_accumulation={config.grad_accumulation}" if config.grad_accumulation > 1 else ""
        return (
            f"batch_size={config.batch_size}{factor} is more than the {num_examples} training examples, so every "
            "update uses all of them and an epoch is one update",
        )

    def strategy(self) -> dict[str, Any]:
        """The section `strategy` of `result.json`; `warmup_ratio` is the resulting share of the updates."""
        config = self.config
        return {
            "scheduler": config.scheduler.name,
            "warmup_steps": self.warmup_steps,
            "warmup_ratio": self.warmup_steps / self.total_steps,
            "warmup": self.shape,
            "t_eff": t_eff(self.multiplier, self.total_steps),
            "total_steps": self.total_steps,
            "optimizer": config.optimizer.name,
            "lr": config.optimizer.lr,
            "seed": config.seed,
            "task": config.task.title,
            "model": config.model.title,
        }


def make_plan(config: RunConfig, *, multirun: bool = False) -> Plan:
    """Reads the data and plans the run.

    In a multirun, a scheduler without warmup (`constantlr`) ignores the requested warmup, so it can be part of a grid
    over warmup lengths.

    Raises:
        ConfigError: the configuration cannot be run.
    """
    _check_metrics(config)
    corpus = load_corpus(config.task)
    steps_per_epoch = num_steps_per_epoch(len(corpus.train), config.batch_size, config.grad_accumulation)
    total_steps = config.max_steps or steps_per_epoch * config.epochs
    require(total_steps <= MAX_UPDATES, f"epochs={config.epochs} is {total_steps:,} updates; at most {MAX_UPDATES:,}")
    betas = check_options(config.optimizer).get("betas")
    multiplier = compose_schedule(
        config.scheduler,
        warmup_steps=_requested_steps(config, steps_per_epoch, total_steps, multirun=multirun),
        total_steps=total_steps,
        peak_lr=config.optimizer.lr,
        beta2=betas[1] if betas else None,
        optimizer=config.optimizer.name,
    )
    warmup_steps = min(total_steps, multiplier.warmup.warmup_steps)
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    num_threads = config.num_threads or available_cores()
    identity = {
        **_without(asdict(config), _NOT_IDENTITY),
        "task": {"digest": corpus.digest, "metric": config.task.metric, "max_length": config.task.max_length},
        "model": _model_identity(config.model),
        "scheduler": _scheduler_identity(config.scheduler, multiplier, warmup_steps),
        "total_steps": total_steps,
        "warmup_steps": warmup_steps,
        "device": device,
        "precision": precision,
        "num_threads": num_threads,
    }
    return Plan(
        config, corpus, steps_per_epoch, total_steps, warmup_steps, multiplier,
        device, precision, num_threads, digest_of(identity), digest_of(_without(identity, ("seed",))),
    )  # fmt: skip


def _check_metrics(config: RunConfig) -> None:
    """Refuses an `objective` or a `compare.metric` that no run will have."""
    for key, name in (("objective", config.objective), ("compare.metric", config.compare.metric)):
        check_metric(
            key,
            name,
            task_metric=config.task.metric,
            has_overshoot="overshoot" in config.probe.wanted,
            compares=key == "compare.metric",
        )


def digest_of(identity: dict[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of `identity` as canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _without(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _model_identity(model: ModelConfig) -> dict[str, Any]:
    """The model's section, with digests of weights and tokenizer instead of their paths."""
    values = _without(asdict(model), ("id",))
    if isinstance(model, PretrainedModel):
        from warmup_lab.models import pretrained_folder  # here, because importing transformers takes seconds

        values["path"] = content_digest(pretrained_folder(model))
    elif values.get("tokenizer"):
        values["tokenizer"] = content_digest(values["tokenizer"], key="model.tokenizer")
    return values


def _scheduler_identity(config: SchedulerConfig, schedule: Schedule, warmup_steps: int) -> dict[str, Any]:
    """Name and options, and the shape of the warmup if there is one and it is not the default."""
    shaped = warmup_steps and has_warmup(config.name) and not uses_default_warmup(config)
    shape = {"warmup": schedule.warmup.label} if shaped else {}
    return {"name": config.name, "options": config.options} | shape


def _requested_steps(config: RunConfig, steps_per_epoch: int, total_steps: int, *, multirun: bool) -> int:
    """The requested updates of warmup; 0 if the scheduler has no warmup, or the warmup sets its own length.

    To request a length in these two cases is an error, except in a multirun, where they may be part of a grid.
    """
    scheduler = config.scheduler
    given = [key for key in ("warmup_ratio", "warmup_steps", "warmup_epochs") if getattr(config, key) is not None]
    if not has_warmup(scheduler.name):
        if not multirun and (config.asks_for_warmup or not uses_default_warmup(scheduler)):
            raise ConfigError(
                f"scheduler={scheduler.name} has no warmup: use scheduler=warmupconstant, or request no warmup"
            )
        return 0
    if is_automatic(scheduler):
        lengths = [f"{key}={getattr(config, key)}" for key in given]
        lengths += ["scheduler.match=t_eff"] if scheduler.match == "t_eff" else []
        if lengths and not multirun:
            raise ConfigError(
                f"scheduler.warmup={scheduler.warmup} takes its length from beta2, and {' and '.join(lengths)} sets "
                "another: remove one of them"
            )
        return 0
    return num_warmup_steps(config, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
