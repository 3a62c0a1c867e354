"""The probes by name, and all configured probes of a run.

The docstring of each probe states its cost per probed update. docs/probes.md has measured costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from warmup_lab.plan import Plan
from warmup_lab.probes.base import PendingUpdate, Probe, ProbeContext, probe_batch
from warmup_lab.probes.critical_lr import CriticalLrProbe
from warmup_lab.probes.layers import LayersProbe
from warmup_lab.probes.overshoot import OvershootProbe
from warmup_lab.probes.sharpness import SharpnessProbe
from warmup_lab.runs import Number, Progress
from warmup_lab.system import preserved_random_state
from warmup_lab.tasks import Batch, Task

PROBES: dict[str, Callable[[ProbeContext], Probe]] = {
    "overshoot": OvershootProbe,
    "sharpness": SharpnessProbe,
    "critical_lr": CriticalLrProbe,
    "layers": LayersProbe,
}


class Probes:
    """The configured probes of a run. Each one measures every `probe.<name>_every` updates.

    Create it while the model has its initial weights, before a checkpoint is restored.
    """

    def __init__(self, plan: Plan, task: Task, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        config = plan.config.probe
        self._device = plan.device
        self._probes: list[tuple[int, Probe]] = []
        if not config.wanted:
            return
        batch = probe_batch(task, config.batch_size, seed=plan.config.seed, device=plan.device)
        self._context = ProbeContext(plan, model, optimizer, batch)
        for name, every in config.wanted.items():
            self._probes.append((every, PROBES[name](self._context)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the probes add to the trace."""
        return tuple(column for _, probe in self._probes for column in probe.columns)

    def resume(self, progress: Progress) -> None:
        """Restores the memory of the probes from `progress`, and shares it, so that checkpoints save it."""
        if self._probes:
            self._context.memory.update(progress.probe_memory)
            progress.probe_memory = self._context.memory

    def before_update(self, step: int, batches: Sequence[Batch], grad_norm: float) -> None:
        """Call it when the gradients are computed and clipped."""
        self._due = [probe for every, probe in self._probes if step % every == 0]
        if self._due:
            update = PendingUpdate(step, batches, grad_norm)
            with preserved_random_state(self._device):
                for probe in self._due:
                    probe.before_update(update)

    def after_update(self) -> dict[str, Number]:
        """All columns of the probes; None for those that did not measure at this update."""
        row: dict[str, Number] = dict.fromkeys(self.columns)
        for probe in self._due:
            row |= probe.after_update()
        return row
