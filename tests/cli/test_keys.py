"""The keys of the configuration, as `conf/` has them."""

import re
from dataclasses import fields

import pytest

from warmup_lab.cli.keys import keys_named, known_keys, option_values, options_with, parents
from warmup_lab.config.foreign_keys import advice, foreign_keys
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


def test_options_inherit_through_their_defaults_list():
    assert parents("model", "preln_mini") == ["bert_mini"]
    values = option_values("model")["preln_mini"]
    assert (values["kind"], values["num_layers"], values["vocab_size"]) == ("preln", 4, 8192)


def test_keys_are_found_by_their_last_part():
    assert keys_named("num_cycles") == ["scheduler.num_cycles"]
    assert keys_named("batch_size") == ["batch_size", "probe.batch_size"]
    assert keys_named("margin") == ["compare.margin"]
    assert keys_named("nonsense") == []


def test_options_with_a_key():
    assert options_with("task", "train_file") == ["files"]
    assert options_with("scheduler", "power") == ["polynomial"]


@pytest.mark.parametrize("name", sorted(foreign_keys()))
def test_the_keys_of_other_programs_are_none_of_ours_and_lead_to_ours(name):
    section, _, last = name.rpartition(".")
    assert last not in known_keys(section)
    advised = advice(name, "1") or ""
    of_hydra = {"hydra/launcher", "hydra.launcher.n_jobs"}  # test_help checks that they are listed
    for key in set(re.findall(r"([\w./]+)=", advised.removeprefix("type "))) - of_hydra:
        section, _, last = key.rpartition(".")
        assert last in known_keys(section), advised
