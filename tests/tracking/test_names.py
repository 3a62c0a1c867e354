"""Names of metrics in W&B, and the names of runs from the files of a run or a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.integrations.integration_utils import rewrite_logs

from warmup_lab.tracking.names import history_row, run_name

NAME = "warmuplinear-w36-lr0.001-s0"


def test_metrics_have_the_names_of_the_trainer() -> None:
    """`rewrite_logs` is the function through which `Trainer` passes what it logs to W&B."""
    logged = {"loss": 0.7, "grad_norm": 2.0, "learning_rate": 1e-3, "epoch": 0.5, "eval_loss": 0.6, "eval_f1": 0.8}
    row = {"step": 4, "epoch": 0.4, "loss": 0.7, "grad_norm": 2.0, "lr": 1e-3, "eval/loss": 0.6, "eval/f1": 0.8}
    assert history_row(row, steps_per_epoch=10) == {**rewrite_logs(logged), "train/global_step": 5}


def test_probes_have_a_section_of_their_own() -> None:
    row = {"step": 0, "critical_lr": 0.1, "grad_norm/encoder.0": 2.0}
    assert history_row(row, None) == {
        "train/global_step": 1,
        "probe/critical_lr": 0.1,
        "probe/grad_norm/encoder.0": 2.0,
    }


# --------------------------------------------------------------------------------------------------------- single run


def single_run(directory: Path, *overrides: str) -> Path:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    return directory


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["scheduler=warmupcosine", "warmup_ratio=0.1", "optimizer.lr=3e-4", "seed=3", "scheduler.warmup=sqrt"], NAME),
        (["tracking.mode=offline", "num_threads=1", "study=a", "compare.margin=0.1", "probe=all", "force=true"], NAME),
        (["batch_size=16", "task=sst2", "seed=0", "probe=all"], f"{NAME} batch_size=16 task=sst2"),
        (["task.train_file=/data/mine/a.tsv", "model.dropout=0.12345678901"],
         f"{NAME} task.train_file=a.tsv model.dropout=0.123457"),
    ],
)  # fmt: skip
def test_a_single_run_has_what_the_command_line_set(tmp_path: Path, overrides: list[str], expected: str) -> None:
    assert run_name(NAME, single_run(tmp_path / "run", *overrides), in_sweep=False) == expected


@pytest.mark.parametrize("content", [None, "", "{", "[1"])
def test_without_readable_files_the_name_is_that_of_the_plan(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "run"
    if content is not None:
        single_run(folder)
        for path in (folder / ".hydra" / "overrides.yaml", tmp_path / "sweep.json"):
            path.write_text(content)
    assert [run_name(NAME, folder, in_sweep=in_sweep) for in_sweep in (False, True)] == [NAME, NAME]


# -------------------------------------------------------------------------------------------------------------- sweep


def names_in_sweep(directory: Path, *cells: list[str], command: str = "python train.py -m") -> list[str]:
    jobs: list[dict[str, Any]] = [{"run_id": f"run{index}", "overrides": cell} for index, cell in enumerate(cells)]
    (directory / "sweep.json").write_text(json.dumps({"command": command, "jobs": jobs}))
    return [run_name(NAME, directory / job["run_id"], in_sweep=True) for job in jobs]


def test_a_run_of_a_sweep_has_what_the_sweep_varied(tmp_path: Path) -> None:
    cells = [
        ["task=sst2", "max_steps=20", f"optimizer.lr={lr}", f"batch_size={size}", f"seed={seed}"]
        for lr in (1e-3, 1e-4)
        for size in (8, 16)
        for seed in (0, 1)
    ]
    assert names_in_sweep(tmp_path, *cells) == [f"{NAME} {cell[3]}" for cell in cells]


def test_the_first_run_of_a_search_has_the_keys_that_are_searched(tmp_path: Path) -> None:
    command = "python train.py -m hydra/sweeper=optuna task=sst2 'model.dropout=interval(0, 0.3)' batch_size=8,16"
    cell = ["task=sst2", "model.dropout=0.1", "batch_size=8", "seed=0"]
    assert names_in_sweep(tmp_path, cell, command=command) == [f"{NAME} model.dropout=0.1 batch_size=8"]
