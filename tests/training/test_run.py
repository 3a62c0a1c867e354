"""One run while it trains: its rows, what is due when, and how it ends. Nothing is trained here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import pytest
import torch
from small_runs import small_plan

from warmup_lab.training import run as run_module
from warmup_lab.training.run import CheckpointTimer, Run


@dataclass
class ListTracker:
    """Keeps what it receives."""

    rows: list = field(default_factory=list)
    ends: list = field(default_factory=list)

    def log(self, row):
        self.rows.append(row)

    def finish(self, summary, *, exit_code=0):
        self.ends.append((summary, exit_code))

    def abandon(self):
        self.ends.append("abandoned")


@pytest.fixture
def started(tmp_path) -> Run:
    """A run of 20 updates, 5 an epoch, at update 0; the peak lr is 1e-3 after 4 updates of warmup."""
    run = Run(small_plan(), tmp_path)
    model = torch.nn.Linear(1, 1)
    run.start(model, torch.optim.SGD(model.parameters()))
    run.tracker = ListTracker()
    return run


def test_an_update_is_one_row_of_the_trace_and_of_the_tracker(started):
    started.record(0, 0.7, 2.0)
    started.record(1, 0.6, 1.5)
    expected = [
        {"step": 0, "epoch": 0.0, "lr": 0.0, "loss": 0.7, "grad_norm": 2.0},
        {"step": 1, "epoch": 0.2, "lr": 2.5e-4, "loss": 0.6, "grad_norm": 1.5},
    ]
    assert started.progress.trace.rows() == expected
    assert started.tracker.rows == expected
    assert started.progress.step == 2
    assert not started.diverged


@pytest.mark.parametrize(("loss", "grad_norm"), [(math.nan, 1.0), (0.7, math.inf)])
def test_a_loss_or_gradient_that_is_not_finite_means_divergence(started, loss, grad_norm):
    started.record(0, loss, grad_norm)
    assert started.diverged


def test_evaluations_are_due_every_ten_updates_and_at_the_end(started):
    due = []
    for step in range(20):
        started.record(step, 0.7, 1.0)
        due.append(started.evaluation_due)
    assert [step + 1 for step in range(20) if due[step]] == [10, 20]
    assert started.last


def test_an_evaluation_is_recorded_after_the_last_update(started):
    started.record(0, 0.7, 1.0)
    started.record_evaluation({"loss": 0.5, "accuracy": 0.75})
    assert started.progress.evals.rows() == [{"step": 1, "loss": 0.5, "accuracy": 0.75}]
    assert started.tracker.rows[-1] == {"step": 0, "eval/loss": 0.5, "eval/accuracy": 0.75}


def test_an_error_is_written_and_told_to_the_tracker(started, tmp_path):
    started.fail(ValueError("no"))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["error"]) == ("error", "ValueError: no")
    assert started.tracker.ends == [({"status": "error"}, 1)]
    assert started.over


def test_an_error_whose_file_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    Run(small_plan(), tmp_path / "file" / "run").fail(ValueError("no"))
    assert "cannot write" in caplog.text


def test_checkpoints_are_due_every_so_many_updates():
    timer = CheckpointTimer(3)
    assert [step for step in range(1, 10) if timer.due(step)] == [3, 6, 9]


def test_checkpoints_are_due_once_a_minute_and_saving_takes_at_most_5_percent(monkeypatch):
    """Saving takes 6 s, so the next checkpoint is due 6 / 0.05 = 120 s later."""
    now = 0.0
    monkeypatch.setattr(run_module.time, "perf_counter", lambda: now)
    timer = CheckpointTimer(None)
    now = 60.0
    assert not timer.due(1)
    now = 60.5
    assert timer.due(1)
    with timer.saving():
        now = 66.5
    now = 186.0
    assert not timer.due(2)
    now = 187.0
    assert timer.due(2)
