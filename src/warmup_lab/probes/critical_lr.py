"""Probe `critical_lr`: the learning rate above which the present update would raise the loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from warmup_lab.probes.base import PendingUpdate, Probe, ProbeContext, dropout_off, finite_or_none, mean_loss
from warmup_lab.runs import Number

MAX_FACTORS = 20
"""Largest number of doublings or halvings from the start of the search: a factor of a million in each direction."""
NUM_BISECTIONS = 4
"""They divide the last factor of 2 into 16 parts. The middle of a part is within 1/32, or 3.2 %, of the crossing."""
NOISE = 1e-6
"""A difference of two losses, in nats, that float32 does not resolve."""
_TRIAL_LR = 2.0**-10
"""Rate of the trial step that shows the direction. It is small because Adafactor limits the rate to 1 / sqrt(t)."""


class CriticalLrProbe(Probe):
    """The learning rate at which this update would leave the loss of the fixed batch unchanged.

    Formula: the lr at which L(w + lr d) rises above L(w). lr d is the change that the optimizer would make at this
    update with that rate. L is the mean loss of the fixed batch, with dropout off, in float32. The search starts at the
    last estimate (first at the peak lr). It doubles or halves the rate until the loss crosses L(w), then bisects the
    last factor of 2: the relative error is at most 3.2 %. A loss that is not finite counts as risen. If the loss
    crosses L(w) more than once, the result is one of the crossings.
    Unit: learning rate. Range: above 0.
    Source: Kalra & Barkeshli 2024, "Why warmup the learning rate? Underlying mechanisms and improvements".
    Values: -2 g'd / d'Hd on a quadratic with Hessian H and gradient g, twice the best rate. For d = -g, with g the top
    eigenvector, it is 2 / sharpness.
    Cost: one step of the optimizer, and at most `1 + MAX_FACTORS + 1 + NUM_BISECTIONS` forward passes on the fixed
    batch. It is 7 passes if the estimate changes by a factor below 2 between two measurements.

    If there is no such rate, `critical_lr` is null and `critical_lr_degenerate` is 1 (else 0). This happens if the loss
    rises at every tested rate, because the direction comes from another batch and from momentum and leads up; if the
    loss rises at no tested rate; and if the direction is zero or not finite.
    """

    columns = ("critical_lr", "critical_lr_degenerate")

    def before_update(self, update: PendingUpdate) -> None:  # noqa: ARG002
        context = self._context
        start = context.memory.get("critical_lr", context.plan.config.optimizer.lr)
        with dropout_off(context.model), torch.no_grad(), loss_along_update(context) as loss_at:
            self._critical_lr = critical_rate(loss_at, start)
        if self._critical_lr is not None:
            context.memory["critical_lr"] = self._critical_lr

    def after_update(self) -> Mapping[str, Number]:
        return {"critical_lr": self._critical_lr, "critical_lr_degenerate": float(self._critical_lr is None)}


def critical_rate(loss_at: Callable[[float], float], start: float) -> float | None:
    """The rate at which `loss_at` rises above `loss_at(0)`, searched from `start`; None if there is none."""
    present = loss_at(0.0)
    if finite_or_none(present) is None:
        return None
    rises = not loss_at(start) <= present
    factor = 0.5 if rises else 2.0
    for exponent in range(1, MAX_FACTORS + 1):
        rate = start * factor**exponent
        loss = loss_at(rate)
        if (not loss <= present) != rises:
            # At a low enough rate, even a direction that leads up looks flat because of rounding.
            return None if rises and loss > present - NOISE else _bisect(loss_at, present, rate if rises else rate / 2)
    return None


def _bisect(loss_at: Callable[[float], float], present: float, low: float) -> float:
    """The crossing between `low` and `2 low`."""
    width = low
    for _ in range(NUM_BISECTIONS):
        width /= 2
        if loss_at(low + width) <= present:
            low += width
    return low + width / 2


@contextmanager
def loss_along_update(context: ProbeContext) -> Iterator[Callable[[float], float]]:
    """The loss of the fixed batch as a function of the rate of this update. Restores the weights at the end."""
    weights = context.weights
    before = [weight.detach().clone() for weight in weights]
    direction = update_direction(context.optimizer, weights)
    moves = any(bool(part.any()) for part in direction)

    def loss_at(rate: float) -> float:
        if not moves:
            return math.nan
        for weight, origin, part in zip(weights, before, direction, strict=True):
            weight.copy_(torch.add(origin, part, alpha=rate) if rate else origin)
        return mean_loss(context.model, context.batch).item()

    try:
        yield loss_at
    finally:
        for weight, origin in zip(weights, before, strict=True):
            weight.copy_(origin)


def update_direction(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    """The change that the optimizer would make to each weight now, divided by the rate.

    Makes a trial step and reverts it. `load_state_dict` restores the state, as from a checkpoint.
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
        weight.grad = gradient  # some optimizers change the gradient in place
    optimizer.load_state_dict(state)
    return direction
