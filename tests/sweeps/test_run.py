"""Running a sweep with made-up plans and a launcher that only writes results."""

import multiprocessing
import signal
from unittest import mock

import pytest
from fake_plans import plan_cell, write_result

from warmup_lab.comparison.sweep_log import read_log
from warmup_lab.config.errors import ConfigError
from warmup_lab.sweeps.run import run_sweep
from warmup_lab.sweeps.stopping import SweepInterrupted


class Batches:
    """A cell source with fixed batches."""

    def __init__(self, *batches):
        self.batches = [[list(cell) for cell in batch] for batch in batches]
        self.told = []

    def ask(self):
        return self.batches.pop(0) if self.batches else []

    def tell(self, results):
        self.told.append([result and result["status"] for result in results])


class Sweep:
    """One sweep in a folder. `statuses` are the outcomes of runs; others complete, and `None` leaves no result."""

    def __init__(self, folder, **statuses):
        self.folder, self.statuses = folder, statuses
        self.launched, self.reported = [], []

    def launch(self, batch, first_number):
        self.launched.append((batch, first_number))
        for overrides in batch:
            run_id = overrides[0].removeprefix("id=")
            status = self.statuses.get(run_id, "completed")
            if isinstance(status, BaseException):
                raise status
            if status:
                write_result(self.folder / run_id, status)

    def run(self, source):
        failed = run_sweep(source, plan_cell, self.launch, self.folder, lambda *given: self.reported.append(given))
        return [job.run_id for job in failed]


def test_identical_cells_are_launched_once_and_failed_jobs_returned(tmp_path, capsys):
    sweep = Sweep(tmp_path, b="error", c=None, d="diverged")
    source = Batches([["id=a"], ["id=a", "x=1"], ["id=b"], ["id=c"], ["id=d"]])
    assert sweep.run(source) == ["b", "c"]
    assert sweep.launched == [([["id=a"], ["id=b"], ["id=c"], ["id=d"]], 0)]
    assert source.told == [["completed", "completed", "error", None, "diverged"]]
    assert [folder for folder, _ in sweep.reported] == [tmp_path]
    assert "5 cells, 4 different runs (identical cells are trained once), 4 to train" in capsys.readouterr().err


def test_finished_runs_are_skipped_and_errors_retried(tmp_path, capsys):
    write_result(tmp_path / "a")
    write_result(tmp_path / "b", "error")
    sweep = Sweep(tmp_path)
    assert sweep.run(Batches([["id=a"], ["id=b"]])) == []
    assert sweep.launched == [([["id=b"]], 0)]
    assert "2 cells, 1 finished already, 1 to train" in capsys.readouterr().err


def test_a_sweep_with_nothing_to_train_is_reported(tmp_path):
    write_result(tmp_path / "a")
    sweep = Sweep(tmp_path)
    sweep.run(Batches([["id=a"]]))
    assert (sweep.launched, len(sweep.reported)) == ([], 1)


def test_force_trains_finished_runs_again(tmp_path):
    write_result(tmp_path / "a")
    sweep = Sweep(tmp_path)
    sweep.run(Batches([["id=a", "force=true"]]))
    assert len(sweep.launched) == 1


def test_batches_are_numbered_on_and_the_job_list_grows(tmp_path):
    sweep = Sweep(tmp_path)
    source = Batches([["id=a"], ["id=b"]], [["id=c"]])
    sweep.run(source)
    assert [first_number for _, first_number in sweep.launched] == [0, 2]
    assert source.told == [["completed", "completed"], ["completed"]]
    assert (tmp_path / "sweep.json").read_text().count('"run_id"') == 3


def test_an_invalid_cell_of_the_first_batch_stops_before_anything_is_written(tmp_path):
    sweep = Sweep(tmp_path / "sweep")
    with pytest.raises(ConfigError, match="1 of 2 cells cannot be run"):
        sweep.run(Batches([["id=a"], ["id=bad"]]))
    assert (sweep.launched, sweep.reported) == ([], [])
    assert not sweep.folder.exists()


def test_an_interrupted_sweep_is_reported(tmp_path):
    sweep = Sweep(tmp_path, b=KeyboardInterrupt())
    with pytest.raises(SweepInterrupted, match=r"stopped; the same command continues$") as stop:
        sweep.run(Batches([["id=a"], ["id=b"]]))
    assert len(sweep.reported) == 1
    assert stop.value.exit_status == 130


class Signals:
    """A launcher that receives SIGTERM this many times, as if its jobs trained in processes that save and return."""

    def __init__(self, number):
        self.number = number

    def __call__(self, *_):
        for _ in range(self.number):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("num_signals", "num_reports"), [(1, 1), (2, 0)])
def test_a_second_signal_skips_the_report(tmp_path, monkeypatch, num_signals, num_reports):
    ended = mock.Mock(pid=2**22 + 1)  # above the largest id of a process
    monkeypatch.setattr(multiprocessing, "active_children", lambda: [ended])
    sweep = Sweep(tmp_path)
    sweep.launch = Signals(num_signals)
    with pytest.raises(SweepInterrupted) as stop:
        sweep.run(Batches([["id=a"]], [["id=b"]]))
    assert (len(sweep.reported), stop.value.exit_status) == (num_reports, 143)


def test_what_the_terminal_says_of_each_batch(tmp_path, capsys):
    Sweep(tmp_path).run(Batches([["id=a"]], [["id=b"], ["id=b", "x=1"]]))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "1 cell, 1 to train",
        "2 cells, 1 different run (identical cells are trained once), 1 to train",
        "2 done, 0 left",
    ]


@pytest.mark.parametrize("key", ["study", "output"])
def test_runs_in_several_folders_are_refused_before_one_is_trained(key, tmp_path):
    sweep = Sweep(tmp_path / "sweep")
    with pytest.raises(ConfigError, match=f"{key}=a,b: a sweep has one folder and one report"):
        sweep.run(Batches([["id=a", f"{key}=a"], ["id=b", f"{key}=b"]]))
    assert not sweep.launched
    assert not (tmp_path / "sweep").exists()


def test_a_start_is_noted_in_the_log_of_the_folder(tmp_path):
    Sweep(tmp_path).run(Batches([["id=a"]]))
    (start,) = read_log(tmp_path).starts
    assert start.stated == {
        "metric": "eval_loss",
        "reference": None,
        "margin": None,
        "failure_margin": 0.2,
        "looks": None,
    }
    assert (start.finished, start.shown) == (0, 0)
