"""A multirun as users run it: every launcher, bad cells, failing jobs, resumption, pairing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from program import ROOT, SMALL

from warmup_lab.cli.compose import compose_plan
from warmup_lab.runs.trace import StepTable

GRID = (*SMALL, "-m", "model.num_layers=1", "model.hidden_size=32", "epochs=4", "eval_every=null", "study=try",
        "scheduler=warmuplinear,constantlr", "warmup_ratio=0,0.05,0.5", "seed=range(2)")  # fmt: skip
"""20 updates a run. 12 cells, 6 runs: 0.05 of 20 updates is 1; constantlr's three cells over warmup are one."""


def table(folder: Path) -> pd.DataFrame:
    """`results.parquet` without the one column that differs between two same sweeps."""
    return pd.read_parquet(folder / "runs" / "try" / "results.parquet").drop(columns="seconds")


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shared_cache) -> Path:
    """The grid, trained with Hydra's basic launcher."""
    folder = tmp_path_factory.mktemp("basic")
    done = sweep(folder, shared_cache, *GRID)
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


def sweep(folder: Path, cache: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *args], cwd=folder, text=True, capture_output=True, timeout=300,
        env={**os.environ, "WARMUP_LAB_CACHE": str(cache)}, check=False,
    )  # fmt: skip


def test_every_run_is_trained_once_and_reported(swept):
    listing = json.loads((swept / "runs" / "try" / "sweep.json").read_text())
    assert len(listing["jobs"]) == 12
    assert "12 cells, 8 different runs" in (swept / "stderr").read_text()
    runs = table(swept)
    assert len(runs) == 8
    assert sorted(runs[runs.scheduler == "warmuplinear"].warmup_steps) == [0, 0, 1, 1, 10, 10]
    assert set(runs[runs.scheduler == "constantlr"].warmup_steps) == {0}
    assert set(runs.status) == {"completed"}
    for name in ("comparison.json", "report.html", "figures"):
        assert (swept / "runs" / "try" / name).exists()


def test_at_one_seed_all_arms_share_initial_weights_and_data_order(swept):
    """The loss of the first update, before any strategy could act, is a fingerprint of weights, order and dropout."""
    runs = table(swept)
    first = [
        StepTable.read(swept / "runs" / "try" / run / "trace.parquet").to_lists()["loss"][0] for run in runs.run_id
    ]
    by_seed = pd.Series(first).groupby(runs.seed.to_numpy()).nunique()
    assert by_seed.to_dict() == {0: 1, 1: 1}
    assert len(set(first)) == 2


def test_joblib_gives_the_same_table_bit_for_bit(swept, tmp_path, shared_cache):
    done = sweep(tmp_path, shared_cache, *GRID, "hydra/launcher=joblib")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(tmp_path), table(swept), check_exact=True)


def test_the_same_command_again_trains_nothing_and_rebuilds_the_report(swept, shared_cache):
    before = table(swept)
    done = sweep(swept, shared_cache, *GRID)
    assert "8 finished already, 0 to train" in done.stderr
    pd.testing.assert_frame_equal(table(swept), before, check_exact=True)


