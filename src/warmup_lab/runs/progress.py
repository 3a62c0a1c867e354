"""The state of an unfinished run besides weights and optimizer, and its history as rows for a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warmup_lab.runs.trace import EVAL_COLUMNS, TRACE_COLUMNS, Number, StepTable

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


@dataclass
class Progress:
    """The state of an unfinished run besides weights and optimizer."""

    step: int = 0
    """Number of updates made."""
    trace: StepTable = field(default_factory=lambda: StepTable(TRACE_COLUMNS))
    """One row an update."""
    evals: StepTable = field(default_factory=lambda: StepTable(EVAL_COLUMNS))
    """One row an evaluation."""
    resumed_at: list[int] = field(default_factory=list)
    """Number of updates made each time the run was resumed."""
    seconds: float = 0.0
    """Wall time spent training, evaluations included."""
    probe_memory: dict[str, Any] = field(default_factory=dict)
    """What the probes keep from one measurement to the next."""
    versions: dict[str, list[str]] = field(default_factory=dict)
    """Name of a package -> its versions that trained a part of the run, in order."""

    def note_versions(self, now: Mapping[str, str]) -> list[str]:
        """Adds the versions that train from here on; returns those that differ, as `torch 2.13.0 (before: 2.12.0)`."""
        changed = []
        for name, version in now.items():
            seen = self.versions.setdefault(name, [])
            if seen and seen[-1] != version:
                changed.append(f"{name} {version} (before: {seen[-1]})")
            if version not in seen[-1:]:
                seen.append(version)
        return changed

    def mixed_versions(self) -> dict[str, list[str]]:
        """The versions of each package that changed during the run; empty for an ordinary run."""
        return {name: seen for name, seen in self.versions.items() if len(seen) > 1}


def fresh_progress(plan: Plan, probe_columns: Sequence[str] = ()) -> Progress:
    """The progress of a run at update 0. `probe_columns` are the columns that its probes add to the trace."""
    own_metric = () if plan.config.task.metric == "accuracy" else (plan.config.task.metric,)
    return Progress(
        trace=StepTable((*TRACE_COLUMNS, *probe_columns)),
        evals=StepTable((*EVAL_COLUMNS, *own_metric)),
    )


def eval_row(step: int, scores: Mapping[str, Number]) -> dict[str, Number]:
    """An evaluation after `step` updates as a row for a tracker, at the index of the last update before it."""
    return {"step": step - 1} | {f"eval/{key}": value for key, value in scores.items()}


def history_of(progress: Progress) -> list[dict[str, Number]]:
    """The rows that a tracker received before a run was interrupted, in their order."""
    rows = progress.trace.rows()
    for scores in progress.evals.rows():
        step = int(scores.pop("step") or 0)
        rows.append(eval_row(step, scores))
    return sorted(rows, key=lambda row: int(row["step"] or 0))  # stable: an update before its evaluation
