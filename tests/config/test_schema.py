"""The dataclasses of the configuration: ranges of their fields, docstrings, and light imports."""

import ast
import inspect
from dataclasses import fields
from types import ModuleType

import pytest
from program import python

from warmup_lab.config import model_schema, schema, task_schema
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import CompareConfig, ProbeConfig, SchedulerConfig, TrackingConfig


def documented_fields(module: ModuleType) -> dict[str, set[str]]:
    """The fields that a docstring follows, by class."""
    found: dict[str, set[str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                statement.target.id
                for statement, following in zip(node.body, node.body[1:], strict=False)
                if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr)
            }
    return found


@pytest.mark.parametrize("module", [schema, task_schema, model_schema])
def test_every_field_has_a_docstring(module):
    for name, documented in documented_fields(module).items():
        own = set(inspect.get_annotations(getattr(module, name)))
        assert own == documented, name


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"start_factor": 1.0}, "scheduler.start_factor=1.0: must be in [0, 1)"),
        ({"warmup_level": -0.1}, "scheduler.warmup_level=-0.1: must be in [0, 1)"),
        ({"warmup_power": 0.0}, "scheduler.warmup_power=0.0: must be above 0"),
        ({"warmup_rate": 0.0}, "scheduler.warmup_rate=0.0: must be between -100 and 100, but not 0"),
        ({"warmup_rate": 101.0}, "scheduler.warmup_rate=101.0: must be between -100 and 100"),
        ({"match": "t_ef"}, "unknown scheduler.match 't_ef'; did you mean 't_eff'?"),
    ],
)
def test_a_warmup_out_of_range_is_refused(keys, message):
    with pytest.raises(ConfigError) as error:
        SchedulerConfig("warmuplinear", **keys)
    assert message in str(error.value)


def test_unknown_tracking_is_refused():
    with pytest.raises(ConfigError, match=r"unknown tracking\.kind 'csv'"):
        TrackingConfig(kind="csv")
    with pytest.raises(ConfigError, match=r"tracking\.log_every=0: must be at least 1"):
        TrackingConfig(log_every=0)


def test_a_probe_is_on_if_it_has_a_period():
    assert ProbeConfig().wanted == {}
    assert ProbeConfig(layers_every=10, overshoot_every=5).wanted == {"overshoot": 5, "layers": 10}
    assert {item.name for item in fields(ProbeConfig)} == {
        "batch_size", *(f"{name}_every" for name in schema.PROBE_NAMES)
    }  # fmt: skip


def test_the_whole_package_imports_nothing_heavy():
    loaded = python("import sys; from warmup_lab.config import *; print(*sys.modules)").split()
    assert "warmup_lab.config.parse" in loaded
    assert not {"torch", "transformers", "numpy", "hydra", "omegaconf", "wandb"} & set(loaded)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"margin": 0.0}, "compare.margin=0.0: must be above 0, or null"),
        ({"failure_margin": 1.0}, "compare.failure_margin=1.0: must be between 0 and 1"),
        ({"failure_margin": 0.0}, "compare.failure_margin=0.0: must be between 0 and 1"),
        ({"looks": []}, "compare.looks=[]: must be rising numbers of seeds, the first at least 6"),
        ({"looks": [5, 10]}, "compare.looks=[5, 10]: must be rising numbers of seeds, the first at least 6"),
        ({"looks": [6, 6]}, "compare.looks=[6, 6]: must be rising numbers of seeds"),
        ({"looks": [6], "budget_minutes": 0.0}, "compare.budget_minutes=0.0: must be above 0, or null"),
        ({"budget_minutes": 5.0}, "compare.budget_minutes=5.0: needs compare.looks"),
    ],
)
def test_an_impossible_comparison_is_refused(keys, message):
    with pytest.raises(ConfigError) as error:
        CompareConfig(**keys)
    assert message in str(error.value)


def test_looks_are_rising_numbers_of_seeds():
    assert CompareConfig(looks=[6, 12, 24], budget_minutes=0.5).looks == [6, 12, 24]
