"""A sweep with planned looks as users run it. What is trained depends on the results; the tests hold for any."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest
from program import SMALL, SMALL_MODEL, start_train_py, train_py_here, wait_for_files

COMMAND = (*SMALL, *SMALL_MODEL, "-m", "max_steps=10", "eval_every=null", "study=try", "warmup_ratio=0,0.1",
           "compare.margin=0.1", "compare.looks=[6,8]")  # fmt: skip
"""2 arms of 10 updates; 10 % is the reference."""


def listing(folder: Path) -> dict:
    return json.loads((folder / "runs" / "try" / "sweep.json").read_text())


def table(folder: Path) -> pd.DataFrame:
    """`results.parquet` without the one column that differs between two equal sweeps."""
    return pd.read_parquet(folder / "runs" / "try" / "results.parquet").drop(columns="seconds")


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_looks_are_trained_one_after_the_other_and_resumed_after_kill_9(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    done = train_py_here(*COMMAND, cwd=whole)
    assert done.returncode == 0, done.stderr
    assert "12 cells, 12 to train" in done.stderr
    num_runs = len(table(whole))
    assert num_runs in (12, 16), "both arms stop after the first look, or neither"
    ending = "decided after 6 of 8 seeds: 4 runs saved" if num_runs == 12 else "ended after all 8 seeds"
    assert ending in done.stderr
    assert listing(whole)["compare"]["looks"] == [6, 8]
    assert len(listing(whole)["jobs"]) == num_runs

    process = start_train_py(*COMMAND, cwd=killed)
    wait_for_files(killed, "runs/try/*/result.json", process, count=3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = train_py_here(*COMMAND, cwd=killed)
    assert again.returncode == 0, again.stderr
    assert ending in again.stderr
    pd.testing.assert_frame_equal(table(killed), table(whole), check_exact=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=range(6)"], "compare.looks=[6, 8] needs 8 seeds, and 6 are given: set 'seed=range(8)'"),
        (["compare.looks=[8,6]"], "compare.looks=[8, 6]: must be rising numbers of seeds"),
        (["warmup_ratio=2"], "warmup_ratio=2: must be in [0, 1]"),
        (["hydra/sweeper=optuna"], "compare.looks=[6, 8] needs hydra/sweeper=grid"),
    ],
)
def test_looks_that_cannot_be_trained_are_refused_before_anything_is_written(train_py_here, tmp_path, words, message):
    done = train_py_here(*COMMAND, *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
