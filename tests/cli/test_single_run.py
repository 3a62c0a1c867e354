"""A sweep without `-m` is refused before anything is written, unless the command says which run it wants."""

import shlex
from pathlib import Path

import pandas as pd
import pytest
from fake_sweep import make_job
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from program import ROOT

from warmup_lab.cli.compose import register_experiments
from warmup_lab.cli.single_run import refuse_sweep_as_one_run
from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.naming import arm_names
from warmup_lab.comparison.next_command import single_run_command
from warmup_lab.comparison.table import Sweep
from warmup_lab.config.errors import ConfigError


def refuse(*words):
    register_experiments(ROOT / "experiments")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", list(words), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    refuse_sweep_as_one_run(config.hydra)


@pytest.mark.parametrize(
    ("words", "one_run"),
    [
        ("experiment=compare", "scheduler, warmup_ratio and seed"),
        ("experiment=compare warmup_ratio=0.1", "scheduler and seed"),
        ("experiment=compare warmup_steps=5 scheduler=warmuplinear", "seed"),
        ("experiment=recommend task=synthetic_small", "optimizer.lr and seed"),
        ("experiment=recommend optimizer.lr=1e-3", "seed"),  # an lr to try
        ("experiment=lr_jitter", "seed"),
        ("hydra/sweeper=optuna", None),
    ],
)
def test_a_sweep_without_m_is_refused_with_the_command_to_paste(words, one_run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", *words.split()])
    monkeypatch.setattr("warmup_lab.cli.mistakes.train_program", lambda: ["python", "train.py"])
    with pytest.raises(ConfigError) as error:
        refuse(*words.split())
    first, *second = str(error.value).splitlines()
    assert first == f"{words.split()[0]} is a sweep and needs -m; type python train.py -m {words}"
    assert second == ([] if one_run is None else [f"For one run of it, give {one_run} too"])


@pytest.mark.parametrize(
    "words",
    [
        "seed=3",
        "hydra/sweeper=grid",
        "experiment=compare scheduler=warmuplinear warmup_ratio=0.1 seed=3",
        "experiment=compare scheduler=warmuplinear warmup_epochs=1 seed=3",
        "experiment=lr_jitter scheduler=exponentialramp seed=3",
        "experiment=recommend warmup_steps=0 optimizer.lr=0.0004 seed=12",
    ],
)
def test_one_run_of_a_sweep_can_be_trained(words):
    refuse(*words.split())


def test_showing_a_configuration_needs_no_m(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "experiment=compare", "--cfg", "all"])
    refuse("experiment=compare")


def test_nothing_is_written(train_py_here, tmp_path):
    done = train_py_here("experiment=recommend", "task=synthetic_small", "tracking=none")
    assert done.returncode == 1
    assert done.stderr.startswith("error: experiment=recommend is a sweep and needs -m; type ")
    assert not list(tmp_path.iterdir())


def test_a_wrong_value_is_named_before_m_is(train_py_here):
    """The command to paste has the same words, so it would have been refused in turn."""
    done = train_py_here("experiment=recommend", "compare.budget_minutes=3m")
    assert done.stderr == "error: compare.budget_minutes=3m: must be a number or null; type compare.budget_minutes=3\n"


@pytest.mark.parametrize(
    ("experiment", "own"),
    [
        ("compare", {"scheduler": "warmuplinear", "warmup_ratio": "0.3"}),
        ("lr_jitter", {"scheduler": "warmupconstant", "optimizer.lr": "0.002"}),
    ],
)
def test_the_command_that_a_report_prints_to_train_one_model_is_accepted(experiment, own):
    """Those of `make compare` and of lr_jitter lacked the seed, and were refused when they were pasted."""
    overrides = [f"experiment={experiment}", *(f"{key}={value}" for key, value in own.items())]
    jobs = [vars(make_job("warmuplinear", 0.1, 1e-3, seed, 120)) for seed in (3, 4)]
    jobs = [job | {"overrides": [*overrides, f"seed={job['strategy']['seed']}"]} for job in jobs]
    command = f"python train.py -m experiment={experiment}"
    sweep = Sweep(Path("runs/study"), jobs, {}, command, pd.DataFrame(), {}, {})
    (name,) = set(arm_names(jobs).values())
    words = shlex.split(single_run_command(sweep, Arm(name, (), "warmuplinear", 12, 120, 1e-3, ("",), "linear")))
    assert "seed=3" in words
    refuse(*words[2:])
