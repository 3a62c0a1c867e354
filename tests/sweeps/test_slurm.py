"""`hydra/launcher=slurm` without a cluster. tests/cluster/test_slurm.py runs it on one."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from hydra_plugins.warmup_lab_launcher import SlurmConfig
from warmup_lab.sweeps import slurm_queue
from warmup_lab.sweeps.fastest import num_processes
from warmup_lab.sweeps.slurm import SlurmTask

SWEEP = ("-m", "task=synthetic_small", "tracking=none", "seed=0,1", "hydra/launcher=slurm")


def test_a_machine_without_slurm_refuses_in_one_line_and_writes_nothing(train_py_here, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("squeue", "scontrol", "scancel"):
        (programs / name).touch(mode=0o755)
    done = train_py_here(*SWEEP, env={"PATH": str(programs)})
    assert done.returncode == 1
    assert done.stderr == (
        "error: hydra/launcher=slurm needs sbatch, srun, not on PATH here: start the sweep on a machine with Slurm, "
        "or use hydra/launcher=fastest\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_tasks_that_slurm_took_before_it_refused_others_are_named(train_py_here, tmp_path):
    """As at a limit on the number of submitted jobs. The programs stand for Slurm's, which only test-slurm has."""
    answers = {
        "sbatch": f"[ -e {tmp_path}/full ] && echo 'sbatch: error: limit reached' >&2 && exit 1\n"
        f": > {tmp_path}/full; echo Submitted batch job 7",
        "scontrol": "echo 'MaxArraySize = 1'",
    }
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "srun", "squeue", "scontrol", "scancel"):
        (programs / name).write_text(f"#!/bin/sh\n{answers.get(name, '')}\n")
        (programs / name).chmod(0o755)
    done = train_py_here(*SWEEP, env={"PATH": str(programs)})
    assert done.returncode == 1
    assert "1 Slurm task goes on; the same command waits for it, `scancel 7` ends it\n" in done.stderr
    assert "error: Slurm refused the jobs: " in done.stderr
    assert "limit reached" in done.stderr


def test_force_is_refused(train_py_here, tmp_path):
    done = train_py_here(*SWEEP, "force=true")
    assert done.returncode == 1
    assert done.stderr.startswith("error: force=true cannot be used with hydra/launcher=slurm, because a task that is ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cores", "cpus", "max_running", "num"),
    [(64, 4, 256, 16), (64, 1, 8, 8), (2, 4, 256, 1), (None, 4, 256, 256)],
    ids=["cores", "max_running", "too few", "unknown"],
)
def test_tasks_at_the_same_time(monkeypatch, cores, cpus, max_running, num):
    monkeypatch.setattr(slurm_queue, "num_cores", lambda _: cores)
    launcher = OmegaConf.merge(OmegaConf.structured(SlurmConfig), {"cpus": cpus, "max_running": max_running})
    assert num_processes(OmegaConf.create({"hydra": {"launcher": launcher}})) == num


@pytest.mark.parametrize(
    ("state", "number", "requeued"),
    [
        ("RUNNING", signal.SIGUSR2, True),
        ("RUNNING", signal.SIGTERM, True),
        ("COMPLETING", signal.SIGUSR2, True),
        ("COMPLETING", signal.SIGTERM, False),
        ("CANCELLED", signal.SIGTERM, False),
    ],
)
def test_a_task_that_is_cancelled_stays_out_of_the_queue(tmp_path, monkeypatch, state, number, requeued):
    """Slurm 22.05 shows a cancelled task as COMPLETING until it has ended. The program stands for Slurm's.

    It is the last task of an array, which has the array's number as SLURM_JOB_ID: requeueing 7 would requeue all tasks.
    """
    (tmp_path / "scontrol").write_text(
        f'#!/bin/sh\n[ "$1" = requeue ] && echo "$2" > {tmp_path}/requeued || echo JobId=7 JobState={state} Reason=No\n'
    )
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)

    def stopped_run():
        signal.raise_signal(number)
        raise KeyboardInterrupt("stopped after update 3")

    with pytest.raises(SystemExit if requeued else RuntimeError, match="1" if requeued else "cancelled; stopped after"):
        SlurmTask(SimpleNamespace(run=stopped_run), max_requeues=1)()
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "7_3\n"


def test_a_task_of_its_own_is_known_by_its_job(monkeypatch):
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert slurm_queue.own_id() == "7"
