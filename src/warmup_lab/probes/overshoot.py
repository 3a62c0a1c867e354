"""Probe `overshoot`: whether an update raises the loss on its own batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from warmup_lab.models import loss_sum
from warmup_lab.probes.base import PendingUpdate, Probe, dropout_off
from warmup_lab.runs import Number


class OvershootProbe(Probe):
    """Whether an update raised the loss on its own batch, with dropout off: the rate was above its critical value.

    The measurement has no batch noise, because both losses are computed on the same examples.

    Formula: 1 if the loss of the update's examples is higher after the update than before (or not finite), else 0.
    Cost: two forward passes on the update's batch.
    """

    columns = ("overshoot",)

    def before_update(self, update: PendingUpdate) -> None:
        self._batches = update.batches
        self._before = self._loss()

    def after_update(self) -> Mapping[str, Number]:
        return {"overshoot": float(not self._loss() <= self._before)}

    def _loss(self) -> float:
        context = self._context
        with dropout_off(context.model), torch.inference_mode():
            return sum(loss_sum(context.model, batch, context.plan.precision).item() for batch in self._batches)
