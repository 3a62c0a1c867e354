"""Conversion of Hydra's configuration into a `RunConfig`, and the errors for wrong keys and values."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from program import ROOT

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
from warmup_lab.config.schema import RunConfig, SchedulerConfig
from warmup_lab.config.steps import num_warmup_steps


def resolved(*overrides: str, multirun: bool = False) -> RunConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return resolve(compose("config", list(overrides)), multirun=multirun)


def test_defaults_are_those_of_the_readme():
    run = resolved()
    assert (run.task.title, run.model.title, run.optimizer.name) == ("synthetic", "bert_tiny", "adamw")
    assert run.scheduler == SchedulerConfig("warmuplinear")
    assert num_warmup_steps(run, steps_per_epoch=120, total_steps=360) == 36


def test_num_threads_auto_is_one_in_a_multirun():
    assert resolved().num_threads is None
    assert resolved(multirun=True).num_threads == 1
    assert resolved("num_threads=3", multirun=True).num_threads == 3


def test_options_are_all_keys_that_are_not_shared():
    run = resolved("optimizer=sgd", "scheduler=polynomial", "scheduler.power=2", "scheduler.warmup=Cosine")
    assert run.optimizer.options == {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    assert run.scheduler.options == {"lr_end": 1e-7, "power": 2}
    assert run.scheduler.warmup == "cosine"


def test_equal_values_of_two_runs_are_not_one_object():
    words = ("task=files", "task.train_file=a.tsv", "task.text_columns=[a]")
    resolved(*words).task.text_columns.append("b")
    assert resolved(*words).task.text_columns == ["a"]


def test_values_that_compare_equal_keep_their_types():
    """1 == 1.0 == True in Python, and `run_id` tells them apart."""
    assert repr(resolved("warmup_ratio=1").warmup_ratio) == repr(resolved("warmup_ratio=1.0").warmup_ratio) == "1.0"
    assert resolved("seed=1").seed == 1
    for text in ("seed=true", "seed=1.0"):
        with pytest.raises(ConfigError, match="must be a whole number"):
            resolved(text)


def test_plain_values_give_the_same_run_as_the_composed_configuration():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", ["scheduler=polynomial", "seed=3"])
    assert resolve(OmegaConf.to_container(config)) == resolve(config)


def test_a_value_that_refers_to_another_key_is_resolved():
    assert resolved("study=${task.kind}-${seed}", "seed=4").study == "synthetic-4"
    with pytest.raises(ConfigError, match="Interpolation key 'hydra"):
        resolved("study=${hydra.job.name}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+colour=red"], "unknown key colour"),
        (["+sede=1"], "unknown key sede; did you mean 'seed'?"),
        (["+task.max_lenght=3"], "unknown key task.max_lenght; did you mean 'max_length'?"),
        (["+compare.marginn=3"], "unknown key compare.marginn; did you mean 'margin'?"),
        (["seed=abc"], "seed=abc: must be a whole number"),
        (["seed=-1"], "seed=-1: must not be negative"),
        (["batch_size=0"], "batch_size=0: must be at least 1"),
        (["epochs=1.5"], "epochs=1.5: must be a whole number"),
        (["warmup_ratio=-0.1"], "warmup_ratio=-0.1: must not be negative"),
        (["warmup_ratio=1.1"], "warmup_ratio=1.1: must be in [0, 1]; for 1.1 % type warmup_ratio=0.011"),
        (["warmup_ratio=10"], "for 10 % type warmup_ratio=0.1; for 10 updates type warmup_steps=10"),
        (["warmup_ratio=150"], "warmup_ratio=150: must be in [0, 1]; for 150 updates type warmup_steps=150"),
        (["warmup_ratio=inf"], "warmup_ratio=inf: must be in [0, 1]"),
        (["warmup_ratio=10%"], "warmup_ratio=10%: must be a number or null; type warmup_ratio=0.1"),
        (["warmup_steps=0.1"], "warmup_steps=0.1: must be a whole number or null; type warmup_ratio=0.1"),
        (["max_steps=None"], "max_steps=None: type max_steps=null"),
        (["compare.reference=None"], "compare.reference=None: type compare.reference=null"),
        (["+lr=1e-3"], "unknown key lr; type optimizer.lr=0.001"),
        (["tracking.mode=disabled"], "tracking.mode=disabled: type tracking=none"),
        (["device=gpu"], "device=gpu: type device=cuda"),
        (["scheduler.warmup=0.1"], "scheduler.warmup=0.1: must be a shape, such as linear; for the length type"),
        (["warmup_ratio=nan"], "warmup_ratio=nan: must not be negative"),
        (["warmup_ratio=lots"], "warmup_ratio=lots: must be a number"),
        (["warmup_steps=-5"], "warmup_steps=-5: must not be negative"),
        (["warmup_steps=5", "warmup_ratio=0.1"], "warmup_ratio=0.1 and warmup_steps=5: give one of them"),
        (["optimizer.lr=0"], "optimizer.lr=0.0: must be a finite number above 0"),
        (["optimizer.lr=-1"], "optimizer.lr=-1.0: must be"),
        (["optimizer.lr=nan"], "optimizer.lr=nan: must be"),
        (["optimizer.lr=inf"], "optimizer.lr=inf: must be"),
        (["optimizer.lr=fast"], "optimizer.lr=fast: must be a number"),
        (["task.max_length=4"], "task.max_length=4: must be at least 8"),
        (["task.kind=cloud"], "unknown task.kind 'cloud'"),
        (["task.label_noise=0.7"], "task.label_noise=0.7: must be in [0, 0.5)"),
        (["model.num_heads=3"], "model.num_heads=3 does not divide model.hidden_size=128"),
        (["model=pretrained"], "model=pretrained needs model.path"),
        (["tracking.mode=sometimes"], "unknown tracking.mode 'sometimes'"),
        (["precision=fp8"], "unknown precision 'fp8'"),
        (["study=a/b"], "study='a/b': must be a plain folder name"),
        (["max_grad_norm=0"], "max_grad_norm=0.0: must be above 0"),
        (["compare.margin=0"], "compare.margin=0.0: must be above 0"),
    ],
)
def test_wrong_values_are_refused_with_the_value_and_a_correction(overrides, message):
    with pytest.raises(ConfigError) as error:
        resolved(*overrides)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2
