"""The progress line of a sweep."""

import os
import time
from dataclasses import replace

from fake_plans import plan_cell, write_result

from warmup_lab.sweeps.jobs import check_cells
from warmup_lab.sweeps.progress import SweepProgress

IDS = ("completed", "diverged", "error", "running", "waiting", "started_earlier", "saved_since")


def test_the_line_counts_the_states_of_all_jobs(tmp_path, capsys):
    jobs, _ = check_cells([[f"id={run_id}"] for run_id in IDS], plan_cell)
    progress = SweepProgress(tmp_path)
    progress.add(jobs, num_done=2)
    assert progress.line() == "2 done, 0 running, 7 left"
    for status in IDS[:3]:
        write_result(tmp_path / status, status)
    (tmp_path / "saved_since" / "checkpoint").mkdir(parents=True)
    for run_id in ("running", "started_earlier", "saved_since"):
        composed = tmp_path / run_id / ".hydra" / "config.yaml"
        composed.parent.mkdir(parents=True)
        composed.touch()
        if run_id != "running":  # by an earlier command, whose workers may still run
            os.utime(composed, (0, time.time() - 3600))
    counts, _, rest = progress.line().partition(", 1 diverged")
    assert counts.removesuffix(", 0 s to go") == "5 done, 2 running, 2 left"
    assert rest == ", 1 ended in an error"
    with progress:
        pass
    assert capsys.readouterr().err == "5 done, 4 left, 1 diverged, 1 ended in an error\n"


def test_runs_that_are_planned_but_not_known_yet_are_left(tmp_path, capsys):
    progress = SweepProgress(tmp_path, num_planned=20)
    with progress:
        pass
    assert capsys.readouterr().err == "", "no job was added"
    jobs, _ = check_cells([["id=completed"]], plan_cell)
    progress.add(jobs, num_done=0)
    assert progress.line() == "0 done, 0 running, 20 left"
    write_result(tmp_path / "completed")
    assert progress.line().startswith("1 done, 0 running, 19 left, ")


def test_the_runs_of_a_stage_are_counted_alone_until_the_end(tmp_path, capsys):
    progress = SweepProgress(tmp_path)
    first, _ = check_cells([["id=a"], ["id=b"]], plan_cell)
    second, _ = check_cells([["id=c"], ["id=d"], ["id=e"]], plan_cell)
    progress.start_stage()
    progress.add(first, num_done=1)
    write_result(tmp_path / "a")
    write_result(tmp_path / "b")
    progress.start_stage()
    progress.add(second, num_done=2)
    write_result(tmp_path / "c")
    assert progress.line().startswith("3 done, 0 running, 2 left"), "2 of them were finished before"
    with progress:
        pass
    assert capsys.readouterr().err == "6 done, 2 left\n"


def test_the_time_left_counts_updates_and_counts_down(tmp_path, monkeypatch):
    """A run of 10 updates took 30 s, so one of 60 takes 180 s: 180 s are left at its start, 60 s after 120 s."""
    now = 1000.0
    monkeypatch.setattr("warmup_lab.sweeps.progress.time.monotonic", lambda: now)
    jobs, _ = check_cells([["id=short"], ["id=long"]], plan_cell)
    jobs = [replace(job, strategy={**job.strategy, "total_steps": n}) for job, n in zip(jobs, (10, 60), strict=True)]
    progress = SweepProgress(tmp_path)
    progress.add(jobs, num_done=0)
    now += 30
    write_result(tmp_path / "short")
    assert progress.line() == "1 done, 0 running, 1 left, 3 min 0 s to go"
    now += 120
    assert progress.line() == "1 done, 0 running, 1 left, 1 min 0 s to go"
    now += 120
    assert progress.line() == "1 done, 0 running, 1 left", "it takes longer than expected"


def test_the_result_of_a_job_is_read_once_until_the_job_is_added_again(tmp_path):
    jobs, _ = check_cells([["id=a"], ["id=b"]], plan_cell)
    progress = SweepProgress(tmp_path)
    progress.add(jobs, num_done=0)
    write_result(tmp_path / "a", "error")
    assert progress.line().endswith(", 1 ended in an error")
    (tmp_path / "a" / "result.json").write_text("damaged")
    assert progress.line().endswith(", 1 ended in an error")
    write_result(tmp_path / "a")
    progress.add(jobs[:1], num_done=0)  # Optuna asks for it again
    assert progress.line().startswith("2 done, 0 running, 1 left")


def test_a_folder_that_is_not_there_yet_has_no_started_jobs(tmp_path):
    jobs, _ = check_cells([["id=a"]], plan_cell)
    progress = SweepProgress(tmp_path / "later")
    progress.add(jobs, num_done=0)
    assert progress.line() == "0 done, 0 running, 1 left"


def test_a_stated_time_counts_down_until_it_is_over(tmp_path, monkeypatch):
    """A run of 10 updates took 30 s. Of two of 60, expected to take 100 s, one is left to train."""
    now = 1000.0
    monkeypatch.setattr("warmup_lab.sweeps.progress.time.monotonic", lambda: now)
    jobs, _ = check_cells([["id=timing"], ["id=first"]], plan_cell)
    timing, first = (replace(job, strategy={"total_steps": steps}) for job, steps in zip(jobs, (10, 60), strict=True))
    progress = SweepProgress(tmp_path)
    progress.add([timing], num_done=0)
    progress.expect(None, 1.0)
    now += 30
    write_result(tmp_path / "timing")
    assert progress.line() == "1 done, 0 running, 0 left"
    progress.add([first], num_done=1)
    progress.expect(100.0, 0.5)
    assert progress.line() == "2 done, 0 running, 1 left, 50 s to go"
    now += 40
    assert progress.line() == "2 done, 0 running, 1 left, 10 s to go"
    now += 20  # 6 times the updates of the first run are left, so its 30 s would say 2 minutes more: seen as 40 minutes
    assert progress.line() == "2 done, 0 running, 1 left"