def test_kill_9_of_the_whole_group_then_the_same_command_gives_the_same_table(swept, tmp_path, shared_cache):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *GRID, "hydra/launcher=joblib", "checkpoint_every=3"],
        cwd=tmp_path, env={**os.environ, "WARMUP_LAB_CACHE": str(shared_cache)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("runs/try/*/result.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(list(tmp_path.glob("runs/try/*/result.json"))) < 8
    done = sweep(tmp_path, shared_cache, *GRID, "checkpoint_every=3")
    assert done.returncode == 0, done.stderr
    assert "finished already" in done.stderr
    pd.testing.assert_frame_equal(table(tmp_path), table(swept), check_exact=True)


def test_more_seeds_reuse_what_matches_and_another_sweep_does_not_mix_in(swept, shared_cache):
    more = [word for word in GRID if not word.startswith(("seed", "scheduler"))]
    done = sweep(swept, shared_cache, *more, "seed=range(3)", "scheduler=warmuplinear", "warmup_ratio=0.5")
    assert "3 cells, 2 finished already, 1 to train" in done.stderr
    assert sorted(table(swept).seed) == [0, 1, 2]
    assert set(table(swept).warmup_steps) == {10}
    sweep(swept, shared_cache, *GRID)
    assert len(table(swept)) == 8


def test_a_bad_cell_is_reported_with_its_overrides_and_nothing_is_trained(tmp_path, shared_cache):
    done = sweep(tmp_path, shared_cache, *GRID[:-3], "scheduler=warmuplinear", "warmup_ratio=0.1,0.2,1.5")
    assert done.returncode != 0
    assert "1 of 3 cells cannot be run, so nothing is trained" in done.stderr
    assert "warmup_ratio=1.5: must lie in [0, 1]" in done.stderr
    assert "scheduler=warmuplinear" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_failing_job_costs_nothing_else(tmp_path, shared_cache):
    """Where one run must write its trace there is a folder, so that job alone fails."""
    grid = [*GRID[:-3], "scheduler=warmuplinear", "warmup_ratio=0.5", "seed=range(3)"]
    cell = [word for word in grid[:-1] if word != "-m"]
    blocked = tmp_path / "runs" / "try" / compose_plan([*cell, "seed=1"]).run_id
    (blocked / "trace.parquet").mkdir(parents=True)
    done = sweep(tmp_path, shared_cache, *grid)
    assert done.returncode != 0
    assert "1 run failed" in done.stderr
    runs = table(tmp_path)
    assert runs.set_index("seed").status.to_dict() == {0: "completed", 1: "error", 2: "completed"}
    page = (tmp_path / "runs" / "try" / "report.html").read_text()
    assert blocked.name in page
    (blocked / "trace.parquet").rmdir()
    again = sweep(tmp_path, shared_cache, *grid)
    assert again.returncode == 0, again.stderr
    assert "2 finished already, 1 to train" in again.stderr


def test_two_sweeps_in_one_folder_at_once_are_refused(tmp_path, shared_cache):
    import fcntl

    folder = tmp_path / "runs" / "try"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = sweep(tmp_path, shared_cache, *GRID)
    assert done.returncode != 0
    assert "in use by another sweep" in done.stderr
    assert not (folder / "sweep.json").exists()


def test_optuna_searches_and_the_same_command_finds_its_runs_again(tmp_path, shared_cache):
    command = (*SMALL, "-m", "model.num_layers=1", "model.hidden_size=32", "max_steps=6", "eval_every=null",
               "study=try", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.batch_size=2",
               "optimizer.lr=tag(log, interval(1e-4, 1e30))", "max_grad_norm=null", "scheduler=constantlr")  # fmt: skip
    first = sweep(tmp_path, shared_cache, *command)
    assert first.returncode == 0, first.stderr
    runs = table(tmp_path)
    assert len(runs) == 4
    assert "diverged" in set(runs.status), "the search went on although a run diverged"
    assert runs.lr.between(1e-4, 1e30).all()
    again = sweep(tmp_path, shared_cache, *command)
    assert again.stderr.count("finished already, 0 to train") == 2
    pd.testing.assert_frame_equal(table(tmp_path), runs, check_exact=True)


def test_a_search_needs_something_to_search_and_a_grid_values(tmp_path, shared_cache):
    nothing = sweep(tmp_path, shared_cache, *SMALL, "-m", "hydra/sweeper=optuna")
    assert "nothing to search" in nothing.stderr
    interval = sweep(tmp_path, shared_cache, *SMALL, "-m", "optimizer.lr=interval(1e-4, 1e-2)")
    assert "a grid needs values" in interval.stderr
    assert not (tmp_path / "runs").exists()
