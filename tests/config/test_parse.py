"""Reading and checking the configuration, and the arithmetic of updates."""

import pytest
from hydra import compose, initialize_config_dir

import warmup_lab.cli.compose  # noqa: F401 - the resolver of run ids
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.options import bind_options
from warmup_lab.config.parse import ROOT, resolve
from warmup_lab.config.schema import OptimizerConfig, RunConfig, SchedulerConfig
from warmup_lab.config.steps import num_warmup_steps
from warmup_lab.config.task_schema import SyntheticTask


def resolved(*overrides: str, multirun: bool = False) -> RunConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return resolve(compose("config", list(overrides)), multirun=multirun)


def config(**keys) -> RunConfig:
    return RunConfig(
        SyntheticTask("synthetic"), RandomModel("bert"), OptimizerConfig("adamw", 1e-3),
        SchedulerConfig("warmuplinear"), **keys,
    )  # fmt: skip


def test_the_defaults_are_what_the_readme_says():
    run = resolved()
    assert (run.task.title, run.model.title, run.optimizer.name) == ("synthetic", "bert_tiny", "adamw")
    assert run.scheduler == SchedulerConfig("warmuplinear")
    assert num_warmup_steps(run, steps_per_epoch=120, total_steps=360) == 36


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, 360),
        ({"warmup_ratio": 0.1}, 360),
        ({"warmup_ratio": 0}, 0),
        ({"warmup_ratio": 1}, 3600),
        ({"warmup_steps": 50}, 50),
        ({"warmup_steps": 0}, 0),
        ({"warmup_epochs": 1}, 120),
        ({"warmup_epochs": 0.5}, 60),
    ],
)
def test_updates_of_warmup(keys, expected):
    assert num_warmup_steps(config(**keys), steps_per_epoch=120, total_steps=3600) == expected


def test_a_ratio_is_blind_to_float_noise():
    assert 0.07 * 100 > 7  # the trap
    assert num_warmup_steps(config(warmup_ratio=0.07), steps_per_epoch=100, total_steps=100) == 7


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"warmup_steps": 3601}, "warmup_steps=3601 is a warmup of 3601 updates, but the run has 3600"),
        ({"warmup_epochs": 31}, "warmup_epochs=31 is a warmup of 3720 updates, but the run has 3600"),
    ],
)
def test_a_warmup_longer_than_the_run_is_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        num_warmup_steps(config(**keys), steps_per_epoch=120, total_steps=3600)


def test_num_threads_auto_is_one_in_a_multirun():
    assert resolved().num_threads is None
    assert resolved(multirun=True).num_threads == 1
    assert resolved("num_threads=3", multirun=True).num_threads == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+colour=red"], "unknown key colour"),
        (["+sede=1"], "unknown key sede; did you mean 'seed'?"),
        (["+task.max_lenght=3"], "unknown key task.max_lenght; did you mean 'max_length'?"),
        (["+compare.marginn=3"], "unknown key compare.marginn; did you mean 'margin'?"),
        (["seed=abc"], "seed=abc: must be of type int"),
        (["seed=-1"], "seed=-1: must not be negative"),
        (["batch_size=0"], "batch_size=0: must be at least 1"),
        (["epochs=1.5"], "epochs=1.5: must be of type int"),
        (["warmup_ratio=-0.1"], "warmup_ratio=-0.1: must not be negative"),
        (["warmup_ratio=1.1"], "warmup_ratio=1.1: must lie in [0, 1]"),
        (["warmup_ratio=nan"], "warmup_ratio=nan: must not be negative"),
        (["warmup_ratio=lots"], "warmup_ratio=lots: must be of type"),
        (["warmup_steps=-5"], "warmup_steps=-5: must not be negative"),
        (["warmup_steps=5", "warmup_ratio=0.1"], "warmup_ratio=0.1 and warmup_steps=5: give one of them"),
        (["optimizer.lr=0"], "optimizer.lr=0.0: must be a finite number above 0"),
        (["optimizer.lr=-1"], "optimizer.lr=-1.0: must be"),
        (["optimizer.lr=nan"], "optimizer.lr=nan: must be"),
        (["optimizer.lr=inf"], "optimizer.lr=inf: must be"),
        (["optimizer.lr=fast"], "optimizer.lr=fast: must be of type"),
        (["task.max_length=4"], "task.max_length=4: must be at least 8"),
        (["task.kind=cloud"], "unknown task.kind 'cloud'"),
        (["task.label_noise=0.7"], "task.label_noise=0.7: must lie in [0, 0.5)"),
        (["model.num_heads=3"], "model.num_heads=3 does not divide model.hidden_size=128"),
        (["model=pretrained"], "model=pretrained needs model.path"),
        (["tracking.mode=sometimes"], "unknown tracking.mode 'sometimes'"),
        (["precision=fp8"], "unknown precision 'fp8'"),
        (["study=a/b"], "study='a/b': must be a plain folder name"),
        (["max_grad_norm=0"], "max_grad_norm=0.0: must be above 0"),
        (["compare.margin=0"], "compare.margin=0.0: must be above 0"),
    ],
)
def test_wrong_values_are_refused_with_value_and_mend(overrides, message):
    with pytest.raises(ConfigError) as error:
        resolved(*overrides)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_options_are_checked_against_the_factory_that_takes_them():
    def factory(groups, lr: float, *, betas: tuple[float, float] = (0.9, 0.999), nesterov: bool = False): ...

    assert bind_options(factory, {"betas": [0, 0.99]}, "optimizer.") == {"betas": (0.0, 0.99)}
    for options, message in (
        ({"beta": 1}, "unknown key optimizer.beta; did you mean 'betas'?"),
        ({"betas": 0.9}, "optimizer.betas=0.9: must be a list of 2"),
        ({"betas": [0.9, "x"]}, "optimizer.betas=x: must be of type float"),
        ({"nesterov": 1}, "optimizer.nesterov=1: must be of type bool"),
    ):
        with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
            bind_options(factory, options, "optimizer.")
