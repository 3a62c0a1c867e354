"""Messages for values of the wrong type."""

from dataclasses import fields

import pytest
import yaml

from warmup_lab.config.parse import section_schema
from warmup_lab.config.value_types import _VALUES, WHOLE_NUMBERS, is_python_none, wrong_type


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed", "abc", int), "seed=abc: must be a whole number from 0 on, such as 1"),
        (("warmup_ratio", "ten", "float | None"), "warmup_ratio=ten: must be a number in [0, 1], such as 0.1, or null"),
        (("warmup_ratio", "3m", "float | None"), "warmup_ratio=3m: must be a number in [0, 1], such as 0.1, or null"),
        (("warmup_ratio", "10percent", "float | None"), "must be a number or null; type warmup_ratio=0.1"),
        (("optimizer.lr", "small", "float"), "optimizer.lr=small: must be a number above 0, such as 1e-3"),
        (("batch_size", "big", "int"), "batch_size=big: must be a whole number from 1 on, such as 32"),
        (("max_steps", "abc", "int | None"), "must be a whole number from 1 on, such as 1000, or null"),
        (("max_steps", "2.5k", "int | None"), "must be a whole number or null; type max_steps=2500"),
        (("max_steps", "100 steps", "int | None"), "must be a whole number or null; type max_steps=100"),
        (("compare.budget_minutes", "5min", "float | None"), "type compare.budget_minutes=5"),
        (("compare.budget_minutes", "3m", "float | None"), "type compare.budget_minutes=3"),
        (("compare.budget_minutes", "2h", "float | None"), "type compare.budget_minutes=120"),
        (("epochs", 0.5, int), "epochs=0.5: must be a whole number; type max_steps=N for a part of an epoch"),
        (("epochs", "three", int), "epochs=three: must be a whole number from 1 on, such as 3"),
        (("max_steps", 1000.0, int | None), "max_steps=1000.0: must be a whole number or null; type max_steps=1000"),
        (("warmup_steps", 0.1, "int | None"), "must be a whole number or null; type warmup_ratio=0.1"),
        (("warmup_steps", "5%", "int | None"), "must be a whole number or null; type warmup_ratio=0.05"),
        (
            ("compare.budget_minutes", "50%", "float | None"),
            "compare.budget_minutes=50%: must be a number above 0, such as 10, or null",
        ),
        (("task.label_noise", "5%", "float"), "task.label_noise=5%: must be a number; type task.label_noise=0.05"),
        (("max_steps", "none", int | None), "type max_steps=null"),
        (("max_steps", "", int | None), "type max_steps=null"),
        (("seed", [0, 1], int), "seed=[0, 1]: must be a whole number; type -m seed=0,1 for several runs"),
        (("seed", "0-5", int), "seed=0-5: must be a whole number; type -m 'seed=range(0,6)' for several runs"),
        (("optimizer.lr", [1e-3, 2e-3], float), "type -m optimizer.lr=0.001,0.002 for several runs"),
        (("force", "maybe", bool), "force=maybe: must be true or false"),
        (("compare.looks", 6, "list[int] | None"), "such as [6,12,24] or null; type 'compare.looks=[6]'"),
        (("task.text_columns", "a", "list[str] | None"), "type 'task.text_columns=[a]'"),
    ],
)
def test_the_type_is_named_in_words_with_a_correction(arguments, message):
    assert message in wrong_type(*arguments)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [("None", int | None, True), ("None", "str | None", True), ("None", str, False), (None, int | None, False)],
)
def test_the_none_of_python_is_recognized_where_null_is_allowed(value, annotation, expected):
    assert is_python_none(value, annotation) is expected


def test_each_example_is_a_value_of_its_key():
    for key, (_, example) in _VALUES.items():
        section, _, name = key.rpartition(".")
        kinds = {"task": "files", "model": "bert"}
        schema = section_schema(section, kinds.get(section, ""))
        assert section in ("optimizer", *kinds) or name in {item.name for item in fields(schema)}
        assert isinstance(yaml.safe_load(example.replace("e", ".0e")), int if key in WHOLE_NUMBERS else int | float)
