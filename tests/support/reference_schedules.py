"""Schedules to compare with: those of torch and transformers, and short ways to build ours."""

from __future__ import annotations

import math

import torch
import transformers

from warmup_lab.config.schema import SchedulerConfig
from warmup_lab.config.steps import ceil_share
from warmup_lab.schedules.registry import compose_schedule, make_schedule
from warmup_lab.schedules.warmups import Schedule

WARMUP_CASES = [
    ({"warmup": "linear"}, [0, 0.25, 0.5, 0.75]),
    ({"warmup": "cosine"}, [0, (1 - 2**-0.5) / 2, 0.5, (1 + 2**-0.5) / 2]),
    ({"warmup": "polynomial"}, [0, 1 / 16, 1 / 4, 9 / 16]),
    ({"warmup": "polynomial", "warmup_power": 0.5}, [0, 0.5, 0.5**0.5, 0.75**0.5]),
    ({"warmup": "exponential", "warmup_rate": 4 * math.log(2)}, [0, 8 / 15, 12 / 15, 14 / 15]),
    ({"warmup": "exponential", "warmup_rate": -4 * math.log(2)}, [0, 1 / 15, 3 / 15, 7 / 15]),
    ({"warmup": "sqrt"}, [0, 1 - 0.75**0.5, 1 - 0.5**0.5, 0.5]),
    ({"warmup": "step"}, [0.1] * 4),
    ({"warmup": "step", "warmup_level": 0.5, "start_factor": 0.5}, [0.75] * 4),
    ({"start_factor": 0.2}, [0.2, 0.4, 0.6, 0.8]),
    ({"skip_zero": True}, [0.2, 0.4, 0.6, 0.8]),
    ({"warmup": "polynomial", "start_factor": 0.5}, [0.5, 0.53125, 0.625, 0.78125]),
]
"""Keys of `SchedulerConfig`, and the factors of a warmup of 4 updates, calculated by hand."""


def learning_rates(make_scheduler, *, num_steps: int, peak: float = 1.0) -> list[float]:
    """The learning rate of each update under a torch scheduler, stepped as in a training loop."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def transformers_multipliers(name, warmup_steps: int, total_steps: int, peak: float, **options) -> list[float]:
    """Multipliers of `transformers.get_scheduler` at every update."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    total = None if "num_stable_steps" in options else total_steps  # transformers warns if both are given
    scheduler = transformers.get_scheduler(name, optimizer, warmup_steps, total, options or None)
    return [scheduler.lr_lambdas[0](step) for step in range(total_steps)]


def multipliers(name: str, *, warmup_steps: int, total_steps: int, **options) -> list[float]:
    """Multipliers of our schedule `name` at every update."""
    schedule = make_schedule(name, options, warmup_steps=warmup_steps, total_steps=total_steps)
    return [schedule(step) for step in range(total_steps)]


def warmup_lengths(total_steps: int) -> list[int]:
    """Lengths of warmup to test in a run of `total_steps`: none, a few, 10 %, all."""
    return sorted({w for w in (0, 1, 7, ceil_share(0.1, total_steps), total_steps) if w <= total_steps})


def composed(
    name: str = "warmupconstant", *, warmup_steps=8, total_steps=20, beta2=None, optimizer="", **keys
) -> Schedule:
    """The schedule of a `SchedulerConfig` with these keys."""
    config = SchedulerConfig(name, **keys)
    return compose_schedule(
        config, warmup_steps=warmup_steps, total_steps=total_steps, beta2=beta2, optimizer=optimizer
    )
