"""Optional instruments of the loop: each adds columns to the trace and costs what its docstring says."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from warmup_lab.evaluation import Batch, loss_sum
from warmup_lab.plan import Plan


class OvershootProbe:
    """Whether an update raised the loss on its own batch, dropout off: the rate was above its critical value.

    Free of batch noise, since before and after see the same examples. Costs two forward passes a probed update.
    Writes `overshoot`: 1 where the loss rose (or stopped being finite), 0 where not, null where not probed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._every = plan.config.probe.overshoot_every
        self._before: float | None = None

    def before_update(self, step: int, model: torch.nn.Module, batches: Sequence[Batch]) -> None:
        due = self._every and step % self._every == 0
        self._before = self._loss(model, batches) if due else None

    def after_update(self, model: torch.nn.Module, batches: Sequence[Batch]) -> dict[str, float | None]:
        """The probe's columns of the trace."""
        if not self._every:
            return {}
        if self._before is None:
            return {"overshoot": None}
        return {"overshoot": float(not self._loss(model, batches) <= self._before)}

    def _loss(self, model: torch.nn.Module, batches: Sequence[Batch]) -> float:
        model.eval()
        with torch.inference_mode():
            loss = sum(loss_sum(model, batch, self._plan).item() for batch in batches)
        model.train()
        return loss


def probe_columns(plan: Plan) -> tuple[str, ...]:
    """Columns that the configured probes add to the trace."""
    return ("overshoot",) if plan.config.probe.overshoot_every else ()
