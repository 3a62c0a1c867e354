"""Optimizers of K runs at once. Weights, gradients and moments have the shape `(K, P)`: one row a run.

Each rule equals the optimizer of the same name in `optimizers`, update for update. Values that differ between runs or
updates (learning rates, betas, bias corrections) are computed in 64 bits on the host, as torch's optimizers do. Each
arrives as a column `(K, 1)`, so that an update is a handful of elementwise kernels on `(K, P)`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmup_lab.config import OptimizerConfig
from warmup_lab.optimizers import OPTIMIZERS, check_options

State = dict[str, Tensor]
"""Moments under torch's names, each `(K, P)`."""
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One optimizer for K runs."""

    options: tuple[str, ...]
    """Options that the rule supports. A run that sets another one is not stacked."""
    state: tuple[str, ...]
    """Names of the moments in `torch.optim.Optimizer.state`."""
    coefficients: Callable[[int, float, Options], tuple[float, ...]]
    """(updates made, learning rate, options) of one run -> its coefficients. A frozen run has 0 for the first two."""
    update: Callable[[Tensor, Tensor, State, Sequence[Tensor], int], None]
    """(weights, gradients, state, coefficients as `(K, 1)`, number of decayed weights). Changes tensors in place."""
    counts_steps: bool = False
    """Whether torch's optimizer state contains `step`."""


def _corrections(step: int, options: Options) -> tuple[float, float]:
    """1 - beta^t of both moments at update t = step + 1; 1 for BERT's AdamW, which has no bias correction."""
    if not options.get("bias_correction", True):
        return 1.0, 1.0
    beta1, beta2 = options["betas"]
    return 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)


def _adam_coefficients(step: int, lr: float, options: Options) -> tuple[float, ...]:
    first, second = _corrections(step, options)
    beta1, beta2 = options["betas"]
    return lr / first, 1 - beta1, 1 - beta2, 1 / math.sqrt(second), options["eps"]


def _adamw_coefficients(step: int, lr: float, options: Options) -> tuple[float, ...]:
    return lr * options["weight_decay"], *_adam_coefficients(step, lr, options)


def _giadam_coefficients(step: int, lr: float, options: Options) -> tuple[float, ...]:
    """Those of AdamW. The first update sets v to the squared gradient, where GI-Adam's v starts."""
    decay, size, share1, share2, *rest = _adamw_coefficients(step, lr, options)
    return decay, size, share1, 1.0 if step == 0 else share2, *rest


def _radam_coefficients(step: int, lr: float, options: Options) -> tuple[float, ...]:
    """The direction is m times `plain + adaptive / (sqrt(v) + eps)`; one of the two factors is 0."""
    beta1, beta2 = options["betas"]
    first, second = _corrections(step, options)
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * (step + 1) * beta2 ** (step + 1) / second
    rectification = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho) if rho > 5 else 0.0
    adaptive, plain = math.sqrt(rectification * second), 0.0 if rho > 5 else 1.0
    decay = lr * options["weight_decay"] if options["decoupled_weight_decay"] else 0.0
    l2 = 0.0 if options["decoupled_weight_decay"] else options["weight_decay"]
    return decay, lr / first, 1 - beta1, 1 - beta2, plain, adaptive, options["eps"], l2


def _l2_adam_coefficients(step: int, lr: float, options: Options) -> tuple[float, ...]:
    return 0.0, *_adam_coefficients(step, lr, options), options["weight_decay"]


def _adam_step(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor]) -> None:
    """Moves m and v towards g and g^2, then w = w - size m / (sqrt(v) root + eps)."""
    size, share1, share2, root, eps = coefficients
    moment, square = state["exp_avg"], state["exp_avg_sq"]
    moment.lerp_(grads, share1)
    square.lerp_(grads.square_(), share2)
    scaled = torch.div(moment, torch.mul(square.sqrt(), root, out=grads).add_(eps), out=grads)
    weights.sub_(scaled.mul_(size))


def _adamw(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor], decayed: int) -> None:
    weights[:, :decayed].mul_(1 - coefficients[0])
    _adam_step(weights, grads, state, coefficients[1:])


def _adam(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor], decayed: int) -> None:
    grads[:, :decayed].add_(weights[:, :decayed] * coefficients[6])
    _adam_step(weights, grads, state, coefficients[1:6])


def _radam(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor], decayed: int) -> None:
    decay, size, share1, share2, plain, adaptive, eps, l2 = coefficients
    grads[:, :decayed].add_(weights[:, :decayed] * l2)
    weights[:, :decayed].mul_(1 - decay)
    moment, square = state["exp_avg"], state["exp_avg_sq"]
    moment.lerp_(grads, share1)
    square.lerp_(grads.square_(), share2)
    factor = torch.div(adaptive, torch.sqrt(square, out=grads).add_(eps), out=grads).add_(plain)
    weights.sub_(factor.mul_(moment).mul_(size))


