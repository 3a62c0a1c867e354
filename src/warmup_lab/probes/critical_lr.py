"""The learning rate above which the update at hand would raise the loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from warmup_lab.probes.base import Probe, Setting, Update, dropout_off, finite, mean_loss
from warmup_lab.runs import Number

MAX_FACTORS = 20
"""Doublings or halvings, at most, from where the search starts: a factor of a million either way."""
NUM_BISECTIONS = 4
"""They cut the last factor of 2 into 16: the middle is within 1/32 of the lower end, 3.2 %."""
NOISE = 1e-6
"""A difference of loss, nats, that float32 does not resolve."""
_TRIAL_LR = 2.0**-10
"""Rate of the trial step that shows the direction: small, since Adafactor caps the rate at 1 / sqrt(t)."""


class CriticalLrProbe(Probe):
    """The learning rate at which the loss of the fixed batch, along this update's direction, is as high as before it.

    Formula: the lr at which L(w + lr d) rises above L(w), where lr d is what the optimizer would do at this update with
    that rate; L is the mean loss of the fixed batch, dropout off, float32. From the last estimate (at first the peak
    lr) the rate is doubled or halved until the loss rises or falls, then the factor of 2 is cut by bisection: relative
    error at most 3.2 %. A loss that is not finite has risen. Where the loss crosses its present value more than once,
    it is one of the crossings.
    Unit: learning rate. Range: above 0.
    Source: Kalra & Barkeshli 2024, "Why warmup the learning rate? Underlying mechanisms and improvements".
    Values: on a quadratic with Hessian H and gradient g, it is -2 g'd / d'Hd: twice the best rate; along d = -g, with g
    the top eigenvector, 2 / sharpness.
    Cost: one step of the optimizer and at most `1 + MAX_FACTORS + 1 + NUM_BISECTIONS` forward passes on the fixed
    batch, 7 where the estimate moves by less than 2 from one measurement to the next.

    `critical_lr` is null and `critical_lr_degenerate` 1 (else 0) where there is no such rate: the loss rises at every
    rate that was tried, since the direction, made from another batch and from momentum, leads up; or it rises at none;
    or the direction is zero or not finite.
    """

    columns = ("critical_lr", "critical_lr_degenerate")

    def before_update(self, update: Update) -> None:  # noqa: ARG002
        setting = self._setting
        start = setting.memory.get("critical_lr", setting.plan.config.optimizer.lr)
        with dropout_off(setting.model), torch.no_grad(), along_direction(setting) as loss_at:
            self._found = critical_rate(loss_at, start)
        if self._found is not None:
            setting.memory["critical_lr"] = self._found

    def after_update(self) -> Mapping[str, Number]:
        return {"critical_lr": self._found, "critical_lr_degenerate": float(self._found is None)}


def critical_rate(loss_at: Callable[[float], float], start: float) -> float | None:
    """The rate at which `loss_at` crosses `loss_at(0)` upwards, searched from `start`; None where there is none."""
    present = loss_at(0.0)
    if finite(present) is None:
        return None
    rises = not loss_at(start) <= present
    factor = 0.5 if rises else 2.0
    for exponent in range(1, MAX_FACTORS + 1):
        rate = start * factor**exponent
        loss = loss_at(rate)
        if (not loss <= present) != rises:
            # Far enough down, also a direction that leads up seems level, by rounding.
            return None if rises and loss > present - NOISE else _bisect(loss_at, present, rate if rises else rate / 2)
    return None


def _bisect(loss_at: Callable[[float], float], present: float, low: float) -> float:
    """The crossing between `low` and twice that."""
    width = low
    for _ in range(NUM_BISECTIONS):
        width /= 2
        if loss_at(low + width) <= present:
            low += width
    return low + width / 2


@contextmanager
def along_direction(setting: Setting) -> Iterator[Callable[[float], float]]:
    """The loss of the fixed batch as a function of the rate of this update; the weights are put back at the end."""
    weights = setting.weights
    before = [weight.detach().clone() for weight in weights]
    direction = direction_of(setting.optimizer, weights)
    moves = any(bool(part.any()) for part in direction)

    def loss_at(rate: float) -> float:
        if not moves:
            return math.nan
        for weight, origin, part in zip(weights, before, direction, strict=True):
            weight.copy_(torch.add(origin, part, alpha=rate) if rate else origin)
        return mean_loss(setting.model, setting.batch).item()

    try:
        yield loss_at
    finally:
        for weight, origin in zip(weights, before, strict=True):
            weight.copy_(origin)


def direction_of(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    """What the optimizer would add to each weight now, divided by the rate; nothing is changed.

    A trial step is made and undone. The state is put back as a checkpoint would, by `load_state_dict`.
    """
    state = copy.deepcopy(optimizer.state_dict())
    before = [weight.detach().clone() for weight in weights]
    gradients = [None if weight.grad is None else weight.grad.clone() for weight in weights]
    for group in optimizer.param_groups:
        group["lr"] = _TRIAL_LR
    optimizer.step()
    direction = [(weight.detach() - origin) / _TRIAL_LR for weight, origin in zip(weights, before, strict=True)]
    for weight, origin, gradient in zip(weights, before, gradients, strict=True):
        weight.detach().copy_(origin)
        weight.grad = gradient  # some optimizers write into the gradient
    optimizer.load_state_dict(state)
    return direction
