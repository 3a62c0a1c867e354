"""The oscillation of a list of losses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from warmup_lab.metrics import summarise
from warmup_lab.system import JsonRecord

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class WindowMetrics(JsonRecord):
    """The oscillation metrics of one part of a run. None: not defined, for example with too few updates."""

    roughness: float | None
    """Step-to-step jitter, in `Oscillation.unit`. None under 10 updates."""
    rho1: float | None
    """Lag-1 autocorrelation of the detrended loss, in (-1, 1). Negative if the loss bounces from side to side."""
    spike_rate: float | None
    """Sudden high losses per 1000 updates."""
    max_rise: float | None
    """Largest climb of the smoothed loss above its lowest point so far, in `Oscillation.unit`."""
    onset_step: int | None
    """First update, counted from 0, at which the loss rose by more than its noise explains. None: it did not."""
    onset_lr: float | None
    """Learning rate of that update. None without learning rates."""


@dataclass(frozen=True)
class Oscillation(JsonRecord):
    """How much a training loss oscillates."""

    whole: WindowMetrics
    """All updates."""
    early: WindowMetrics
    """The first 20 %."""
    late: WindowMetrics
    """The last 50 %."""
    unit: str
    """Unit of `roughness` and `max_rise`: `H`, the entropy of the labels, or `nats`."""


def oscillation(loss: npt.ArrayLike, lr: npt.ArrayLike | None = None, *, entropy: float | None = None) -> Oscillation:
    """How much the training loss of one run oscillates.

    A run that learned nothing has the smoothest loss there is, and a larger batch has a smoother one. So compare only
    runs that learned, with equal batch sizes. `docs/statistics.md` explains the metrics,
    `warmup_lab.metrics.oscillation` has the formulas.

    Args:
        loss: (T,), the loss of every update in nats, in order. A run is measured up to its first NaN or infinity.
        lr: (T,), the learning rate of every update, for `onset_lr`.
        entropy: H, the entropy of the training labels in nats (log(C) for C balanced classes), which is the loss of
            guessing. Then the unit is H, as in the reports of warmup-lab. Without it, the unit is nats, and the
            thresholds that the definitions of `spike_rate` and `onset_step` state in H are in nats too.

    Raises:
        ValueError: the shapes differ, or `entropy` is not above 0.
    """
    losses = np.asarray(loss, dtype=np.float64)
    rates = np.full(losses.size, np.nan) if lr is None else lr
    found = summarise(losses, rates, entropy=1.0 if entropy is None else entropy)
    windows = {
        name: WindowMetrics(**{key: value for key, value in metrics.items() if key != "overshoot_rate"})  # type: ignore[arg-type]
        for name, metrics in found.items()
    }
    return Oscillation(**windows, unit="nats" if entropy is None else "H")


def metric_names() -> tuple[str, ...]:
    """The names of the metrics of a window."""
    return tuple(field.name for field in fields(WindowMetrics))
