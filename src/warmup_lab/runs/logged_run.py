"""The files of a run that another program trained, from the log that it left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warmup_lab.metrics import summarise
from warmup_lab.runs.replacement import new_path
from warmup_lab.runs.result import failed_to_learn
from warmup_lab.runs.stored_run import EVALS, SCHEMA, TRACE, write_result
from warmup_lab.runs.trace import Number, StepTable


@dataclass(frozen=True)
class TrainingLog:
    """The log of one run. A row of `trace` stands for `every` updates."""

    trace: StepTable
    """`step` is the index of the last update of the row, `loss` the mean over the updates of the row, nats."""
    evals: StepTable
    """As in `evals.parquet`."""
    every: int
    """Updates between two rows. Only a log with one row per update (1) says how much the loss oscillates."""
    total_steps: int
    """Number of planned updates."""
    diverged: bool
    """Whether the run ended with a loss that is not finite."""

    @property
    def num_updates(self) -> int:
        """Number of updates that the log covers."""
        steps = self.trace.array("step")
        return int(steps[-1]) + 1 if len(steps) else 0

    @property
    def status(self) -> str:
        """`error` if the log ends before the last row that a whole run would have."""
        if self.diverged:
            return "diverged"
        return "completed" if self.total_steps - self.num_updates < self.every else "error"


@dataclass(frozen=True)
class Guessing:
    """Loss and accuracy of a model that knows only how frequent each label is."""

    loss: float
    """Entropy of the training labels, nats."""
    accuracy: float | None
    """Share of the most frequent label among the evaluated examples."""


def write_logged_run(directory: Path, header: Mapping[str, Any], log: TrainingLog, guessing: Guessing) -> None:
    """Writes `trace.parquet`, `evals.parquet` and `result.json`, as a run of this program leaves them.

    Args:
        directory: folder of the run.
        header: `run_id`, `study` and `strategy` of `result.json`.
        log: the log.
        guessing: loss and accuracy of guessing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ended = log.status != "error"
    if ended:
        log.trace.write(new_path(directory, TRACE))
        log.evals.write(new_path(directory, EVALS))
    loss = log.trace.array("loss")
    num_rows = len(loss) if log.status == "completed" else -(-log.total_steps // log.every)
    result = {
        "schema": SCHEMA,
        **header,
        "status": log.status,
        "failed_to_learn": failed_to_learn(loss, guessing.loss, num_rows) if ended else None,
        "num_classes": None,
        "label_entropy": guessing.loss,
        "majority_accuracy": guessing.accuracy,
        "metrics": _metrics(log, guessing.loss) if ended else {},
        "log_every": log.every,
        "resumed_at": [],
        "speed": {},
        "versions": {},
        "mixed_versions": {},
        "error": None if ended else f"the log ends at update {log.num_updates} of {log.total_steps}",
    }
    write_result(directory, result)


def _metrics(log: TrainingLog, entropy: float) -> dict[str, Any]:
    """`metrics` of `result.json`. A log without one row per update has no oscillation."""
    loss, lr = log.trace.array("loss"), log.trace.array("lr")
    tail = loss[-max(1, len(loss) // 10) :]
    metrics: dict[str, Any] = {"train_loss": float(tail.mean()) if np.isfinite(tail).all() else None}
    final = _last_values(log.evals.rows()) if log.status == "completed" else {}
    metrics |= {f"eval_{name}": final.get(name) for name in log.evals.columns if name != "step"}
    if log.every == 1:
        metrics["oscillation"] = summarise(loss, lr, entropy=entropy, total_steps=log.total_steps)
    return metrics


def _last_values(rows: Sequence[Mapping[str, Number]]) -> dict[str, float]:
    """The last finite value of each column."""
    return {name: value for row in rows for name, value in row.items() if value is not None and math.isfinite(value)}
