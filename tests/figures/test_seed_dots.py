"""The metric of every run, as the charts draw it."""

import pytest
from fake_runs import GUESS_LOSS, arm, failing, table

from warmup_lab.figures.seed_dots import dot_rows, seed_values

RUNS = table(failing(1, 3, 0), arm([0.2, 0.3, 0.4], 36)).assign(excess=[0.5, 0.1, 0.2, 0.0, 0.1, 0.3])
COLD, WARM = "warmuplinear-w0-lr0.001", "warmuplinear-w36-lr0.001"
COLD_ARM = {"name": COLD, "verdict": {"reference": WARM}}


def test_failed_run_counts_as_guessing_in_a_loss():
    values = seed_values(RUNS, ["eval_loss"])
    assert values.of("eval_loss")(COLD_ARM) == pytest.approx({0: GUESS_LOSS, 1: 0.48, 2: 0.515})
    assert values.failed == {COLD: {0}, WARM: set()}


def test_failed_run_has_no_oscillation():
    assert seed_values(RUNS, ["excess"]).of("excess")(COLD_ARM) == {1: 0.1, 2: 0.2}


def test_differences_are_paired_by_seed():
    read = seed_values(RUNS, ["eval_loss"]).minus_reference("eval_loss")
    assert read(COLD_ARM) == pytest.approx({0: GUESS_LOSS - 0.2, 1: 0.18, 2: 0.115})
    assert read({"name": WARM, "verdict": {"reference": WARM}}) == {}
    assert read({"name": WARM, "verdict": {"reference": None}}) == {}


def test_unknown_metrics_have_no_values():
    assert seed_values(RUNS, ["late/roughness"]).of("late/roughness")(COLD_ARM) == {}


def test_dots_are_spread_in_the_order_of_the_seeds():
    row = {"line": "a", "arm": COLD, "x": 2.0, "colour": "#0072b2"}
    values = seed_values(RUNS, ["eval_loss"])
    (dots,) = dot_rows([row], [{2: 0.3, 0: 0.1}], values, 0.2)
    assert (dots["dot_x"], dots["y"], dots["seed"]) == ([1.9, 2.1], [0.1, 0.3], [0, 2])
    assert dots["fill"] == ["#ffffff", "#0072b2"]
    (alone,) = dot_rows([row], [{1: 0.3}], values, 0.2)
    assert alone["dot_x"] == [2.0]
    assert dot_rows([row], [{}], values, 0.2) == []
