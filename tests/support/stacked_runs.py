"""Tiny runs that tests train as one tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import stopping_line

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.plan import Plan
from warmup_lab.runs import checkpoint
from warmup_lab.runs.trace import StepTable
from warmup_lab.training.stacked import loop as stacked_loop
from warmup_lab.training.stacked.train import train_stacked

NONE = TrackingConfig("none")


def train_all(plans: list[Plan], folder: Path) -> list[StepTable]:
    """The traces of runs that all end well."""
    folders = [folder / plan.run_id for plan in plans]
    for outcome in train_stacked(plans, folders, show_progress=False):
        assert isinstance(outcome, dict), outcome
    return [StepTable.read(one / "trace.parquet") for one in folders]


def interrupt_together(plans: list[Plan], folders: list[Path], step: int, monkeypatch, *, diverged: int = 0) -> None:
    """Ctrl-C after update `step` of 20. The last `diverged` runs have a result by then, the others a checkpoint."""
    with monkeypatch.context() as patched:
        patched.setattr(stacked_loop, "ProgressLine", stopping_line(step))
        with pytest.raises(stacked_loop.Interrupted, match=f"stopped after update {step} of 20; the same command"):
            train_stacked(plans, folders, show_progress=False)
    running = len(folders) - diverged
    assert all((folder / "result.json").exists() for folder in folders[running:])
    for folder in folders[:running]:
        assert checkpoint.checkpoints(folder)
        assert not (folder / "result.json").exists()
