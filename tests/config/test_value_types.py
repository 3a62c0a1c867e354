"""Messages for values of the wrong type."""

import pytest

from warmup_lab.config.value_types import is_python_none, wrong_type


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed", "abc", int), "seed=abc: must be a whole number"),
        (("max_steps", 1000.0, int | None), "max_steps=1000.0: must be a whole number or null; type max_steps=1000"),
        (("epochs", 1.5, int), "epochs=1.5: must be a whole number"),
        (("warmup_steps", 0.1, "int | None"), "must be a whole number or null; type warmup_ratio=0.1"),
        (("warmup_steps", "5%", "int | None"), "must be a whole number or null; type warmup_ratio=0.05"),
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
