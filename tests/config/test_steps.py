"""Update arithmetic: updates per epoch and updates of warmup."""

import pytest

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, RunConfig, SchedulerConfig
from warmup_lab.config.steps import ceil_share, num_steps_per_epoch, num_warmup_steps
from warmup_lab.config.task_schema import SyntheticTask


def config(**keys) -> RunConfig:
    return RunConfig(
        SyntheticTask("synthetic"), RandomModel("bert"), OptimizerConfig("adamw", 1e-3),
        SchedulerConfig("warmuplinear"), **keys,
    )  # fmt: skip


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


def test_a_ratio_has_no_float_noise():
    assert 0.07 * 100 > 7  # what ceil() alone would round to 8
    assert num_warmup_steps(config(warmup_ratio=0.07), steps_per_epoch=100, total_steps=100) == 7


@pytest.mark.parametrize(("share", "total", "expected"), [(0.1, 70, 7), (0.1, 71, 8), (0.1, 3600, 360), (1 / 3, 9, 3)])
def test_a_share_is_rounded_up(share, total, expected):
    assert ceil_share(share, total) == expected


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


@pytest.mark.parametrize(
    ("batch_size", "grad_accumulation", "expected"),
    [(32, 1, 120), (32, 4, 30), (32, 7, 18), (3821, 1, 1), (4000, 2, 1)],
)
def test_updates_per_epoch_of_3821_examples(batch_size, grad_accumulation, expected):
    """3821 / 32 = 119.4 batches; the last batch and the last update of an epoch may be smaller."""
    assert num_steps_per_epoch(3821, batch_size, grad_accumulation) == expected
