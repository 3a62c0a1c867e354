"""Error messages: which link of a chain of errors explains it, and the keys that messages suggest."""

from dataclasses import fields

import pytest
from hydra.errors import HydraException

from warmup_lab.cli.explain import explain, known_keys
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import MODEL_KINDS
from warmup_lab.config.schema import CompareConfig, ProbeConfig, RunConfig, SchedulerConfig, TrackingConfig
from warmup_lab.config.task_schema import TASK_KINDS


def names(*schemas: type) -> set[str]:
    return {item.name for schema in schemas for item in fields(schema)}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("task", names(*TASK_KINDS.values())),
        ("model", names(*MODEL_KINDS.values())),
        ("tracking", names(TrackingConfig)),
        ("probe", names(ProbeConfig)),
        ("compare", names(CompareConfig)),
        ("", names(RunConfig) | {"experiment"}),
        ("nonsense", set()),
    ],
)
def test_known_keys_are_the_fields_of_the_schema(section, expected):
    assert known_keys(section) == expected


def test_known_keys_include_options_and_shared_keys():
    assert known_keys("scheduler") >= names(SchedulerConfig) - {"options"} | {"num_cycles", "min_lr"}
    assert known_keys("optimizer") >= {"name", "lr", "betas", "momentum", "ns_steps"}


def caused_by(cause: BaseException) -> BaseException:
    error = HydraException("Error in Hydra\nthe second line\nthe third line")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigError("epochs=0: must be at least 1"), "epochs=0: must be at least 1"),
        (caused_by(ConfigError("epochs=0")), "epochs=0"),
        (caused_by(FileNotFoundError(2, "No such file or directory", "a.tsv")), "No such file or directory: a.tsv"),
        (caused_by(OSError(28, "No space left on device")), "No space left on device"),
        (caused_by(ValueError("no matter")), "Error in Hydra\nthe second line"),
        (ValueError("oops"), None),
        (OSError("no number"), None),
    ],
)
def test_the_first_link_that_explains_decides(error, message):
    assert explain(error) == message


def test_an_unknown_key_is_named_with_its_section():
    message = explain(HydraException("Could not override 'task.max_lenght'.\nKey 'max_lenght' is not in struct"))
    assert str(message).startswith("unknown key task.max_lenght; did you mean 'max_length'? Known: data_seed, id, kind")


def test_an_unknown_section_is_named_alone():
    message = explain(HydraException("Could not override 'optimiser.lr'."))
    assert str(message).startswith("unknown key optimiser; did you mean 'optimizer'?")
