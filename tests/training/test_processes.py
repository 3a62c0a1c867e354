"""One run in two gloo processes on the CPU, started by `accelerate launch`, against the same run in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import program
import pytest
from shared_runs import FAILING, STOP_AT, plans
from small_runs import small_plan, stopping_line, train

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import ProbeConfig
from warmup_lab.runs.trace import StepTable
from warmup_lab.system.seeding import process_update_seed, update_seed
from warmup_lab.training import loop
from warmup_lab.training.launch import Launch
from warmup_lab.training.processes import ALONE, Processes, connect, refuse_unshared

LAUNCH = (
    "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
    "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The folder of all runs of `shared_runs`, and what the launcher and its processes printed."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:  # one process makes the checkpoint that two resume
        patch.setattr(loop, "ProgressLine", stopping_line(7))
        with pytest.raises(loop.Interrupted):
            train(plans()["resumed"], folder / "resumed")
    script = program.ROOT / "tests" / "support" / "shared_runs.py"
    done = program.run([Path(sys.executable).parent / "accelerate", *LAUNCH, script, folder], cwd=folder)
    assert (folder / "facts1.json").exists(), done.stderr
    return folder, done


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def tables(folder: Path) -> list[dict]:
    return [StepTable.read(folder / name).to_lists() for name in ("trace.parquet", "evals.parquet")]


def assert_equal_runs(folder: Path, other: Path) -> None:
    """lr, epoch and step to the bit, the rest to 1e-5."""
    for table, of_other in zip(tables(folder), tables(other), strict=True):
        assert table.keys() == of_other.keys()
        for column in table:
            tolerance = 0 if column in ("step", "epoch", "lr") else 1e-5
            np.testing.assert_allclose(table[column], of_other[column], rtol=tolerance, atol=tolerance)


@pytest.mark.trains
def test_both_processes_took_part_and_know_the_results(shared):
    facts = [json.loads((shared[0] / f"facts{rank}.json").read_text()) for rank in (0, 1)]
    assert facts[0] == facts[1]
    assert (facts[0]["world_size"], facts[0]["backend"]) == (2, "gloo")
    assert "stopped" not in facts[0]
    assert facts[0]["diverged"] == "diverged"


@pytest.mark.trains
def test_loss_lr_norm_and_evaluations_equal_those_of_one_process(shared, tmp_path):
    """Also where 7 examples are split into 4 and 3, and where the second process has none of 1."""
    alone, _ = train(plans()["uneven"], tmp_path)
    assert_equal_runs(shared[0] / "uneven", tmp_path)
    together = result(shared[0] / "uneven")
    assert together["run_id"] == alone["run_id"]
    assert together["speed"]["num_processes"] == 2
    assert "num_processes" not in alone["speed"]


@pytest.mark.trains
def test_dropout_draws_the_same_masks_each_time(shared):
    assert tables(shared[0] / "dropout") == tables(shared[0] / "again")


@pytest.mark.trains
def test_ctrl_c_in_one_process_stops_both_and_one_process_resumes(shared, tmp_path):
    """The other process learns of the signal with the gradients of the next update."""
    plan = plans()["stopped"]
    resumed, _ = train(plan, shared[0] / "stopped")
    assert resumed["resumed_at"] == [STOP_AT + 1]
    train(plan, tmp_path)
    assert_equal_runs(shared[0] / "stopped", tmp_path)


@pytest.mark.trains
def test_two_processes_resume_what_one_has_started(shared, tmp_path):
    assert result(shared[0] / "resumed")["resumed_at"] == [7]
    train(plans()["resumed"], tmp_path)
    assert_equal_runs(shared[0] / "resumed", tmp_path)


@pytest.mark.trains
def test_an_error_in_one_process_ends_both_with_one_message(shared):
    folder, done = shared
    assert done.returncode == 1
    message = "process 1 of 2: MemoryError: no memory left"
    assert [line for line in done.stderr.splitlines() if "no memory" in line] == [
        f"error: {message} (HYDRA_FULL_ERROR=1 shows the traceback)"
    ]
    assert done.stderr.count("Traceback") == 1  # of the launcher
    assert result(folder / "failed")["error"].startswith(f"ProcessFailed: {message}")


@pytest.mark.trains
def test_process_0_alone_writes(shared):
    folder, done = shared
    assert sorted(path.name for path in (folder / "failed").iterdir()) == [
        ".hydra",
        ".lock",
        "result.json",
        "train.log",
    ]
    overrides = (folder / "failed" / ".hydra" / "overrides.yaml").read_text().splitlines()
    assert overrides == [f"- {word}" for word in FAILING]
    log = (folder / "failed" / "train.log").read_text().splitlines()
    assert len(log) == len(done.stdout.splitlines()) == 2
    assert log[0].endswith("cpu fp32, 1 thread, 2 processes")
    assert {path.name for path in folder.iterdir()} == {*plans(), "failed", "facts0.json", "facts1.json"}


# ------------------------------------------------------------------------------------------------ without a launcher


def test_examples_are_split_evenly_and_the_first_process_has_the_rest():
    both = [Processes(Launch(rank, 2, 2)) for rank in (0, 1)]
    assert [one.share(np.arange(7)).tolist() for one in both] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [one.share(np.arange(1)).tolist() for one in both] == [[0], []]
    assert ALONE.share(np.arange(3)).tolist() == [0, 1, 2]


def test_the_updates_of_an_epoch_have_all_its_examples():
    """29 examples, 14 an update: 14, 14 and 1."""
    plan = plans()["uneven"]
    task = loop.tokenize(plan.corpus, plan.config.task, plan.config.model)
    assert [loop.num_examples(plan, task, step) for step in range(4)] == [14, 14, 1, 14]


def test_the_processes_of_a_machine_divide_the_threads():
    plan = small_plan(num_threads=5)
    assert ALONE.num_threads(plan) == 5
    assert Processes(Launch(1, 4, 2)).num_threads(plan) == 2
    assert Processes(Launch(1, 16, 8)).num_threads(plan) == 1


def test_each_process_draws_its_own_dropout_and_process_0_that_of_a_single_run():
    seeds = {process_update_seed(seed, step, rank) for seed in range(5) for step in range(50) for rank in range(4)}
    assert len(seeds) == 1000
    assert process_update_seed(3, 7, 0) == update_seed(3, 7) == ALONE.update_seed(3, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": ProbeConfig(overshoot_every=2)}, r"probes \(overshoot\) work in one process, and 2 were launched"),
        ({"device": "cuda:1"}, "device=cuda:1 is one device, and 2 processes were launched: use device=cuda or cpu"),
        ({"device": "mps"}, "device=mps is one device"),
        ({"device": "cuda"}, "1000 processes on this machine need as many GPUs, and it has [0-9]+: lower --num_proc"),
    ],
)
def test_what_cannot_be_shared_is_refused(changes, message):
    plan = small_plan(probe=changes["probe"]) if "probe" in changes else replace(small_plan(), **changes)
    with pytest.raises(ConfigError, match=message):
        refuse_unshared(plan, Launch(0, 2, 1000))


def test_the_precision_of_the_launcher_is_not_taken_silently(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match="accelerate's mixed_precision=bf16 is not used: set it to no there"):
        refuse_unshared(replace(small_plan(), device="cpu", precision="fp32"), Launch(0, 2, 2))


def test_without_accelerate_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"2 processes were launched, .* pip install 'warmup-lab\[accelerate\]'"):
        connect(replace(small_plan(), device="cpu"), Launch(0, 2, 2))
