"""Names of arms and of groups of arms."""

import math

import pytest

from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.naming import (
    arm_names,
    kind_name,
    lr_group_names,
    lr_group_of,
    resolve_reference,
    schedule_name,
    several_lrs,
    warmup_group_name,
)
from warmup_lab.config.errors import ConfigError

NAMES = ["warmuplinear-w0 (0 %)", "warmuplinear-w36 (10 %) lr=0.001", "warmuplinear-w36 (10 %) lr=0.003"]


def arm(steps=36, lr=1e-3, warmup="linear", setting="", total=360) -> Arm:
    return Arm("name", (), "warmuplinear", steps, total, lr, ("rte", setting), warmup)


def job(arm_id: str, *overrides: str, steps=36, asked="10 %", lr=1e-3, **strategy) -> dict:
    strategy = {"scheduler": "warmuplinear", "warmup_steps": steps, "lr": lr, **strategy}
    return {"arm_id": arm_id, "asked": asked, "overrides": list(overrides), "strategy": strategy}


def test_several_lrs_ignores_what_is_no_rate():
    assert several_lrs([1e-3, 3e-3])
    assert not several_lrs([1e-3, 1e-3, None, math.nan])
    assert not several_lrs([])


def test_arm_names_give_the_lr_only_if_the_sweep_varies_it():
    assert arm_names([job("a")]) == {"a": "warmuplinear-w36 (10 %)"}
    jobs = [job("a"), job("b", lr=3e-3)]
    assert arm_names(jobs) == {"a": "warmuplinear-w36 (10 %) lr=0.001", "b": "warmuplinear-w36 (10 %) lr=0.003"}


def test_arm_names_give_the_shape_of_the_warmup_and_what_else_varies():
    jobs = [
        job("a", "seed=0", "batch_size=16", steps=27, warmup="sqrt"),
        job("b", "seed=0", "batch_size=32", steps=27, warmup="sqrt"),
        job("c", "seed=1", "batch_size=32", asked=None),
    ]
    assert arm_names(jobs) == {
        "a": "warmuplinear-sqrt-w27 (10 %) batch_size=16",
        "b": "warmuplinear-sqrt-w27 (10 %) batch_size=32",
        "c": "warmuplinear-w36 batch_size=32",
    }


def test_an_arm_whose_name_is_taken_gets_its_id():
    assert arm_names([job("a"), job("b")]) == {"a": "warmuplinear-w36 (10 %)", "b": "warmuplinear-w36 (10 %) b"}


def test_names_of_groups():
    assert schedule_name("warmuplinear", "sqrt") == "warmuplinear-sqrt"
    assert warmup_group_name(arm(warmup="sqrt", setting="batch_size=16"), [arm()]) == "warmuplinear sqrt batch_size=16"
    assert warmup_group_name(arm(), [arm(), arm(lr=3e-3)]) == "warmuplinear lr=0.001"
    assert lr_group_names([arm(), arm(0)]) == ["warmuplinear-w36", "warmuplinear-w0"]
    assert lr_group_names([arm(), arm(total=720)]) == [
        "warmuplinear-w36 of 360",
        "warmuplinear-w36 of 720",
    ], "only what differs"
    assert lr_group_of(NAMES[1]) == "warmuplinear-w36"
    row = {"scheduler": "warmuplinear", "warmup": "sqrt", "setting": "batch_size=16", "total_steps": 360}
    assert kind_name(row, several_totals=False) == "warmuplinear sqrt batch_size=16"
    assert kind_name(row, several_totals=True) == "warmuplinear sqrt batch_size=16 360 updates"


def test_a_reference_is_a_full_name_or_its_first_words():
    assert resolve_reference(None, NAMES) is None
    assert resolve_reference(NAMES[1], NAMES) == NAMES[1]
    assert resolve_reference("warmuplinear-w0", NAMES) == NAMES[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [("warmuplinear-w36", r"matches several arms: .*lr=0\.001, .*lr=0\.003"), ("warmuplinear-w1", "no arm is called")],
)
def test_an_unknown_or_ambiguous_reference_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        resolve_reference(name, NAMES)
