"""What one run will do, settled before its first file is written: updates, warmup, device and identity.

`make_plan` joins the configuration with the data: it is here that a warmup is held against the number of updates, and
the options of schedule and optimizer against the factories that take them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from warmup_lab.config import (
    ConfigError,
    ModelConfig,
    PretrainedModel,
    RunConfig,
    SchedulerConfig,
    num_steps_per_epoch,
    num_warmup_steps,
)
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
    "tracking", "study", "force", "objective", "compare", "checkpoint_every",  # how it is recorded, not what is run
    "warmup_ratio", "warmup_steps", "warmup_epochs", "epochs", "max_steps",  # replaced by numbers of updates
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One run, resolved."""

    config: RunConfig
    """What was asked for."""
    corpus: Corpus
    """Its texts and labels."""
    steps_per_epoch: int
    """Optimizer updates an epoch."""
    total_steps: int
    """Optimizer updates in all."""
    warmup_steps: int
    """Updates of warmup."""
    multiplier: Schedule
    """Index of the update to learning rate / peak learning rate."""
    device: str
    """As torch names it."""
    precision: str
    """`fp32` or `bf16`."""
    num_threads: int
    """Threads of the CPU."""
    run_id: str
    """First 12 hex digits of the SHA-256 of all that decides the outcome."""
    arm_id: str
    """The same without the seed: runs of one arm differ in it alone."""

    @property
    def name(self) -> str:
        """What people call the run, such as `warmupcosine-w36-s0`, or `warmupcosine-sqrt-w36-s0`."""
        shape = warmup_title(self.shape)
        return f"{self.config.scheduler.name}{f'-{shape}' if shape else ''}-w{self.warmup_steps}-s{self.config.seed}"

    @property
    def shape(self) -> str:
        """The shape of the warmup, such as `polynomial(power=2)`; `none` without it, `own` for a scheduler's own."""
        return self.multiplier.warmup.label if self.warmup_steps else "none"

    @property
    def asked(self) -> str | None:
        """The warmup as it was asked for, such as `10 %`; None where it was asked for in updates."""
        config = self.config
        if is_automatic(config.scheduler):
            return None
        if config.warmup_epochs is not None:
            return f"{config.warmup_epochs:g} epochs"
        if config.warmup_steps is not None or not has_warmup(config.scheduler.name):
            return None
        return f"{100 * (0.1 if config.warmup_ratio is None else config.warmup_ratio):g} %"

    def warmup_in_words(self) -> str:
        """Such as `36 of 360 updates of warmup`; says so where the run ends before its warmup does."""
        shape = warmup_title(self.shape)
        words = f"{self.warmup_steps} of {self.total_steps} updates of {f'{shape} ' if shape else ''}warmup"
        whole = self.multiplier.warmup.warmup_steps
        if whole <= self.total_steps:
            return words
        factor = max(map(self.multiplier.warmup_factor, range(self.total_steps)))
        highest = max(map(self.multiplier, range(self.total_steps)))
        return (
            f"{shape} warmup of {whole} updates in a run of {self.total_steps}, so the peak is never reached (the "
            f"warmup comes to {100 * factor:.3g} % of it, and the lr with its decay to {100 * highest:.3g} % at most)"
        )

    def strategy(self) -> dict[str, Any]:
        """What `result.json` says of how the run was trained; `warmup_ratio` is the share it came to."""
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
    """Reads the data and settles the run; raises `ConfigError` on whatever cannot be run.

    In a multirun `constantlr` crossed with warmups falls back to 0 updates of warmup, so that it can stand in a grid.
    """
    corpus = load_corpus(config.task)
    steps_per_epoch = num_steps_per_epoch(len(corpus.train), config.batch_size, config.grad_accumulation)
    total_steps = config.max_steps or steps_per_epoch * config.epochs
    betas = check_options(config.optimizer).get("betas")
    multiplier = compose_schedule(
        config.scheduler,
        warmup_steps=_asked_steps(config, steps_per_epoch, total_steps, multirun=multirun),
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


def digest_of(identity: dict[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of `identity` as canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _without(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _model_identity(model: ModelConfig) -> dict[str, Any]:
    """The model's section, with the content of weights and tokenizer instead of their paths."""
    values = _without(asdict(model), ("id",))
    if isinstance(model, PretrainedModel):
        from warmup_lab.models import pretrained_folder  # transformers takes seconds to import

        values["path"] = content_digest(pretrained_folder(model))
    elif values.get("tokenizer"):
        values["tokenizer"] = content_digest(values["tokenizer"])
    return values


def _scheduler_identity(config: SchedulerConfig, schedule: Schedule, warmup_steps: int) -> dict[str, Any]:
    """Name and options, and the shape of the warmup where there is one and it is not the scheduler's own."""
    shaped = warmup_steps and has_warmup(config.name) and not uses_default_warmup(config)
    shape = {"warmup": schedule.warmup.label} if shaped else {}
    return {"name": config.name, "options": config.options} | shape


def _asked_steps(config: RunConfig, steps_per_epoch: int, total_steps: int, *, multirun: bool) -> int:
    """Updates of warmup that the configuration asks for; 0 where scheduler or warmup leave no choice.

    Asking all the same is an error, but not in a multirun, so that such a scheduler can stand in a grid of lengths.
    """
    scheduler = config.scheduler
    given = [key for key in ("warmup_ratio", "warmup_steps", "warmup_epochs") if getattr(config, key) is not None]
    if not has_warmup(scheduler.name):
        if not multirun and (config.asks_for_warmup or not uses_default_warmup(scheduler)):
            raise ConfigError(
                f"scheduler={scheduler.name} has no warmup: use scheduler=warmupconstant, or ask for none"
            )
        return 0
    if is_automatic(scheduler):
        asked = [f"{key}={getattr(config, key)}" for key in given]
        asked += ["scheduler.match=t_eff"] if scheduler.match == "t_eff" else []
        if asked and not multirun:
            raise ConfigError(
                f"scheduler.warmup={scheduler.warmup} takes its length from beta2, and {' and '.join(asked)} asks for "
                "another: leave one of them out"
            )
        return 0
    return num_warmup_steps(config, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
