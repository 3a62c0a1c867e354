"""Does an update raise the loss on its own batch?"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from warmup_lab.models import loss_sum
from warmup_lab.probes.base import Probe, Update, dropout_off
from warmup_lab.runs import Number


class OvershootProbe(Probe):
    """Whether an update raised the loss on its own batch, dropout off: the rate was above its critical value.

    Free of batch noise, since before and after see the same examples.
    Formula: 1 where the loss of the update's examples is higher after it (or not finite), else 0.
    Cost: two forward passes on the update's batch.
    """

    columns = ("overshoot",)

    def before_update(self, update: Update) -> None:
        self._batches = update.batches
        self._before = self._loss()

    def after_update(self) -> Mapping[str, Number]:
        return {"overshoot": float(not self._loss() <= self._before)}

    def _loss(self) -> float:
        setting = self._setting
        with dropout_off(setting.model), torch.inference_mode():
            return sum(loss_sum(setting.model, batch, setting.plan.precision).item() for batch in self._batches)
