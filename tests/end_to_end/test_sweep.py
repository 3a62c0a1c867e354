"""A multirun as users run it: launchers, bad cells, failing jobs, resumption, pairing."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from program import SMALL, SMALL_MODEL, run_here, start_train_py, train_py_here, wait_for_files

from warmup_lab.cli.compose import compose_plan
from warmup_lab.runs.trace import StepTable

GRID = (*SMALL, *SMALL_MODEL, "-m", "epochs=4", "eval_every=null", "study=try",
        "scheduler=warmuplinear,constantlr", "warmup_ratio=0,0.05,0.5", "seed=range(2)")  # fmt: skip
"""20 updates a run. 12 cells, 8 runs: 0.05 of 20 updates is 1; constantlr's three cells over warmup are one."""


def table(folder: Path) -> pd.DataFrame:
    """`results.parquet` without the one column that differs between two equal sweeps."""
    return pd.read_parquet(folder / "runs" / "try" / "results.parquet").drop(columns="seconds")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The grid, trained with Hydra's basic launcher in this process. Tests leave this folder as it is."""
    folder = tmp_path_factory.mktemp("basic")
    done = train_py_here(*GRID, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the trained grid, for tests that change it."""
    return shutil.copytree(trained, tmp_path / "copied")


@pytest.mark.trains
def test_every_run_is_trained_once_and_reported(trained):
    listing = json.loads((trained / "runs" / "try" / "sweep.json").read_text())
    assert len(listing["jobs"]) == 12
    assert "12 cells, 8 different runs" in (trained / "stderr").read_text()
    runs = table(trained)
    assert len(runs) == 8
    assert sorted(runs[runs.scheduler == "warmuplinear"].warmup_steps) == [0, 0, 1, 1, 10, 10]
    assert set(runs[runs.scheduler == "constantlr"].warmup_steps) == {0}
    assert set(runs.status) == {"completed"}
    for name in ("comparison.json", "report.html", "figures"):
        assert (trained / "runs" / "try" / name).exists()


@pytest.mark.trains
def test_at_one_seed_all_arms_share_initial_weights_and_data_order(trained):
    """The loss of the first update, before any strategy could act, is a fingerprint of weights, order and dropout."""
    runs = table(trained)
    first = [
        StepTable.read(trained / "runs" / "try" / run / "trace.parquet").to_lists()["loss"][0] for run in runs.run_id
    ]
    by_seed = pd.Series(first).groupby(runs.seed.to_numpy()).nunique()
    assert by_seed.to_dict() == {0: 1, 1: 1}
    assert len(set(first)) == 2


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_the_same_command_again_trains_nothing_and_rebuilds_the_report(copied, trained):
    (copied / "runs" / "try" / "results.parquet").unlink()
    done = train_py_here(*GRID, cwd=copied)
    assert "8 finished already, 0 to train" in done.stderr
    pd.testing.assert_frame_equal(table(copied), table(trained), check_exact=True)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_damaged_runs_are_named_by_the_report_and_trained_again_by_the_sweep(copied, trained):
    folders = [copied / "runs" / "try" / run for run in table(trained).run_id]
    (folders[0] / "result.json").write_text("")
    (folders[1] / "trace.parquet").unlink()
    flip_a_bit(folders[2] / "trace.parquet")
    flip_a_bit(folders[3] / "evals.parquet")
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    report = run_here(["-m", "warmup_lab.report", "runs/try"], cwd=copied)
    assert report.returncode == 0, report.stderr
    comparison = json.loads((copied / "runs" / "try" / "comparison.json").read_text())
    assert {row["run_id"]: row["error"] for row in comparison["unfinished"]} == {
        folders[0].name: "damaged: result.json is empty",
        folders[1].name: "damaged: trace.parquet is missing",
        folders[2].name: "damaged: trace.parquet does not match its SHA-256 in result.json",
        folders[3].name: "damaged: evals.parquet does not match its SHA-256 in result.json",
    }
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == names, "a report changes no run"
    done = train_py_here(*GRID, cwd=copied)
    assert done.returncode == 0, done.stderr
    assert "4 finished already, 4 to train" in done.stderr
    for folder in folders[:4]:
        assert (folder / "result.json.damaged").exists()
    pd.testing.assert_frame_equal(table(copied), table(trained), check_exact=True)


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_joblib_gives_the_same_table_even_after_kill_9_of_its_processes(trained, tmp_path):
    """The other runs are trained by the basic launcher. All are bit for bit as if it had trained every one."""
    command = (*GRID, "checkpoint_every=3")
    process = start_train_py(*command, "hydra/launcher=joblib", cwd=tmp_path)
    wait_for_files(tmp_path, "runs/try/*/result.json", process, count=2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    num_finished = len(list(tmp_path.glob("runs/try/*/result.json")))
    assert 2 <= num_finished < 8
    done = train_py_here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{num_finished} finished already, {8 - num_finished} to train" in done.stderr
    pd.testing.assert_frame_equal(table(tmp_path), table(trained), check_exact=True)


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_more_seeds_reuse_finished_runs_and_another_sweep_does_not_mix_in(copied):
    more = [word for word in GRID if not word.startswith(("seed", "scheduler"))]
    done = train_py_here(*more, "seed=range(3)", "scheduler=warmuplinear", "warmup_ratio=0.5", cwd=copied)
    assert "3 cells, 2 finished already, 1 to train" in done.stderr
    assert sorted(table(copied).seed) == [0, 1, 2]
    assert set(table(copied).warmup_steps) == {10}
    train_py_here(*GRID, cwd=copied)
    assert len(table(copied)) == 8


def test_a_bad_cell_is_reported_with_its_overrides_and_nothing_is_trained(train_py_here, tmp_path):
    done = train_py_here(*GRID[:-3], "scheduler=warmuplinear", "warmup_ratio=0.1,0.2,1.5")
    assert done.returncode != 0
    assert "1 of 3 cells cannot be run, so nothing is trained" in done.stderr
    assert "warmup_ratio=1.5: must be in [0, 1]" in done.stderr
    assert "scheduler=warmuplinear" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_a_failing_job_does_not_affect_the_others(train_py_here, tmp_path):
    """One run finds a folder in place of its trace file, so that job alone fails."""
    grid = [*GRID[:-3], "scheduler=warmuplinear", "warmup_ratio=0.5", "seed=range(3)"]
    cell = [word for word in grid[:-1] if word != "-m"]
    blocked = tmp_path / "runs" / "try" / compose_plan([*cell, "seed=1"]).run_id
    (blocked / "trace.parquet").mkdir(parents=True)
    done = train_py_here(*grid)
    assert done.returncode != 0
    assert "1 run failed" in done.stderr
    runs = table(tmp_path)
    assert runs.set_index("seed").status.to_dict() == {0: "completed", 1: "error", 2: "completed"}
    page = (tmp_path / "runs" / "try" / "report.html").read_text()
    assert blocked.name in page
    (blocked / "trace.parquet").rmdir()
    again = train_py_here(*grid)
    assert again.returncode == 0, again.stderr
    assert "2 finished already, 1 to train" in again.stderr


def test_two_sweeps_in_one_folder_at_once_are_refused(train_py_here, tmp_path):
    folder = tmp_path / "runs" / "try"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        done = train_py_here(*GRID)
    assert done.returncode != 0
    assert "in use by another sweep" in done.stderr
    assert not (folder / "sweep.json").exists()


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_optuna_searches_and_the_same_command_finds_its_runs_again(train_py_here, tmp_path):
    """Optuna's first ten trials are drawn at random from the sampler's seed, so no result changes what is searched."""
    command = (*SMALL, *SMALL_MODEL, "-m", "max_steps=6", "eval_every=null", "study=try", "hydra/sweeper=optuna",
               "hydra.sweeper.n_trials=4", "hydra.sweeper.batch_size=2", "scheduler=constantlr", "max_grad_norm=null",
               "optimizer.lr=tag(log, interval(1e-4, 1e30))")  # fmt: skip
    first = train_py_here(*command)
    assert first.returncode == 0, first.stderr
    runs = table(tmp_path)
    assert len(runs) == 4
    assert runs.lr.between(1e-4, 1e30).all()
    assert (runs.lr > 1e20).any()
    assert set(runs[runs.lr > 1e20].status) == {"diverged"}, "float32 overflows"
    again = train_py_here(*command)
    assert again.stderr.splitlines()[-1] == "4 done, 0 left"
    assert "to train" not in first.stderr + again.stderr, "each trial has a line of its own"
    pd.testing.assert_frame_equal(table(tmp_path), runs, check_exact=True)


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_with_a_storage_the_study_continues(train_py_here, tmp_path):
    command = (*SMALL, *SMALL_MODEL, "-m", "max_steps=6", "eval_every=null", "study=try", "hydra/sweeper=optuna",
               "hydra.sweeper.storage=sqlite:///study.db", "optimizer.lr=interval(1e-4, 1e-3)")  # fmt: skip
    first = train_py_here(*command, "hydra.sweeper.n_trials=1")
    assert first.returncode == 0, first.stderr
    more = train_py_here(*command, "hydra.sweeper.n_trials=2")
    assert more.returncode == 0, more.stderr
    assert more.stderr.startswith("1 of 2 trials are in sqlite:///study.db\ntrial 1: ")
    assert more.stderr.splitlines()[-1] == "2 done, 0 left"
    assert table(tmp_path).lr.nunique() == 2
    search = json.loads((tmp_path / "runs" / "try" / "comparison.json").read_text())["search"]
    assert [trial["number"] for trial in search["trials"]] == [0, 1]


def test_a_search_needs_something_to_search_and_a_grid_values(train_py_here, tmp_path):
    nothing = train_py_here(*SMALL, "-m", "hydra/sweeper=optuna")
    assert "nothing to search" in nothing.stderr
    interval = train_py_here(*SMALL, "-m", "optimizer.lr=interval(1e-4, 1e-2)")
    assert "a grid needs values" in interval.stderr
    assert not (tmp_path / "runs").exists()
