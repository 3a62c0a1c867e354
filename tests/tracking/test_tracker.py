"""Trackers with the real wandb client: offline, and against a server on the loopback."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import small_plan
from wandb_offline import (
    NAME,
    OFFLINE,
    RUN_ID,
    assert_anonymous,
    messages,
    offline_runs,
    only_offline_run,
    start,
    update_row,
    wandb_row,
)
from wandb_standin import StandIn

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.runs.trace import StepTable
from warmup_lab.tracking.tracker import NullTracker
from warmup_lab.training.stacked.train import train_stacked

# ---------------------------------------------------------------------------------------------------- offline


def test_an_offline_run_holds_config_history_and_summary_once(tmp_path: Path) -> None:
    config = {"optimizer": {"name": "adamw", "lr": 1e-3}, "task": {"train_file": Path("a.tsv")}, "seed": 0}
    tracker = start(tmp_path, config=config)
    for step in range(50):
        tracker.log(update_row(step))
    tracker.log({"step": 49, "eval/loss": 0.3, "eval/accuracy": 0.9})
    tracker.finish({"status": "completed", "oscillation": {"whole": {"roughness": 0.1, "rho1": None}}})

    found = only_offline_run(tmp_path)
    expected = [wandb_row(step) for step in range(50)]
    expected[-1] |= {"eval/loss": 0.3, "eval/accuracy": 0.9}
    assert found.history == expected
    defined = [record.metric for record in found.records if record.HasField("metric")]
    assert [(metric.name, metric.glob_name, metric.step_metric) for metric in defined] == [
        ("train/global_step", "", ""),
        ("", "*", "train/global_step"),
    ]
    assert found.config | {"_wandb": {}} == config | {"task": {"train_file": "a.tsv"}, "_wandb": {}}
    assert (found.run.display_name, found.run.run_group, found.run.job_type) == (
        NAME, "ten_percent", "train")  # fmt: skip
    assert found.run.project == "warmup-lab"
    assert found.run.run_id.startswith(RUN_ID)
    assert found.summary["oscillation/whole/roughness"] == 0.1
    assert found.summary["status"] == "completed"
    assert found.summary["eval/accuracy"] == 0.9
    assert "oscillation/whole/rho1" not in found.summary
    assert found.exit_code == [0]


@pytest.mark.trains
def test_stacked_runs_have_one_wandb_run_each(tmp_path: Path) -> None:
    """The second run diverges and ends; the others continue."""
    base = {"tracking": OFFLINE, "max_grad_norm": None, "eval_every": None}
    plans = [small_plan(lr=lr, scheduler="constantlr", warmup_ratio=None, seed=seed, **base)
             for seed, lr in enumerate((1e-3, 1e30, 1e-4))]  # fmt: skip
    results = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], group="sweep", show_progress=False)
    for plan, result in zip(plans, results, strict=True):
        (found,) = offline_runs(tmp_path, plan.run_id)
        trace = StepTable.read(tmp_path / plan.run_id / "trace.parquet").rows()
        losses = {row["train/global_step"]: row["train/loss"] for row in found.history if "train/loss" in row}
        assert losses == {row["step"] + 1: row["loss"] for row in trace if math.isfinite(row["loss"])}
        assert (found.run.display_name, found.run.run_group) == (plan.name, "sweep")
        assert found.summary["status"] == result["status"] == ("diverged" if plan.config.seed == 1 else "completed")
        assert found.exit_code == [0]
    assert len(offline_runs(tmp_path)) == 3


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    odd: dict[str, Any] = {"loss": math.nan, "grad_norm": math.inf, "sharpness": np.float32("nan"), "overshoot": None}
    tracker.log({"step": np.int64(3), "lr": np.float64(0.5), "grad_norm/head": np.int64(2), **odd})
    tracker.finish({"loss": math.nan, "resumed_at": [5], "failed_to_learn": True}, exit_code=1)
    found = only_offline_run(tmp_path)
    axis = {"_step": 3, "train/global_step": 4, "train/epoch": 0.4}
    assert found.history == [{**axis, "train/learning_rate": 0.5, "probe/grad_norm/head": 2}]
    assert (found.summary["resumed_at"], found.summary["failed_to_learn"]) == ([5], True)
    assert "loss" not in found.summary
    assert found.exit_code == [1]


def test_none_in_the_summary_removes_the_value_of_the_history(tmp_path: Path) -> None:
    """A run that diverges after an evaluation has no final `eval/loss`: a W&B sweep would choose it by the earlier."""
    tracker = start(tmp_path)
    tracker.log({"step": 4, "eval/loss": 0.3, "eval/accuracy": 0.9})
    for step in (5, 6):
        tracker.log(update_row(step))
    tracker.finish({"status": "diverged", "eval/loss": None, "eval/accuracy": math.nan, "never/logged": None})
    found = only_offline_run(tmp_path)
    assert found.history[0]["eval/loss"] == 0.3
    assert not {"eval/loss", "eval/accuracy", "never/logged"} & set(found.summary)
    assert found.summary["train/loss"] == 1 / 7


EVERY_TENTH = TrackingConfig(mode="offline", log_every=10)


@pytest.mark.parametrize(("num_updates", "steps"), [(21, [0, 10, 20]), (25, [0, 10, 20, 24]), (3, [0, 2])])
def test_log_every_sends_every_tenth_update_and_the_last(tmp_path: Path, num_updates: int, steps: list[int]) -> None:
    tracker = start(tmp_path, EVERY_TENTH)
    for step in range(num_updates):
        tracker.log(update_row(step))
    tracker.finish({})
    assert only_offline_run(tmp_path).steps == steps


@pytest.mark.parametrize("resumed_at", [0, 4, 5, 10, 13, 20, 22])
def test_log_every_keeps_each_evaluation_and_its_update(tmp_path: Path, resumed_at: int) -> None:
    """Evaluations after every fifth of 22 updates; those before `resumed_at` arrive as the history of a resumed run."""
    rows = [update_row(step) for step in range(22)]
    evaluations = [{"step": step, "eval/loss": step / 10} for step in (4, 9, 14, 19)]
    in_order = sorted([*rows, *evaluations], key=lambda row: row["step"])
    tracker = start(tmp_path, EVERY_TENTH, history=[row for row in in_order if row["step"] < resumed_at])
    for row in in_order:
        if row["step"] >= resumed_at:
            tracker.log(row)
    tracker.finish({})
    history = only_offline_run(tmp_path).history
    assert [row["_step"] for row in history] == [0, 4, 9, 10, 14, 19, 20, 21]
    assert [row["train/loss"] for row in history] == [wandb_row(row["_step"])["train/loss"] for row in history]
    assert {row["_step"]: row["eval/loss"] for row in history if "eval/loss" in row} == {
        4: 0.4,
        9: 0.9,
        14: 1.4,
        19: 1.9,
    }


def test_an_evaluation_after_the_last_update_has_its_own_row(tmp_path: Path) -> None:
    tracker = start(tmp_path, EVERY_TENTH)
    for step in range(15):
        tracker.log(update_row(step))
    tracker.log({"step": 15, "eval/loss": 0.3})
    tracker.finish({})
    found = only_offline_run(tmp_path)
    assert found.steps == [0, 10, 14, 15]
    assert found.history[-1] == {"_step": 15, "train/global_step": 16, "train/epoch": 1.6, "eval/loss": 0.3}


def test_two_runs_in_one_process_are_separate(tmp_path: Path) -> None:
    first, second = start(tmp_path, run_id="a" * 12, name="one"), start(tmp_path, run_id="b" * 12, name="two")
    for step in range(20):
        first.log(update_row(step))
        if step < 10:
            second.log({"step": step, "loss": 7.0})
    second.finish({"which": 2})
    first.finish({"which": 1})
    runs = {found.run.display_name: found for found in offline_runs(tmp_path)}
    assert runs["one"].steps == list(range(20))
    assert [row["train/loss"] for row in runs["two"].history] == [7.0] * 10
    assert (runs["one"].summary["which"], runs["two"].summary["which"]) == (1, 2)


def test_many_runs_at_once(tmp_path: Path) -> None:
    trackers = [start(tmp_path, run_id=f"{number:012x}", name=str(number)) for number in range(16)]
    for step in range(30):
        for tracker in trackers:
            tracker.log(update_row(step))
    for tracker in trackers:
        tracker.finish({})
    found = offline_runs(tmp_path)
    assert sorted(int(run.run.display_name) for run in found) == list(range(16))
    assert all(run.steps == list(range(30)) for run in found)


# ---------------------------------------------------------------------------------------------------- resumption


def test_evaluations_may_come_after_the_trace_in_a_history(tmp_path: Path) -> None:
    history: list[dict[str, Any]] = [update_row(step) for step in range(6)]
    start(tmp_path, history=[*history, {"step": 2, "eval/loss": 0.5}, {"step": 5, "eval/loss": 0.3}]).finish({})
    found = only_offline_run(tmp_path)
    assert found.steps == list(range(6))
    assert {row["_step"]: row["eval/loss"] for row in found.history if "eval/loss" in row} == {2: 0.5, 5: 0.3}


def test_an_abandoned_run_closes_at_once_and_can_be_resumed(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    for step in range(5000):
        tracker.log(update_row(step))
    begin = time.monotonic()
    tracker.abandon()
    assert time.monotonic() - begin < 3
    tracker.log(update_row(5000))
    again = start(tmp_path, history=[update_row(0)])
    again.finish({})
    assert only_offline_run(tmp_path).steps == [0]


def test_tracking_none_records_nothing(tmp_path: Path) -> None:
    tracker = start(tmp_path, TrackingConfig(kind="none"), history=[update_row(0)])
    tracker.log(update_row(1))
    tracker.finish({})
    tracker.abandon()
    assert isinstance(tracker, NullTracker)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- online


def test_online_history_summary_and_config_arrive(
    tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    tracker = start(tmp_path, TrackingConfig(), config={"optimizer": {"lr": 1e-3}})
    for step in range(10):
        tracker.log(update_row(step))
        if step == 4:
            tracker.log({"step": step, "eval/accuracy": 0.9})
    tracker.log({"step": 9, "eval/loss": 0.3})
    tracker.finish({"oscillation": {"whole": {"roughness": 0.1}}, "eval/accuracy": None})

    ((run_id, run),) = server.runs.items()
    assert [row["_step"] for row in run.history] == list(range(10))
    assert [row["train/loss"] for row in run.history] == [wandb_row(step)["train/loss"] for step in range(10)]
    assert run.history[-1]["eval/loss"] == 0.3
    assert run.summary["oscillation/whole/roughness"] == 0.1
    assert run.summary["eval/loss"] == 0.3
    assert "eval/accuracy" not in run.summary
    assert run.config == {"optimizer": {"lr": 1e-3}}
    assert run.exit_code == 0
    started = run.upserts[0]
    assert (started["groupName"], started["jobType"]) == ("ten_percent", "train")
    assert started["displayName"] == NAME
    assert {started[key] for key in ("host", "program", "commit", "repo")} == {None}
    assert sorted(run.files) == ["config.yaml", "wandb-summary.json"]
    assert_anonymous(server.everything)
    assert messages(caplog) == [f"W&B: {server.url}/someone/warmup-lab/runs/{run_id}"]
    assert capfd.readouterr() == ("", "")


def test_online_a_resumed_run_overwrites_the_earlier_attempt(tmp_path: Path, server: StandIn) -> None:
    attempt = start(tmp_path, TrackingConfig())
    for step in range(8):
        attempt.log({"step": step, "loss": 9.0})
    attempt.finish({}, exit_code=1)
    resumed = start(tmp_path, TrackingConfig(), history=[update_row(step) for step in range(5)])
    for step in range(5, 12):
        resumed.log(update_row(step))
    resumed.finish({})

    ((_, run),) = server.runs.items()
    assert run.offsets.count(0) == 2
    assert [row["train/loss"] for row in run.history] == [wandb_row(step)["train/loss"] for step in range(12)]
