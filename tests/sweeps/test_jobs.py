"""Checking the cells of a sweep, and its job list."""

import json
import sys
from pathlib import Path

import pytest
from fake_plans import plan_cell, write_result

from warmup_lab.config.errors import ConfigError
from warmup_lab.runs.stored_run import read_result, read_run
from warmup_lab.sweeps.jobs import (
    Job,
    check_cells,
    check_reference,
    read_jobs,
    start_retrainings,
    unfinished_jobs,
    unique_jobs,
    write_job_list,
)

STATUSES = ("completed", "diverged", "error")


def jobs_of(*ids):
    return check_cells([[f"id={run_id}"] for run_id in ids], plan_cell)[0]


def test_one_job_a_cell_and_the_configuration_of_the_last_cell():
    jobs, config = check_cells([["id=a"], ["id=b", "force=true"]], plan_cell)
    assert [(job.overrides, job.run_id, job.name, job.arm_id) for job in jobs] == [
        (["id=a"], "a", "name-a", "arm-a"),
        (["id=b", "force=true"], "b", "name-b", "arm-b"),
    ]
    assert config.force


def test_the_error_lists_the_first_five_invalid_cells_and_counts_the_others():
    with pytest.raises(ConfigError) as caught:
        check_cells([["id=a"], *([f"id=bad{number}"] for number in range(7))], plan_cell)
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 of 8 cells cannot be run, so nothing is trained:"
    assert lines[1:6] == [f"  id=bad{number}: id=bad{number} is bad" for number in range(5)]
    assert lines[6:] == ["  and 2 more"]


def test_cells_that_are_all_invalid_for_one_reason_give_that_reason_alone():
    with pytest.raises(ConfigError, match=r"^id=bad is bad$"):
        check_cells([["id=bad", "seed=0"], ["id=bad", "seed=1"]], plan_cell)


def arm_job(warmup_steps: int) -> Job:
    strategy = {"scheduler": "warmuplinear", "warmup_steps": warmup_steps, "lr": 1e-3}
    return Job([], f"run{warmup_steps}", "name", f"arm{warmup_steps}", strategy, None)


def test_the_reference_is_an_arm_of_the_sweep():
    jobs = [arm_job(0), arm_job(36)]
    check_reference(jobs, "warmuplinear-w36")
    check_reference(jobs, None)
    with pytest.raises(ConfigError, match=r"compare\.reference: no arm is called 'warmuplinear-w3'"):
        check_reference(jobs, "warmuplinear-w3")


def test_unique_jobs_are_the_first_of_each_run_in_the_order_of_the_last():
    jobs, _ = check_cells([["id=b", "x=1"], ["id=a", "x=1"], ["id=b", "x=2"], ["id=c", "x=1"]], plan_cell)
    assert [job.overrides for job in unique_jobs(jobs)] == [["id=a", "x=1"], ["id=b", "x=1"], ["id=c", "x=1"]]


@pytest.mark.parametrize(
    ("force", "expected"), [(False, ["error", "missing"]), (True, ["completed", "diverged", "error", "missing"])]
)
def test_completed_and_diverged_runs_are_finished(tmp_path, force, expected):
    for status in STATUSES:
        write_result(tmp_path / status, status)
    jobs = jobs_of(*STATUSES, "missing")
    assert [job.run_id for job in unfinished_jobs(jobs, tmp_path, force=force)] == expected


def test_results_that_will_be_replaced_stay_but_do_not_count(tmp_path):
    write_result(tmp_path / "a")
    start_retrainings(jobs_of("a", "missing"), tmp_path)
    assert read_run(tmp_path / "a", "a").result
    assert read_result(tmp_path / "a") is None
    assert [job.run_id for job in unfinished_jobs(jobs_of("a"), tmp_path, force=False)] == ["a"]
    assert not (tmp_path / "missing").exists()


def test_the_result_of_another_run_is_left_as_it_is(tmp_path):
    write_result(tmp_path / "a", run_id="another")
    start_retrainings(jobs_of("a"), tmp_path)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["evals.parquet", "result.json", "trace.parquet"]
    assert [job.run_id for job in unfinished_jobs(jobs_of("a"), tmp_path, force=False)] == ["a"]


def test_the_job_list_holds_jobs_settings_and_a_command_for_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py"), "-m", "seed=range(2)"])
    write_job_list(tmp_path, "study", jobs_of("a", "b"), {"margin": 0.1})
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["command"] == "python train.py -m 'seed=range(2)'"
    assert (written["schema"], written["study"], written["compare"]) == (1, "study", {"margin": 0.1})
    assert [job["run_id"] for job in written["jobs"]] == ["a", "b"]
    assert set(written["jobs"][0]) == {"overrides", "run_id", "name", "arm_id", "strategy", "asked"}


def test_the_job_list_is_read_as_it_was_written(tmp_path):
    jobs = jobs_of("a", "b")
    write_job_list(tmp_path, "study", jobs, {})
    assert read_jobs(tmp_path) == jobs
