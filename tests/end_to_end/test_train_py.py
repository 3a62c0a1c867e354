"""`train.py` for a single run: results, repetition, interruption. Wrong input: tests/test_bad_input.py."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from program import SMALL, SMALL_MODEL, TRAIN, python, run, start_train_py, wait_for_files
from small_runs import stopping_line

from warmup_lab.runs.stored_run import write_result
from warmup_lab.runs.trace import StepTable
from warmup_lab.schedules.registry import SCHEDULES


def only_run(folder: Path) -> Path:
    (path,) = (folder / "runs" / "single").glob("[0-9a-f]*")
    return path


@pytest.mark.trains
def test_one_run_from_any_folder_and_the_same_command_again(train_py, train_py_here, tmp_path):
    command = (*SMALL, "scheduler=warmupcosine", "warmup_ratio=0.1", "max_steps=20", "eval_every=10")
    first = train_py(*command)
    assert first.returncode == 0, first.stderr
    described = "warmupcosine-w2-lr0.001-s0: synthetic, bert_tiny, adamw, peak lr 0.001, 2 of 20 updates of warmup"
    assert described in first.stdout
    directory = only_run(tmp_path)
    assert f"results are in runs/single/{directory.name}" in first.stdout
    names = {".hydra", ".lock", "train.log", "trace.parquet", "evals.parquet", "result.json"}
    assert {path.name for path in directory.iterdir()} == names
    assert StepTable.read(directory / "trace.parquet").to_lists()["lr"][:4] == [
        0.0,
        5e-4,
        1e-3,
        pytest.approx(9.924e-4, abs=1e-7),
    ]
    trace = (directory / "trace.parquet").read_bytes()

    again = train_py_here(*command)
    assert again.returncode == 0
    assert f"runs/single/{directory.name} is already completed; nothing to train (force=true" in again.stdout
    forced = train_py_here(*command, "force=true")
    assert "already" not in forced.stdout
    assert (directory / "trace.parquet").read_bytes() == trace, "deterministic to the bit"


@pytest.mark.trains
def test_kill_9_and_the_same_command_give_the_files_of_an_uninterrupted_run(train_py_here, tmp_path):
    command = (*SMALL, *SMALL_MODEL, "epochs=50", "checkpoint_every=7", "eval_every=200")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert train_py_here(*command, cwd=whole).returncode == 0
    process = start_train_py(*command, cwd=killed)
    state, *_ = wait_for_files(killed, "runs/single/*/checkpoint/state*.pt", process)
    process.kill()
    process.communicate()
    assert not (state.parents[1] / "result.json").exists(), "finished before it could be killed"
    resumed = train_py_here(*command, cwd=killed)
    assert "resumed at update" in resumed.stdout
    assert json.loads((only_run(killed) / "result.json").read_text())["resumed_at"]
    for name in ("trace.parquet", "evals.parquet"):
        assert (only_run(whole) / name).read_bytes() == (only_run(killed) / name).read_bytes()


@pytest.mark.trains
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_continue(train_py_here, tmp_path, monkeypatch, number):
    """In this process. tests/training/test_console.py types Ctrl-C on a terminal."""
    monkeypatch.setattr("warmup_lab.training.loop.ProgressLine", stopping_line(7, number))
    done = train_py_here(*SMALL, *SMALL_MODEL, "epochs=2000")
    assert done.returncode == 128 + number
    assert "of 10000; the same command resumes there" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("runs/single/*/checkpoint/state*.pt"))


@pytest.mark.trains
def test_an_error_in_training_is_retried_and_a_divergence_is_not(train_py_here, tmp_path):
    command = (*SMALL, "max_steps=3")
    assert train_py_here(*command).returncode == 0
    path = only_run(tmp_path) / "result.json"
    result = json.loads(path.read_text())
    write_result(path.parent, result | {"status": "error"})
    assert "already" not in train_py_here(*command).stdout
    write_result(path.parent, result | {"status": "diverged"})
    assert "is already diverged" in train_py_here(*command).stdout


@pytest.mark.trains
def test_a_folder_with_another_run_is_not_overwritten(train_py_here):
    assert train_py_here(*SMALL, "max_steps=3", "hydra.run.dir=mine").returncode == 0
    done = train_py_here(*SMALL, "max_steps=4", "hydra.run.dir=mine")
    assert done.returncode == 1
    assert "mine holds another run" in done.stderr


@pytest.mark.trains
def test_names_are_case_insensitive(train_py_here):
    done = train_py_here(*SMALL, "max_steps=2", "scheduler=WarmupCosine", "optimizer=AdamW")
    assert done.returncode == 0, done.stderr
    assert "warmupcosine-w1-lr0.001-s0" in done.stdout


REVIEWS = "text\tlabel\n" + "".join(f"a fine film {i}\tgood\nan awful film {i}\tbad\n" for i in range(20))
FILES = ("task=files", "task.train_file=train.tsv")


@pytest.mark.trains
def test_empty_texts_are_left_out_and_counted(train_py_here, tmp_path):
    (tmp_path / "train.tsv").write_text(REVIEWS + "\tgood\n  \tbad\n")
    done = train_py_here(*FILES, "tracking=none", "max_steps=1", "eval_every=null")
    assert done.returncode == 0, done.stderr
    assert "2 " in done.stdout
    assert "empty" in done.stdout + done.stderr


def test_a_hub_task_without_network_names_both_ways(train_py_here, tmp_path):
    done = train_py_here("task=sst2", "tracking=none", env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode != 0
    assert "WARMUP_LAB_DATA" in done.stderr
    assert not list(tmp_path.iterdir())


def test_hydra_full_error_brings_the_traceback(train_py_here):
    failed = train_py_here("batch_size=0", env={"HYDRA_FULL_ERROR": "1"})
    assert failed.returncode != 0
    assert "Traceback" in failed.stderr


@pytest.mark.trains
@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs Linux's /dev/full")
def test_a_full_disk_is_an_error_in_plain_words(train_py_here, monkeypatch):
    """Every write of the trace goes to the device that is always full."""
    monkeypatch.setattr("warmup_lab.system.files.atomic_path", full_disk)
    done = train_py_here(*SMALL, "max_steps=2")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


class full_disk:
    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> Path:
        return Path("/dev/full")

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_need_no_torch(flags):
    text = python(
        f"import sys, runpy; sys.argv = ['train.py', *{flags}]\n"
        f"try: runpy.run_path({TRAIN!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    for group in ("task", "model", "optimizer", "scheduler", "warmup_ratio", "batch_size"):
        assert group in text


def test_help_lists_groups_keys_and_examples(train_py_here):
    text = train_py_here("--help").stdout
    assert text.count("  python train.py ") == 4
    words = " ".join(text.split())
    schedulers = words.partition(" scheduler=warmuplinear One of ")[2].partition(".")[0]
    assert schedulers.split(", ") == sorted(SCHEDULES)
    assert " warmup_ratio=null " in words


def test_without_its_packages_one_line_names_make_install():
    bare = shutil.which("python3", path="/usr/bin:/bin")
    if bare is None:
        pytest.skip("needs a Python of the system in addition to the virtual environment")
    done = run([bare, "-I", "-S", TRAIN])
    assert done.returncode != 0
    assert "make install" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