def _sgd_coefficients(_step: int, lr: float, options: Options) -> tuple[float, ...]:
    """The step mixes momentum and gradient: momentum alone, or Nesterov's sum."""
    momentum = options["momentum"]
    of_momentum, of_gradient = (momentum, 1.0) if options["nesterov"] else (1.0, 0.0)
    return 0.0, lr, options["weight_decay"], momentum, of_momentum, of_gradient


def _sgd(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor], decayed: int) -> None:
    _, lr, weight_decay, momentum, of_momentum, of_gradient = coefficients
    grads[:, :decayed].add_(weights[:, :decayed] * weight_decay)
    moment = state["momentum_buffer"].mul_(momentum).add_(grads)
    weights.sub_(grads.mul_(of_gradient).add_(moment * of_momentum).mul_(lr))


def _lion_coefficients(_step: int, lr: float, options: Options) -> tuple[float, ...]:
    beta1, beta2 = options["betas"]
    return lr * options["weight_decay"], lr, 1 - beta1, 1 - beta2


def _lion(weights: Tensor, grads: Tensor, state: State, coefficients: Sequence[Tensor], decayed: int) -> None:
    decay, lr, share1, share2 = coefficients
    weights[:, :decayed].mul_(1 - decay)
    moment = state["exp_avg"]
    direction = torch.lerp(moment, grads, share1).sign_()
    moment.lerp_(grads, share2)
    weights.sub_(direction.mul_(lr))


_MOMENTS = ("exp_avg", "exp_avg_sq")
RULES = {
    "adamw": Rule(
        ("betas", "eps", "weight_decay", "bias_correction"), _MOMENTS, _adamw_coefficients, _adamw, counts_steps=True
    ),
    "giadam": Rule(("betas", "eps", "weight_decay"), _MOMENTS, _giadam_coefficients, _adamw, counts_steps=True),
    "radam": Rule(
        ("betas", "eps", "weight_decay", "decoupled_weight_decay"),
        _MOMENTS,
        _radam_coefficients,
        _radam,
        counts_steps=True,
    ),
    "adam": Rule(("betas", "eps", "weight_decay"), _MOMENTS, _l2_adam_coefficients, _adam, counts_steps=True),
    "sgd": Rule(("momentum", "nesterov", "weight_decay"), ("momentum_buffer",), _sgd_coefficients, _sgd),
    "lion": Rule(("betas", "weight_decay"), ("exp_avg",), _lion_coefficients, _lion),
}


def can_be_stacked(config: OptimizerConfig) -> bool:
    """Whether a rule supports the optimizer and all options of `config`."""
    rule = RULES.get(config.name)
    if rule is None:
        return False
    signature = inspect.signature(OPTIMIZERS[config.name]).parameters
    options = check_options(config)
    return all(name in rule.options or value == signature[name].default for name, value in options.items())


class StackedOptimizer:
    """The state of K optimizers with the same name, and their update."""

    def __init__(self, configs: Sequence[OptimizerConfig], weights: Tensor, num_decayed: int) -> None:
        self._rule = RULES[configs[0].name]
        self._options = [check_options(config) for config in configs]
        self._num_decayed = num_decayed
        self.state: State = {name: torch.zeros_like(weights) for name in self._rule.state}

    def coefficients(self, step: int, lrs: Sequence[float]) -> Tensor:
        """Coefficients of the update with index `step` at these learning rates: `(C, K, 1)`, float32, on the host."""
        rows = [self._rule.coefficients(step, lr, options) for lr, options in zip(lrs, self._options, strict=True)]
        return torch.tensor(rows, dtype=torch.float64).float().T.unsqueeze(-1)

    @torch.no_grad()
    def update(self, weights: Tensor, grads: Tensor, coefficients: Tensor, active: Tensor) -> None:
        """One update of all runs. It overwrites the gradients. Rows where `active` `(K, 1)` is false do not change."""
        rates = torch.where(active, coefficients[:2], 0.0)
        columns = [*rates.unbind(), *coefficients[2:].unbind()]
        self._rule.update(weights, grads, self.state, columns, self._num_decayed)

    def load(self, run: int, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        """Copies the state of a single run's optimizer into a row. `parameters` are in the order of the row."""
        for name, rows in self.state.items():
            found = [optimizer.state[one].get(name) if one in optimizer.state else None for one in parameters]
            if all(part is not None for part in found):
                rows[run] = torch.cat([part.reshape(-1) for part in found if part is not None])

    def export(self, run: int, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], step: int) -> None:
        """Copies the state of one run, after `step` updates, into a fresh optimizer: the inverse of `load`."""
        options = self._options[run]
        if not step or options.get("momentum") == 0:  # torch's SGD has no state then
            return
        sizes = [one.numel() for one in parameters]
        for name, rows in self.state.items():
            for one, part in zip(parameters, torch.split_with_sizes(rows[run], sizes), strict=True):
                optimizer.state[one][name] = part.view(one.shape).to(one.device, copy=True)
        if self._rule.counts_steps and options.get("bias_correction", True):
            for one in parameters:
                optimizer.state[one]["step"] = torch.full((), float(step), dtype=torch.float32, device=one.device)
