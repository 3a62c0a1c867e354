"""W&B as users run it: `wandb sweep` and `wandb agent` with `sweep.yaml`, an online multirun, an interrupted run.

And beside transformers' `Trainer`: both runs have the same points.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from fork_server import Fork
from program import ROOT, start, start_train_py
from program import run as run_program
from small_runs import run_parts, small_plan, stopping_line
from wandb_offline import no_settings_of_the_user, offline_runs, only_offline_run
from wandb_standin import SWEEP, StandIn

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.plan import Plan
from warmup_lab.tasks.batches import collate
from warmup_lab.training import loop
from warmup_lab.training.console import Interrupted

TINY = {"max_steps": 2, "task.num_train": 64, "task.num_validation": 40, "num_threads": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def _own_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs that wandb starts as `python` use the Python of the tests."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    with no_settings_of_the_user(tmp_path / "home", monkeypatch):
        monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "home" / "WANDB_DATA_DIR"))
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        yield


def sweep_yaml() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "sweep.yaml").read_text())
    return loaded


def output_of(process: subprocess.Popen[str] | Fork, *, seconds: float) -> str:
    """The output of a program that must succeed in time. On Ctrl-C an agent also ends the runs it has started."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        for signal_number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
                os.killpg(process.pid, signal_number)
                process.communicate(timeout=5)
        raise
    assert process.returncode == 0, output + errors
    return output + errors


AGENT = """
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.5  # otherwise it waits for 5 seconds before and after each run
cli()
"""


@pytest.mark.trains
def test_an_agent_runs_the_sweep_and_its_runs_arrive_under_its_ids(tmp_path: Path) -> None:
    sweep = sweep_yaml() | {"program": str(ROOT / "tests" / "support" / "forked_train.py")}
    sweep["parameters"] |= {key: {"value": value} for key, value in TINY.items()}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    wandb = [sys.executable, "-m", "wandb"]
    with StandIn(num_cells=2) as server:
        output = output_of(start([*wandb, "sweep", "sweep.yaml"], cwd=tmp_path, **server.environment), seconds=60)
        assert f"wandb agent someone/warmup-lab/{SWEEP}" in output
        agent = [sys.executable, "-c", AGENT, "agent", f"someone/warmup-lab/{SWEEP}"]
        output = output_of(start(agent, cwd=tmp_path, **server.environment), seconds=150)

    assert list(server.runs) == list(server.assigned) == ["agent-0", "agent-1"], output
    assert [cell["warmup_ratio"] for cell in server.assigned.values()] == [0, 0.02]
    for run_id, run in server.runs.items():
        assert [row["_step"] for row in run.history] == [0, 1]
        assert run.summary["eval/loss"] > 0
        assert run.config["warmup_ratio"] == server.assigned[run_id]["warmup_ratio"]
        assert run.upserts[0]["sweep"] == SWEEP
        assert run.exit_code == 0


def test_every_value_of_the_sweep_is_accepted(train_py_here: Callable[..., Any]) -> None:
    """Each value composes and is in the configuration. The longest list of values sets the number of commands."""
    sweep = sweep_yaml()
    assert (sweep["program"], sweep["method"]) == ("train.py", "grid")
    assert sweep["metric"] == {"name": "eval/loss", "goal": "minimize"}
    axes = {key: item["values"] for key, item in sweep["parameters"].items()}
    for position in range(max(len(values) for values in axes.values())):
        cell = {key: values[position % len(values)] for key, values in axes.items()}
        words = [f"{key}={value}" for key, value in cell.items()]
        done = train_py_here("--cfg", "job", *words)
        assert done.returncode in (0, None), done.stderr
        composed = yaml.safe_load(done.stdout)
        assert composed | {"scheduler": composed["scheduler"]["name"]} == composed | cell


@pytest.mark.trains
def test_an_online_multirun_sends_each_run_and_a_summary(tmp_path: Path) -> None:
    with StandIn() as server:
        command = ("-m", "task.num_train=64", "task.num_validation=40", "max_steps=2", "warmup_ratio=0,0.5",
                   "model.dropout=0,0.1", "study=online", "model.hidden_size=32")  # fmt: skip
        output_of(start_train_py(*command, cwd=tmp_path, **server.environment), seconds=120)
        by_type: dict[str, list[Any]] = {"train": [], "summary": []}
        for run in server.runs.values():
            if run.upserts:  # files of the summary's table arrive without a run
                by_type[run.upserts[0]["jobType"]].append(run)
    trained, (summary,) = by_type["train"], by_type["summary"]
    assert sorted(run.upserts[0]["displayName"] for run in trained) == [
        f"warmuplinear-w{steps}-lr0.001-s0 model.dropout={dropout}" for steps in (0, 1) for dropout in ("0", "0.1")
    ]
    for run in trained:
        assert [row["_step"] for row in run.history] == [0, 1]
        assert run.upserts[0]["groupName"] == "online"
        assert run.summary["eval/loss"] > 0
    assert summary.upserts[0]["displayName"] == "online-summary"
    assert any(name.startswith("media/images/figures/") for name in summary.files)
    assert {"verdicts", "runs", "charts/failure_rate_table"} <= {
        key for row in summary.history for key in row if key.startswith(("verdicts", "runs", "charts"))
    }


