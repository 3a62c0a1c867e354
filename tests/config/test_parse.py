"""Conversion of Hydra's configuration into a `RunConfig`. Wrong keys and values: tests/test_bad_input.py."""

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
