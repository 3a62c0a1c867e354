"""Why a run failed to learn: unstable, too slow or stuck, as `metrics.failure_kind` judges its trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy.typing as npt
import pandas as pd

from warmup_lab.metrics import failure_kind
from warmup_lab.system import JsonRecord

UNKNOWN = "unknown"
_NAMES = ("unstable", "too_slow", "stuck", UNKNOWN)


@dataclass(frozen=True)
class FailureKinds(JsonRecord):
    """Numbers of failed runs of each kind."""

    unstable: int = 0
    """Diverged, or the loss rose by more than its noise."""
    too_slow: int = 0
    """The loss was still falling at the end."""
    stuck: int = 0
    """The loss neither rose nor fell at the end."""
    unknown: int = 0
    """Under 50 updates, or without a trace."""

    @property
    def total(self) -> int:
        return self.unstable + self.too_slow + self.stuck + self.unknown

    @property
    def calm(self) -> int:
        """Runs without a sign of instability."""
        return self.too_slow + self.stuck


def count_kinds(kinds: Iterable[str | None]) -> FailureKinds:
    """The numbers of each kind; None stands for a failed run without a recorded kind."""
    found = [kind or UNKNOWN for kind in kinds]
    return FailureKinds(*(found.count(name) for name in _NAMES))


def total_of(kinds: Iterable[FailureKinds]) -> FailureKinds:
    """The sum."""
    found = list(kinds)
    return FailureKinds(*(sum(getattr(one, name) for one in found) for name in _NAMES))


def kind_of_failure(loss: npt.ArrayLike | None, *, diverged: bool, entropy: float | None, total_steps: int) -> str:
    """The kind of a failed run, a field of `FailureKinds`.

    Args:
        loss: (T,), nats; None without a trace.
        diverged: whether a loss or gradient was not finite.
        entropy: the entropy of the training labels, nats; None if unknown.
        total_steps: number of planned updates.
    """
    if diverged:
        return "unstable"
    if loss is None or pd.isna(entropy):
        return UNKNOWN
    return failure_kind(loss, entropy=float(entropy or 0.0), total_steps=total_steps) or UNKNOWN