@pytest.mark.trains
def test_a_resumed_run_has_the_history_of_an_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 updates, an evaluation after every fifth. Interrupted after updates 7 and 15 (counted from 1)."""
    plan = small_plan(eval_every=5, tracking=TrackingConfig(mode="offline", log_every=10))
    assert plan.total_steps == 20
    loop.train(plan, tmp_path / "whole" / plan.run_id, show_progress=False)
    for stop_at in (7, 15):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "ProgressLine", stopping_line(stop_at))
            with pytest.raises(Interrupted):
                loop.train(plan, tmp_path / "resumed" / plan.run_id, show_progress=False)
    result = loop.train(plan, tmp_path / "resumed" / plan.run_id, show_progress=False)
    assert result["resumed_at"] == [7, 15]
    whole, resumed = (only_offline_run(tmp_path / folder).history for folder in ("whole", "resumed"))
    assert [row["_step"] for row in whole] == [0, 4, 9, 10, 14, 19]
    assert all("train/loss" in row for row in whole)
    assert [row["_step"] for row in whole if "eval/loss" in row] == [4, 9, 14, 19]
    assert resumed == whole


# ------------------------------------------------------------------------------------------- beside a `Trainer`


class Batches:
    """A data loader for `Trainer`: every pass over it gives the next `length` of the batches."""

    def __init__(self, batches: list[Any], length: int) -> None:
        self._batches, self._length = iter(batches), length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._batches, self._length)


def train_with_trainer(plan: Plan, directory: Path) -> None:
    """The run of `plan` by transformers' `Trainer`: the same weights, batches, optimizer and schedule."""
    import wandb
    from transformers import EvalPrediction, Trainer, TrainingArguments

    task, model, optimizer, _ = run_parts(plan)
    updates = itertools.islice(loop.batches_of(plan, task, collate), plan.total_steps)
    train_batches = [batch for batches in updates for batch in batches]
    validation = collate(task.validation, np.arange(len(task.validation)), task.pad_id)

    class SameBatches(Trainer):
        def get_train_dataloader(self) -> Any:
            return Batches(train_batches, plan.steps_per_epoch)

        def get_eval_dataloader(self, *_: Any) -> Any:
            return [validation]

    def accuracy(found: EvalPrediction) -> dict[str, float]:
        return {"accuracy": float((found.predictions.argmax(axis=1) == found.label_ids).mean())}

    arguments = TrainingArguments(
        str(directory), run_name="trainer", report_to=["wandb"], max_steps=plan.total_steps, logging_steps=1,
        eval_strategy="steps", eval_steps=plan.config.eval_every, max_grad_norm=plan.config.max_grad_norm,
        save_strategy="no", use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.multiplier)
    trainer = SameBatches(
        model, arguments, eval_dataset=task.validation, compute_metrics=accuracy, optimizers=(optimizer, schedule)
    )
    trainer.train()
    wandb.finish()


def inspected_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's history as `wandb leet inspect` prints them."""
    done = run_program([sys.executable, "-m", "wandb", "leet", "inspect", "--json", folder], timeout=60)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def points(history: list[dict[str, Any]], metric: str) -> dict[int, float]:
    return {row["train/global_step"]: row[metric] for row in history if metric in row}


@pytest.mark.trains
def test_a_run_of_trainer_and_one_of_ours_have_the_same_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both take project and folder from the environment. Without dropout, so that only rounding differs."""
    settings = {"PROJECT": "overlay", "DIR": str(tmp_path), "MODE": "offline", "CONSOLE": "off", "DISABLE_GIT": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    plan = small_plan(dropout=0.0, eval_every=5, tracking=TrackingConfig())
    loop.train(plan, tmp_path / "ours" / plan.run_id, show_progress=False)
    train_with_trainer(plan, tmp_path / "theirs")

    runs = {found.run.display_name: found for found in offline_runs(tmp_path)}
    assert set(runs) == {"trainer", plan.name}
    assert {found.run.project for found in runs.values()} == {"overlay"}
    theirs, ours = (inspected_history(runs[name].folder) for name in ("trainer", plan.name))
    for metric, tolerance in (("train/loss", 1e-5), ("train/grad_norm", 1e-4), ("train/learning_rate", 1e-12)):
        assert list(points(ours, metric)) == list(range(1, 21))
        assert points(ours, metric) == pytest.approx(points(theirs, metric), abs=tolerance)
    assert points(ours, "train/epoch") == pytest.approx(points(theirs, "train/epoch"))
    one_example = 1 / 40  # of the validation data, whose two logits may be equal up to rounding
    for metric, tolerance in (("eval/loss", 1e-5), ("eval/accuracy", 1.01 * one_example)):
        assert list(points(ours, metric)) == [5, 10, 15, 20]
        assert points(ours, metric) == pytest.approx(points(theirs, metric), abs=tolerance)
        assert runs[plan.name].summary[metric] == points(ours, metric)[20]
    shared = set(runs["trainer"].summary) & set(runs[plan.name].summary)
    assert shared >= {"train/loss", "train/learning_rate", "train/epoch", "train/global_step", "train_runtime"}
    capfd.readouterr()
