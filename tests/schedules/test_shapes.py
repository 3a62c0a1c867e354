"""Warmup shapes, compared with numbers calculated by hand and with transformers."""

import pytest
from reference_schedules import WARMUP_CASES, composed, transformers_multipliers

from warmup_lab.schedules.registry import make_schedule


@pytest.mark.parametrize(("keys", "expected"), WARMUP_CASES)
@pytest.mark.parametrize("name", ["warmupconstant", "warmuplinear", "bertlinear", "inverse_sqrt", "onecycle"])
def test_warmup_shape_by_hand_leaves_the_decay_unchanged(name, keys, expected):
    if name == "onecycle" and keys == {"warmup": "linear"}:
        pytest.skip("the default keeps the warmup of onecycle")
    schedule = composed(name, warmup_steps=4, total_steps=12, **keys)
    assert [schedule(step) for step in range(4)] == pytest.approx(expected)
    plain = make_schedule(name, warmup_steps=4, total_steps=12)
    assert [schedule(step) for step in range(4, 12)] == [plain(step) for step in range(4, 12)]


def test_shapes_equal_those_of_transformers():
    for ours, theirs in (("cosine", "cosine"), ("sqrt", "1-sqrt")):
        schedule = composed("warmup_stable_decay", warmup_steps=30, total_steps=100, warmup=ours)
        expected = transformers_multipliers("warmup_stable_decay", 30, 100, 1.0, num_decay_steps=20, warmup_type=theirs)
        assert [schedule(step) for step in range(100)] == pytest.approx(expected, abs=1e-12)
