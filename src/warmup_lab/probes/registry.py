"""The probes of a run as one: optional instruments of the loop, which add columns to the trace.

Each costs what its docstring says, an update that it probes; see docs/probes.md for what they came to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from warmup_lab.plan import Plan
from warmup_lab.probes.base import Probe, Setting, Update, probe_batch
from warmup_lab.probes.critical_lr import CriticalLrProbe
from warmup_lab.probes.layers import LayersProbe
from warmup_lab.probes.overshoot import OvershootProbe
from warmup_lab.probes.sharpness import SharpnessProbe
from warmup_lab.runs import Number, Progress
from warmup_lab.system import preserved_random_state
from warmup_lab.tasks import Batch, Task

PROBES: dict[str, Callable[[Setting], Probe]] = {
    "overshoot": OvershootProbe,
    "sharpness": SharpnessProbe,
    "critical_lr": CriticalLrProbe,
    "layers": LayersProbe,
}


class Probes:
    """The configured probes, each every `probe.<name>_every` updates; they change nothing of the run.

    To be made while the model has its initial weights, before a checkpoint is restored.
    """

    def __init__(self, plan: Plan, task: Task, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        config = plan.config.probe
        self._device = plan.device
        self._probes: list[tuple[int, Probe]] = []
        if not config.wanted:
            return
        batch = probe_batch(task, config.batch_size, seed=plan.config.seed, device=plan.device)
        self._setting = Setting(plan, model, optimizer, batch)
        for name, every in config.wanted.items():
            self._probes.append((every, PROBES[name](self._setting)))

    @property
    def columns(self) -> tuple[str, ...]:
        """What they add to the trace."""
        return tuple(column for _, probe in self._probes for column in probe.columns)

    def resume(self, progress: Progress) -> None:
        """Goes on from what the probes of an interrupted run carried, and lets the next checkpoint keep it."""
        if self._probes:
            self._setting.memory.update(progress.probe_memory)
            progress.probe_memory = self._setting.memory

    def before_update(self, step: int, batches: Sequence[Batch], grad_norm: float) -> None:
        """To be called when the gradients are there and clipped."""
        self._due = [probe for every, probe in self._probes if step % every == 0]
        if self._due:
            update = Update(step, batches, grad_norm)
            with preserved_random_state(self._device):
                for probe in self._due:
                    probe.before_update(update)

    def after_update(self) -> dict[str, Number]:
        """The columns of the trace, all of them: None where not probed."""
        row: dict[str, Number] = dict.fromkeys(self.columns)
        for probe in self._due:
            row |= probe.after_update()
        return row
