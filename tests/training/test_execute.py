"""When a run is skipped, resumed or trained again, and when two processes start the same run."""

from __future__ import annotations

import json
import os
import socket

import pytest
import torch
from program import SMALL, SMALL_MODEL
from small_runs import small_plan, stopping_line

from warmup_lab.config import ConfigError
from warmup_lab.runs import checkpoint
from warmup_lab.runs.package_versions import versions
from warmup_lab.runs.stored_run import RETRAIN, finished_result, read_run
from warmup_lab.system.files import file_digest
from warmup_lab.system.locks import run_lock
from warmup_lab.training import execute, loop
from warmup_lab.training.execute import claimed_run, execute_run
from warmup_lab.training.run import Run

pytestmark = pytest.mark.trains
PLAN = {"max_steps": 4, "eval_every": None}


def contents(folder) -> dict[str, bytes]:
    """All files but Hydra's own."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".hydra" not in path.parts and path.name != "train.log"
    }


@pytest.fixture
def finished(tmp_path):
    execute_run(small_plan(**PLAN), tmp_path, show_progress=False)
    return tmp_path


def test_a_second_start_of_a_run_names_the_first_and_changes_nothing(train_py_here, tmp_path):
    command = (*SMALL, *SMALL_MODEL, "max_steps=2", "hydra.run.dir=x", "force=true")
    assert train_py_here(*command).returncode == 0
    with run_lock(tmp_path / "x"):
        before = contents(tmp_path / "x")
        done = train_py_here(*command)
        assert contents(tmp_path / "x") == before
    assert done.returncode == 1
    assert (
        f"error: x is in use by another command (process {os.getpid()} on {socket.gethostname()} since " in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1
    assert train_py_here(*command).returncode == 0


def test_a_finished_run_is_reported_while_another_process_trains_it_again(finished):
    with run_lock(finished):
        assert execute_run(small_plan(**PLAN), finished)["status"] == "completed"


def test_what_finished_while_the_lock_was_waited_for_is_not_trained_again(finished, monkeypatch):
    monkeypatch.setattr("warmup_lab.runs.finished_result", lambda *_: None)
    monkeypatch.setattr(execute, "_train", lambda *_: pytest.fail("trained again"))
    assert execute_run(small_plan(**PLAN), finished, group="sweep")["status"] == "completed"


def test_an_error_does_not_overwrite_the_result_of_an_earlier_training(finished, monkeypatch, caplog):
    """As a second process did, which failed because the first had completed and removed the checkpoints."""
    before = contents(finished)

    def fail(*_):
        raise FileNotFoundError(2, "No such file or directory", "checkpoint/state.pt")

    monkeypatch.setattr(loop, "evaluate", fail)
    with pytest.raises(FileNotFoundError):
        execute_run(small_plan(**PLAN, force=True), finished, show_progress=False)
    assert "keeps the result of its earlier training" in caplog.text
    after = contents(finished)
    assert after.pop(RETRAIN).decode() == file_digest(finished / "result.json")
    assert after == before
    Run(small_plan(**PLAN), finished).fail(ValueError("no"))
    assert read_run(finished).result["status"] == "completed"


def test_force_keeps_the_old_result_until_the_new_one_is_complete(finished, monkeypatch):
    old = (finished / "result.json").read_bytes()
    monkeypatch.setattr(loop, "ProgressLine", stopping_line(2))
    with pytest.raises(loop.Interrupted, match=r"after update 2 of 4; the same command without force=true resumes"):
        execute_run(small_plan(**PLAN, force=True), finished)
    monkeypatch.undo()
    for leftover in (".trace.parquet.1234.tmp", "evals.parquet.new"):  # of a process that was killed
        (finished / leftover).touch()
    assert (finished / "result.json").read_bytes() == old
    assert read_run(finished).result, "a report still has it"
    assert finished_result(finished) is None, "a command goes on with the training"
    result = execute_run(small_plan(**PLAN), finished)
    assert result["resumed_at"] == [2]
    left = {path.name for path in finished.iterdir()} - {".lock"}
    assert left == {"result.json", "trace.parquet", "evals.parquet"}
    assert finished_result(finished) == result


def test_a_run_resumed_with_other_versions_says_so(tmp_path, monkeypatch, caplog):
    older = versions("cpu") | {"torch": "2.12.0", "processor": "AVX2"}
    monkeypatch.setattr("warmup_lab.training.run.versions", lambda _: older)
    monkeypatch.setattr(loop, "ProgressLine", stopping_line(2))
    with pytest.raises(loop.Interrupted):
        execute_run(small_plan(**PLAN), tmp_path)
    monkeypatch.undo()
    now = versions("cpu") | {"processor": "AVX512"}
    monkeypatch.setattr("warmup_lab.training.run.versions", lambda _: now)
    result = execute_run(small_plan(**PLAN), tmp_path)
    assert result["mixed_versions"] == {"torch": ["2.12.0", torch.__version__], "processor": ["AVX2", "AVX512"]}
    assert result["versions"]["torch"] == torch.__version__
    assert f"torch {torch.__version__} (before: 2.12.0), processor AVX512 (before: AVX2)" in caplog.text


def test_force_starts_from_update_0(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "ProgressLine", stopping_line(2))
    with pytest.raises(loop.Interrupted):
        execute_run(small_plan(**PLAN), tmp_path)
    monkeypatch.undo()
    assert checkpoint.checkpoints(tmp_path)
    assert execute_run(small_plan(**PLAN, force=True), tmp_path)["resumed_at"] == []


def test_a_damaged_run_is_named_set_aside_and_trained_again(finished, caplog):
    trace = (finished / "trace.parquet").read_bytes()
    (finished / "trace.parquet").write_bytes(trace[:-1])
    result = execute_run(small_plan(**PLAN), finished)
    assert "trace.parquet does not match its SHA-256 in result.json: set aside as result.json.damaged, " in caplog.text
    assert (finished / "trace.parquet").read_bytes() == trace
    assert (finished / "trace.parquet.damaged").read_bytes() == trace[:-1]
    assert finished_result(finished) == result


def test_a_later_schema_is_refused_and_stays(finished):
    path = finished / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    before = contents(finished)
    with pytest.raises(ConfigError, match=r"holds a result\.json of schema 99, .*, remove this one, or set force"):
        execute_run(small_plan(**PLAN), finished)
    assert contents(finished) == before


def test_a_job_of_a_sweep_says_why_it_did_not_start(finished, monkeypatch, caplog):
    """Hydra does not show the error of a job."""
    monkeypatch.setattr(execute, "_SWEEP_WAIT", 0)
    with run_lock(finished), pytest.raises(ConfigError):
        execute_run(small_plan(**PLAN, force=True), finished, group="sweep")
    assert "warmuplinear-w1-lr0.001-s0: " in caplog.text
    assert "is in use by another command" in caplog.text


def test_the_lock_is_held_while_a_run_is_claimed(tmp_path):
    with claimed_run(small_plan(**PLAN), tmp_path, in_sweep=False) as found:
        assert found is None
        with pytest.raises(ConfigError, match="in use"), run_lock(tmp_path):
            pytest.fail("two processes hold the lock")
