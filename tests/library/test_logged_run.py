"""Logs of other programs: which rows are updates, when a run completed, diverged or ended early."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from warmup_lab.library.logged_run import LoggedRun, read_log


def run_of(log, **changes):
    usual = {"scheduler": "linear", "warmup_steps": 2, "total_steps": 20, "lr": 1e-3, "seed": 0}
    return LoggedRun(log=log, **usual | {"optimizer": "adamw", "task": "mine", "model": "small"} | changes)


def log_every(every, last=20, **columns):
    steps = np.arange(every, last + 1, every)
    return pd.DataFrame({"step": steps, "loss": 1.0 / steps} | columns)


def test_one_row_per_update_becomes_the_trace():
    log = log_every(1, lr=np.linspace(0.05, 1.0, 20))
    found = read_log(run_of(log))
    assert (found.every, found.status, found.num_updates) == (1, "completed", 20)
    assert found.trace.array("step").tolist() == list(range(20))
    assert found.trace.array("loss").tolist() == log["loss"].tolist()
    assert found.trace.array("lr").tolist() == log["lr"].tolist()
    assert np.isnan(found.trace.array("grad_norm")).all()


def test_the_log_history_of_transformers_with_separate_rows_of_evaluations():
    """Keys as `Trainer.state.log_history` has them with logging_steps=5, eval_steps=10 and 22 updates."""
    history = [
        {"step": 5, "loss": 0.9, "learning_rate": 1e-3},
        {"step": 10, "loss": 0.8, "learning_rate": 8e-4},
        {"step": 10, "eval_loss": 0.85, "eval_runtime": 1.0},
        {"step": 15, "loss": 0.7, "learning_rate": 5e-4},
        {"step": 20, "loss": 0.6, "learning_rate": 2e-4},
        {"step": 20, "eval_loss": 0.75, "eval_runtime": 1.0},
        {"step": 22, "train_runtime": 9.0, "train_loss": 0.74},
    ]
    log = pd.DataFrame(history).rename(columns={"learning_rate": "lr"})
    found = read_log(run_of(log, total_steps=22))
    assert (found.every, found.status) == (5, "completed")
    assert found.trace.array("step").tolist() == [4, 9, 14, 19]
    assert found.trace.array("loss").tolist() == [0.9, 0.8, 0.7, 0.6]
    assert found.evals.array("step").tolist() == [10, 20]
    assert found.evals.array("loss").tolist() == [0.85, 0.75]


@pytest.mark.parametrize("steps", [[1, 10, 20, 30], [10, 20, 30, 34], [1, 10, 20, 25]])
def test_the_first_and_the_last_row_may_be_closer(steps):
    found = read_log(run_of(pd.DataFrame({"step": steps, "loss": 1.0}), total_steps=steps[-1]))
    assert (found.every, found.status) == (10, "completed")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(value):
    log = log_every(1, lr=0.1)
    log.loc[7:, "loss"] = value
    found = read_log(run_of(log))
    assert (found.status, len(found.trace)) == ("diverged", 8)
    assert np.isfinite(found.trace.array("loss")).tolist() == [True] * 7 + [False]


def test_a_log_that_ends_early_is_an_error_unless_the_run_is_said_to_have_diverged():
    assert read_log(run_of(log_every(1, last=12))).status == "error"
    assert read_log(run_of(log_every(1, last=12), diverged=True)).status == "diverged"
    assert read_log(run_of(log_every(3, last=18))).status == "completed", "no row of 3 updates follows 18 of 20"
    assert read_log(run_of(log_every(3, last=15))).status == "error"


def changed(**columns):
    return log_every(1).assign(**columns)


@pytest.mark.parametrize(
    ("log", "changes", "message"),
    [
        (log_every(1).rename(columns={"loss": "lss"}), {}, "the log has no column 'loss'; did you mean 'lss'"),
        (changed(step=range(20)), {}, "the smallest step is 0: steps count from 1, so add 1"),
        (changed(step=np.arange(20) + 0.5), {}, "'step' has values that are not whole numbers"),
        (log_every(1), {"total_steps": 15}, "the largest step is 20, and total_steps=15"),
        (log_every(1), {"warmup_steps": 21}, "warmup_steps=21, total_steps=20: must be 0 <= warmup <= total"),
        (log_every(1), {"lr": 0.0}, "lr=0.0: must be above 0"),
        (changed(loss=math.nan), {}, "the log has no row with a loss"),
        (changed(lr=[math.nan] + [0.1] * 19), {}, "1 of 20 rows with a loss have no lr"),
        (pd.DataFrame({"step": [1, 2, 5, 6, 7], "loss": 1.0}), {}, "rows of the log are 1, 3 updates apart"),
    ],
)
def test_what_cannot_be_read_is_refused(log, changes, message):
    with pytest.raises(ValueError, match=message):
        read_log(run_of(log, **changes))
