"""Why runs of a recommendation failed, and how many updates might help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from warmup_lab.comparison import Sweep, Trace
from warmup_lab.comparison.recommend.choice import GridRow
from warmup_lab.metrics import failure_kind
from warmup_lab.runs import is_finished

Failure = Literal["unstable", "too_slow", "stuck", "too_short"]
_ABOVE_GUESSING = 1.05
_MORE_UPDATES = 4
"""Advised updates where runs learned nothing, as a multiple of theirs."""


def failure_counts(runs: pd.DataFrame, sweep: Sweep) -> dict[Failure, int]:
    """The number of failed runs of each kind, as in `metrics.failure_kind`.

    A run of under 50 updates has no such kind. It is `unstable` if it diverged or ends more than 5 % above the loss of
    guessing, otherwise `too_short`.
    """
    failed = [
        run
        for run in runs.to_dict("records")
        if is_finished(run["status"]) and (run["failed_to_learn"] or run["status"] == "diverged")
    ]
    kinds = Counter(_kind(run, sweep.traces.get(run["run_id"])) for run in failed)
    return {kind: kinds[kind] for kind in get_args(Failure)}


def _kind(run: Mapping[Any, Any], trace: Trace | None) -> Failure:
    if run["status"] == "diverged":
        return "unstable"
    if trace is None or pd.isna(run["guess_loss"]):
        return "too_short"
    loss, guess_loss = trace["loss"], float(run["guess_loss"])
    kind = failure_kind(loss, entropy=guess_loss, total_steps=int(run["total_steps"]))
    if kind is not None:
        return kind
    last = loss[-max(1, loss.size // 10) :]
    return "unstable" if np.mean(last) > _ABOVE_GUESSING * guess_loss else "too_short"


def failing_from(grid: Sequence[GridRow]) -> float | None:
    """The smallest lr with failed runs, if every run at a smaller lr learned; None without such runs.

    The trace of a run cannot show it: a run whose lr is too large from its first update on ends flat, as does one that
    learns too slowly.
    """
    failing = [row.lr for row in grid if row.failed.count]
    clean = [row.lr for row in grid if row.failed.total and not row.failed.count and row.lr not in failing]
    return min(failing) if failing and clean and max(clean) < min(failing) else None


def lacks_updates(failures: Mapping[Failure, int]) -> bool:
    """Whether most failed runs learned too little, without becoming unstable. A smaller lr would make this worse."""
    return sum(failures.values()) > 2 * failures["unstable"]


def advised_updates(run_updates: int, ramp_updates: int | None) -> int:
    """Updates that might be enough: those of a ramp that learned, and at least 4 times as many as now.

    >>> advised_updates(27, 300), advised_updates(100, None)
    (300, 400)
    """
    return max(_MORE_UPDATES * run_updates, ramp_updates or 0)
