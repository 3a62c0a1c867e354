"""The commands that follow from a sweep, read back with the shell's rules."""

import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_sweep import make_job

from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.naming import arm_names
from warmup_lab.comparison.next_command import (
    continue_command,
    longer_command,
    lr_grid_command,
    single_run_command,
    with_new_seeds_command,
)
from warmup_lab.comparison.table import Sweep

ARM = Arm("warmuplinear-w6 (5 %) lr=0.001", (), "warmuplinear", 6, 120, 1e-3, ("",), "linear")


def sweep_of(command, seeds=range(4), lrs=(1e-3, 2e-3)):
    jobs = [vars(make_job("warmuplinear", 0.05, lr, seed, 120)) for lr in lrs for seed in seeds]
    return Sweep(Path("runs/mine"), jobs, {}, command, pd.DataFrame(), {}, {})


SWEEP = sweep_of("python train.py -m scheduler=warmuplinear optimizer.lr=1e-3,2e-3 'seed=range(4)'")


def test_planned_looks_go_on_with_a_budget_that_does_not_end_them_again():
    assert continue_command(SWEEP) == SWEEP.command
    ended = sweep_of("python train.py -m scheduler=warmuplinear compare.budget_minutes=30 'seed=range(4)'")
    words = shlex.split(continue_command(replace(ended, compare={"budget_minutes": 30})))
    assert words == ["python", "train.py", "-m", "scheduler=warmuplinear", "seed=range(4)", "compare.budget_minutes=60"]


def test_confirmation_has_new_seeds_and_a_folder_of_its_own():
    assert shlex.split(with_new_seeds_command(SWEEP, ARM, 12)) == [
        "python", "train.py", "-m", "scheduler=warmuplinear", "optimizer.lr=0.001", "warmup_ratio=0,0.05,0.1",
        "seed=range(4,16)", "study=mine_confirm",
    ]  # fmt: skip


def test_wider_grid_has_the_seeds_of_the_sweep_and_at_least_as_many_as_a_test_needs():
    words = shlex.split(lr_grid_command(SWEEP, ARM, [1e-3, 2.5e-4, 5e-4]))
    assert words[4:] == [
        "optimizer.lr=0.00025,0.0005,0.001", "warmup_ratio=0,0.05,0.1", "seed=range(6)", "study=mine_lr",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        (range(3, 10), "range(3,10)"),
        ((0, 2, 7, 8, 9, 12), "0,2,7,8,9,12"),
        (range(6), "range(6)"),
        ((5,), "range(5,11)"),
        ((0, 2), "0,2,3,4,5,6"),
    ],
)
def test_seeds_as_a_range_or_a_list(seeds, text):
    words = shlex.split(lr_grid_command(sweep_of("python train.py -m", seeds), ARM, [1e-3]))
    assert f"seed={text}" in words


def test_single_run_keeps_the_model():
    assert shlex.split(single_run_command(SWEEP, ARM)) == [
        "python", "train.py", "scheduler=warmuplinear", "optimizer.lr=0.001", "warmup_ratio=0.05", "seed=0",
        "save_model=true",
    ]  # fmt: skip


def test_program_launcher_and_folder_are_those_of_the_sweep():
    sweep = sweep_of("warmup-lab train -m hydra/launcher=fastest hydra.sweep.dir='my runs/a' hydra.verbose=true seed=0")
    words = shlex.split(with_new_seeds_command(sweep, ARM, 6))
    assert words[:3] == ["warmup-lab", "train", "-m"]
    assert words[-2:] == ["hydra/launcher=fastest", "hydra.sweep.dir=my runs/a_confirm"]
    assert not any(word.startswith("hydra.verbose") for word in words)


def test_arm_is_found_by_an_alias():
    assert single_run_command(SWEEP, replace(ARM, name="other", aliases=(ARM.name,))) == single_run_command(SWEEP, ARM)


def test_warmup_in_updates_is_compared_with_ten_percent():
    job = make_job("warmuplinear", 0.05, 1e-3, 0, 120)
    job.overrides[2] = "warmup_steps=6"
    sweep = replace(SWEEP, jobs=[vars(job)])
    arm = replace(ARM, name="warmuplinear-w6 (5 %)")
    assert "warmup_steps=0,6,12" in shlex.split(with_new_seeds_command(sweep, arm, 6))


def test_a_length_of_null_is_none():
    job = make_job("warmuplinear", 0.05, 1e-3, 0, 120)
    job.overrides[2] = "warmup_ratio=null"
    sweep = replace(SWEEP, jobs=[vars(job)])
    assert "warmup_ratio=null" in shlex.split(with_new_seeds_command(sweep, replace(ARM, name=sweep_name(job)), 6))


def sweep_name(job):
    return arm_names([vars(job)])[job.arm_id]


@pytest.mark.parametrize(
    ("warmup", "longer"),
    [
        ("warmup_steps=0,40", "warmup_steps=0,48,160"),  # 480 updates in place of 120: 40 becomes 160, and 10 % is 48
        ("warmup_steps=12", "warmup_steps=48"),
        ("warmup_steps=6", "warmup_steps=24"),
        ("warmup_ratio=0,0.3", "warmup_ratio=0,0.3"),
        ("warmup_steps=auto", "warmup_steps=auto"),
    ],
)
def test_numbers_of_warmup_updates_grow_with_the_runs(warmup, longer):
    """The command that a page named for longer runs kept 10 of 40 updates, and again could not judge 10 %."""
    sweep = sweep_of(f"python train.py -m {warmup} max_steps=120")
    assert shlex.split(longer_command(sweep, 480))[3:] == [longer, "max_steps=480", "study=mine_longer"]


def test_ten_percent_that_was_rounded_up_stays_ten_percent():
    """10 % of 341 updates is 35, and of 1364 it is 137, not 35 * 4 = 140."""
    jobs = [vars(make_job("warmuplinear", 0.1, 1e-3, seed, 341)) for seed in range(4)]
    command = "python train.py -m warmup_steps=0,35 max_steps=341"
    sweep = Sweep(Path("runs/mine"), jobs, {}, command, pd.DataFrame(), {}, {})
    assert "warmup_steps=0,137" in shlex.split(longer_command(sweep, 1364))
