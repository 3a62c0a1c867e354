"""The optimizers by name, the check of their options, and the optimizer that a configuration describes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.config import OptimizerConfig, bind_options, lookup, require
from warmup_lab.optimizers.adam_variants import giadam
from warmup_lab.optimizers.factories import adafactor, adam, adamw, lion, nadam, radam, schedulefree, sgd
from warmup_lab.optimizers.groups import parameter_groups
from warmup_lab.optimizers.lamb import lamb
from warmup_lab.optimizers.muon import muon

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
    "radam": radam,
    "nadam": nadam,
    "adafactor": adafactor,
    "lion": lion,
    "lamb": lamb,
    "giadam": giadam,
    "muon": muon,
    "schedulefree": schedulefree,
}
"""Factories: (groups, peak lr, keyword options) -> optimizer."""
_SPLIT_HIDDEN = ("muon",)
"""Optimizers that treat the matrices of stacked layers in a special way."""
_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "betas": (lambda number: 0 <= number < 1, "each must be in [0, 1)"),
    "momentum": (lambda number: 0 <= number < 1, "must be in [0, 1)"),
    "eps": (lambda number: 0 < number < math.inf, "must be above 0"),
    "weight_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "momentum_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "beta2_decay": (lambda number: -math.inf < number < 0, "must be below 0"),
    "max_weight_norm": (lambda number: 0 < number < math.inf, "must be above 0, or null for no bound"),
    "ns_steps": (lambda number: 1 <= number < 100, "must be in 1 .. 99"),
    "r": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "weight_lr_power": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "d": (lambda number: 1 <= number < math.inf, "must be at least 1"),
}
"""Valid values of each option. Comparisons with NaN are false, so NaN is never valid."""


def check_options(config: OptimizerConfig) -> dict[str, Any]:
    """All options of the optimizer, defaults included.

    Raises:
        ConfigError: the optimizer or an option is unknown, or a value has the wrong type or is out of range.
    """
    factory = lookup(OPTIMIZERS, config.name, "optimizer")
    bound = bind_options(factory, config.options, "optimizer.")
    signature = inspect.signature(factory).parameters.values()
    defaults = {item.name: item.default for item in signature if item.default is not inspect.Parameter.empty}
    options = {**defaults, **bound}
    for name, value in options.items():
        for number in value if isinstance(value, tuple) else (value,):
            _check_range(name, value, number)
    good = not options.get("nesterov") or options["momentum"] > 0
    require(good, "optimizer.nesterov=true needs optimizer.momentum above 0")
    if config.name.lower() == "schedulefree":
        require(
            options["betas"][0] > 0, f"optimizer.betas={options['betas']}: the first must be above 0 for schedulefree"
        )
    return options


def _check_range(name: str, value: Any, number: float | None) -> None:
    """Checks `number`, which is the value of the option or one item of it."""
    if name in _RANGES and number is not None:
        good, words = _RANGES[name]
        require(good(number), f"optimizer.{name}={value}: {words}")


def build_optimizer(config: OptimizerConfig, model: torch.nn.Module) -> Optimizer:
    """The optimizer of `config` for the trained parameters of `model`. Move the model to its device first."""
    options = check_options(config)
    groups = parameter_groups(model, options["weight_decay"], split_hidden=config.name.lower() in _SPLIT_HIDDEN)
    optimizer: Optimizer = lookup(OPTIMIZERS, config.name, "optimizer")(groups, config.lr, **options)
    return optimizer


@contextmanager
def evaluating(optimizer: Optimizer) -> Iterator[None]:
    """Inside, the model has the weights to evaluate: those of training, or the optimizer's average of them.

    Only `schedulefree` averages. Its own `eval` and `train` convert between the two with a rounding error. This context
    keeps a copy of the training weights and restores it at the end, so an evaluation does not change the training. The
    cost is one copy of the weights.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    training_weights = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]
        with torch.no_grad():
            torch._foreach_copy_(parameters, training_weights)
