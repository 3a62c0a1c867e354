"""A sweep on a real Slurm cluster of one node, with tasks that are stopped, killed and failing. `make test-slurm`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cluster_commands import Start, started_commands, until
from slurm_cluster import slurm_cluster, unmet_needs

from warmup_lab.system import lock_holder

NEEDS = unmet_needs()
pytestmark = pytest.mark.skipif(NEEDS is not None, reason=NEEDS or "")
SWEEP = [
    "-m", "task=synthetic_small", "model=bert_tiny", "tracking=none", "max_steps=60", "checkpoint_every=5",
    "eval_every=null", "num_threads=1", "warmup_ratio=0.1,0.5", "seed=range(4)",
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    cache = tmp_path_factory.mktemp("cache")
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield {**environment, "WARMUP_LAB_CACHE": str(cache), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def start(cluster: dict[str, str]) -> Iterator[Start]:
    with started_commands(cluster) as start_one:
        yield start_one


def on_slurm(folder: Path) -> list[str]:
    return [*SWEEP, f"hydra.sweep.dir={folder}", "hydra/launcher=slurm", "hydra.launcher.poll_seconds=1"]


def tasks_of(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """Run id -> Slurm task."""
    told = subprocess.run(
        ["squeue", "--array", "--noheader", "--format=%i|%k"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for line in told.splitlines():
        job_id, launch = line.strip().split("|")
        tasks = json.loads((folder / "slurm" / launch / "tasks.json").read_text())
        found |= {job["run_id"]: job_id for job in tasks[int(job_id.partition("_")[2] or 0)]}
    return found


def trains(folder: Path, run_id: str) -> bool:
    return any((folder / run_id / "checkpoint").glob("state-*.pt"))


def trainers_in(folder: Path, run_id: str = "*") -> list[int]:
    """Process ids of the workers that train runs."""
    return [holder["pid"] for run in folder.glob(f"{run_id}/") if (holder := lock_holder(run))]


def scancel(environment: dict[str, str], *words: str) -> None:
    subprocess.run(["scancel", *words], env=environment, check=True)


def release_delayed(environment: dict[str, str]) -> None:
    """Slurm starts a requeued task two minutes later. The test does not wait for that."""
    told = subprocess.run(
        ["squeue", "--array", "--noheader", "--states=PENDING", "--format=%i|%r"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for line in told.splitlines():
        job_id, reason = line.strip().split("|")
        if reason == "BeginTime":
            subprocess.run(["scontrol", "update", f"JobId={job_id}", "StartTime=now"], env=environment, check=False)


def test_sweep_with_stopped_killed_and_failing_tasks(start: Start, cluster: dict[str, str], tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "sweep"
    alone = start([*SWEEP, f"hydra.sweep.dir={undisturbed}"], tmp_path / "undisturbed.log")
    until((undisturbed / "sweep.json").is_file, alone)  # it trains on while the other sweep starts
    names = {job["run_id"]: job["name"] for job in json.loads((undisturbed / "sweep.json").read_text())["jobs"]}
    run_ids = list(names)
    assert len(run_ids) == 8
    timed_out, preempted, killed, *others = run_ids
    failing = others[-2:]
    folder.mkdir()
    for run_id in failing:
        (folder / run_id).write_text("in the way")

    output = tmp_path / "sweep.log"
    sweep = start(on_slurm(folder), output)
    left = {timed_out, preempted, killed}
    while left:  # each as soon as it has a checkpoint: they train at the same time
        run_id = until(lambda: next((one for one in left if trains(folder, one)), None), sweep)
        if run_id == killed:
            os.kill(*trainers_in(folder, killed), signal.SIGKILL)
        else:
            name = "USR2" if run_id == timed_out else "TERM"
            scancel(cluster, f"--signal={name}", tasks_of(folder, cluster)[run_id])
        left.remove(run_id)
    deadline = time.monotonic() + 400
    while sweep.poll() is None and time.monotonic() < deadline:
        release_delayed(cluster)
        time.sleep(1)
    told = output.read_text()
    assert sweep.returncode == 1, told
    assert alone.wait(timeout=400) == 0, (tmp_path / "undisturbed.log").read_text()
    assert "2 runs failed" in told
    for run_id in failing:
        assert names[run_id] in told

    logs = "".join(path.read_text() for path in folder.glob("slurm/*/*_log.err"))
    stopped = {int(number): int(step) for number, step in re.findall(r"signal (\d+): stopped after update (\d+)", logs)}
    results = {run_id: json.loads((folder / run_id / "result.json").read_text()) for run_id in run_ids[:6]}
    assert results[timed_out]["resumed_at"] == [stopped[signal.SIGUSR2]]
    assert results[preempted]["resumed_at"] == [stopped[signal.SIGTERM]]
    assert len(results[killed]["resumed_at"]) == 1
    assert all(results[run_id]["resumed_at"] == [] for run_id in others[:3])
    for run_id in run_ids[:6]:
        traces = [pd.read_parquet(where / run_id / "trace.parquet") for where in (folder, undisturbed)]
        pd.testing.assert_frame_equal(*traces, check_exact=True)
    print(told)


def test_the_same_command_attaches_to_running_tasks(start: Start, cluster: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = [word if not word.startswith("seed=") else "seed=0" for word in on_slurm(folder)]
    first = start(words, tmp_path / "first.log")
    until(lambda: len(tasks_of(folder, cluster)) == 2, first)
    trainers = set()
    try:
        while len(trainers) < 2:  # stopped, the tasks run for as long as the test needs
            pid = until(lambda: next(iter(set(trainers_in(folder)) - trainers), None), first)
            os.kill(pid, signal.SIGSTOP)
            trainers.add(pid)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        second = start(words, tmp_path / "second.log")
        until(lambda: "2 runs are in Slurm's queue" in (tmp_path / "second.log").read_text(), second)
        os.killpg(second.pid, signal.SIGINT)
        assert second.wait(timeout=60) == 130
        assert "2 Slurm tasks go on" in (tmp_path / "second.log").read_text()
    finally:
        for pid in trainers:
            os.kill(pid, signal.SIGCONT)
    third = start(words, tmp_path / "third.log")
    assert third.wait(timeout=200) == 0, (tmp_path / "third.log").read_text()
    assert len(list(folder.glob("slurm/*/tasks.json"))) == 1
    assert len(list(folder.glob("*/result.json"))) == 2


def test_cancelled_tasks_save_and_do_not_come_back(start: Start, cluster: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = [*on_slurm(folder)[:-3], "seed=0", *on_slurm(folder)[-3:], "hydra.launcher.cancel_on_interrupt=true"]
    first = start(words, tmp_path / "first.log")
    trainers = until(lambda: found if len(found := trainers_in(folder)) == 2 else None, first)
    until(lambda: all(trains(folder, run_id) for run_id in tasks_of(folder, cluster)), first)
    for pid in trainers:
        os.kill(pid, signal.SIGSTOP)  # so that they do not end before they are cancelled
    try:
        os.killpg(first.pid, signal.SIGINT)
        until(lambda: "cancelled 2 Slurm tasks" in (tmp_path / "first.log").read_text(), first)
    finally:
        for pid in trainers:
            with contextlib.suppress(ProcessLookupError):  # scancel sends SIGCONT too
                os.kill(pid, signal.SIGCONT)
    assert first.wait(timeout=200) == 130
    deadline = time.monotonic() + 60
    while (left := tasks_of(folder, cluster)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left
    logs = "".join(path.read_text() for path in folder.glob("slurm/*/*_log.err"))
    stopped = re.findall(r"RuntimeError: cancelled; stopped after update (\d+)", logs)
    second = start([*words[:-1], "hydra.launcher.poll_seconds=0.5"], tmp_path / "second.log")
    assert second.wait(timeout=200) == 0, (tmp_path / "second.log").read_text()
    resumed = [json.loads(path.read_text())["resumed_at"] for path in folder.glob("*/result.json")]
    assert sorted(resumed) == sorted([int(step)] for step in stopped)
    assert len(stopped) == 2


def test_looks_of_stacked_groups_stopped_in_the_middle(start: Start, cluster: dict[str, str], tmp_path: Path) -> None:
    """A group is told to stop, the command is killed, and the same command goes on. Holds for any number of looks."""
    looks = [*SWEEP[:-1], "compare.looks=[6,7]", "compare.margin=0.001", "model.dropout=0.3", "max_steps=20"]
    folder, undisturbed = tmp_path / "sweep", tmp_path / "undisturbed"
    words = [*looks, f"hydra.sweep.dir={folder}", "hydra/launcher=slurm", "hydra.launcher.poll_seconds=1",
             "hydra.launcher.stacked=true", "hydra.launcher.runs_per_task=6"]  # fmt: skip
    first = start(words, tmp_path / "first.log")

    def run_of_the_last_task() -> str:
        """The task with the number of the whole array: what is meant for it must not reach the others."""
        tasks = tasks_of(folder, cluster)
        return next((run for run in tasks if tasks[run] == max(tasks.values()) and trains(folder, run)), "")

    stopped = until(run_of_the_last_task, first)
    task, (trainer,) = tasks_of(folder, cluster)[stopped], trainers_in(folder, stopped)
    os.kill(trainer, signal.SIGSTOP)  # so that the group does not end before the signal
    try:
        group = [run_id for run_id, other in tasks_of(folder, cluster).items() if other == task]
        scancel(cluster, "--signal=USR2", task)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    finally:
        os.kill(trainer, signal.SIGCONT)
    second = start(words, tmp_path / "second.log")
    while second.poll() is None:
        release_delayed(cluster)
        time.sleep(1)
    told = (tmp_path / "second.log").read_text()
    assert second.returncode == 0, told
    assert "runs are in Slurm's queue" in told
    num_looks = len(json.loads((folder / "looks.json").read_text())["looks"])
    assert len(list(folder.glob("slurm/*/tasks.json"))) == num_looks, "each run was submitted once"

    alone = start([*looks, f"hydra.sweep.dir={undisturbed}", "hydra/launcher=stacked"], tmp_path / "undisturbed.log")
    assert alone.wait(timeout=400) == 0, (tmp_path / "undisturbed.log").read_text()
    logs = "".join(path.read_text() for path in folder.glob("slurm/*/*_log.err"))
    (step,) = re.findall(rf"signal {int(signal.SIGUSR2)}: stopped after update (\d+)", logs)
    results = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/result.json")}
    assert set(results) == {path.parent.name for path in undisturbed.glob("*/result.json")}
    assert len(group) == 6
    assert {run_id for run_id, result in results.items() if result["resumed_at"] == [int(step)]} == set(group)
    for run_id in results:
        traces = [pd.read_parquet(where / run_id / "trace.parquet") for where in (folder, undisturbed)]
        pd.testing.assert_frame_equal(*traces, rtol=1e-5)
    print(told)


def test_worker_with_another_device_refuses(start: Start, tmp_path: Path) -> None:
    words = [word if not word.startswith("seed=") else "seed=0" for word in on_slurm(tmp_path / "sweep")]
    sweep = start([*words, "hydra.launcher.device=cuda"], tmp_path / "sweep.log")
    assert sweep.wait(timeout=200) == 1
    told = (tmp_path / "sweep.log").read_text()
    assert "has cpu fp32, and the runs were planned for cuda bf16" in told
    assert not list((tmp_path / "sweep").glob("*/trace.parquet"))
