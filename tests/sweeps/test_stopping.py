"""Ctrl-C and SIGTERM in a sweep, without a training: jobs are functions that wait for the signal and save a file."""

import multiprocessing
import os
import signal
import time

import psutil
import pytest
from program import start, wait_for_files
from terminal import CTRL_C, Terminal, visible_lines

from warmup_lab.sweeps import stopping
from warmup_lab.sweeps.stopping import SweepStop, SweepTask, UntilStopped
from warmup_lab.training.console import StopSignal, stop_requested

SWEEP = """
import os, pathlib, sys, time
from joblib import Parallel, delayed
from warmup_lab.sweeps.stopping import SweepStop, SweepTask, UntilStopped
from warmup_lab.training import Interrupted, StopSignal

def run(number):
    pathlib.Path(f"started-{number}").write_text(str(os.getpid()))
    with StopSignal() as stop:
        while not stop.signal_number:
            time.sleep(0.02)
        time.sleep(0.1 * (number + 1))  # the second run takes longer to save than the first
        pathlib.Path(f"saved-{number}").touch()
        raise Interrupted(stop.signal_number, 1, 2)

task = SweepTask(run)
jobs = UntilStopped([[str(number)] for number in range(20)])
with SweepStop() as stop:
    returned = Parallel(n_jobs=2, backend="loky")(delayed(task)(int(job[0])) for job in jobs)
print("returned", set(returned), "signal", int(stop.signal_number))
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_ctrl_c_lets_all_joblib_workers_save_and_starts_no_other_job(tmp_path):
    """An exception of the first worker would make joblib kill the second one while it saves."""
    terminal = Terminal("-c", SWEEP, cwd=tmp_path)
    wait_for_files(tmp_path, "started-*", terminal.process, count=2)
    terminal.type(CTRL_C)
    assert terminal.end() == 0, terminal.output
    assert visible_lines(terminal.output) == [
        "^Cstopping, saving checkpoints; Ctrl-C again stops at once", "returned {None} signal 2", "",
    ]  # fmt: skip
    assert names(tmp_path) == ["saved-0", "saved-1", "started-0", "started-1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_sweep_alone_reaches_the_workers_too(tmp_path, number):
    """As `kill` and the stop buttons of editors send it. Only a terminal sends Ctrl-C to the workers too."""
    process = start([os.sys.executable, "-c", SWEEP], cwd=tmp_path)
    wait_for_files(tmp_path, "started-*", process, count=2)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert output == f"returned {{None}} signal {number}\n"
    assert errors == "stopping, saving checkpoints; Ctrl-C again stops at once\n"
    assert names(tmp_path) == ["saved-0", "saved-1", "started-0", "started-1"]


def test_workers_whose_sweep_is_killed_save_and_end(tmp_path):
    process = start([os.sys.executable, "-c", SWEEP], cwd=tmp_path)
    started = wait_for_files(tmp_path, "started-*", process, count=2)
    workers = [psutil.Process(int(path.read_text())) for path in started]
    process.kill()
    assert not psutil.wait_procs(workers, timeout=20)[1]
    process.communicate()
    assert names(tmp_path) == ["saved-0", "saved-1", "started-0", "started-1"]


def test_a_worker_does_not_wait_for_a_run_that_does_not_stop(monkeypatch):
    monkeypatch.setattr(stopping, "_SAVING_SECONDS", 0.1)
    exits = []
    monkeypatch.setattr(os, "_exit", exits.append)
    ended = start(["true"])
    sweep = psutil.Process(ended.pid)
    ended.communicate()
    with StopSignal() as worker, StopSignal() as run:
        stopping._end_after(sweep)
        assert worker.signal_number == run.signal_number == signal.SIGTERM
    assert exits == [1]


@pytest.fixture
def _no_workers(monkeypatch):
    monkeypatch.setattr(multiprocessing, "active_children", list)


@pytest.mark.usefixtures("_no_workers")
def test_where_nothing_trains_a_sweep_ends_at_once(capfd):
    """As where it waits for the tasks of a cluster: nothing is saved here, and it does not say so."""
    with SweepStop(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == "stopping\n"


@pytest.mark.usefixtures("_no_workers")
def test_a_run_that_trains_in_this_process_saves(capfd):
    with SweepStop(), StopSignal() as run:
        signal.raise_signal(signal.SIGINT)
        assert run.signal_number == signal.SIGINT
        while not (said := capfd.readouterr().err):  # by a thread, while the run saves
            time.sleep(0.01)
    assert said == "stopping, saving checkpoints; Ctrl-C again stops at once\n"


@pytest.mark.usefixtures("_no_workers")
def test_a_signal_during_the_last_update_of_a_run_ends_the_sweep_before_the_next_run():
    """The run completes, so it raises nothing; the sweep used to go on with the next run."""
    trained = []

    def run(number):
        with StopSignal():
            trained.append(number)
            signal.raise_signal(signal.SIGINT)

    task = SweepTask(run)
    with SweepStop():
        task(0)
        with pytest.raises(KeyboardInterrupt):
            task(1)
    assert trained == [0]


@pytest.mark.usefixtures("_no_workers")
def test_the_jobs_of_a_batch_end_when_the_sweep_is_told_to_stop():
    jobs = UntilStopped([["a=1"], ["a=2"], ["a=3"]])
    started = []
    with SweepStop(), StopSignal():
        for job in jobs:
            started.append(job)
            if len(started) == 2:
                signal.raise_signal(signal.SIGINT)
        assert stop_requested()
    assert started == [["a=1"], ["a=2"]]
    assert len(jobs) == 3
