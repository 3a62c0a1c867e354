"""Parallel coordinates: axes, ticks and the positions of runs."""

import pytest
from fake_arms import make_arm

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.parallel import even_ticks, number_axis, ordered_axis, parallel_coordinates
from warmup_lab.figures.seed_dots import SeedValues

ARMS = [make_arm(0), make_arm(10), make_arm(0, lr=4e-3), make_arm(10, lr=4e-3)]
VALUES = {arm["name"]: {0: 0.2 + 0.1 * row, 1: 0.25 + 0.1 * row} for row, arm in enumerate(ARMS)}
SEEDS = SeedValues({"eval_loss": VALUES}, {ARMS[2]["name"]: {1}})


def test_axes_are_the_swept_values_and_quality():
    found = parallel_coordinates(make_layout(ARMS), SEEDS, "eval_loss")
    assert [axis["title"] for axis in found["axes"]] == [
        "Warmup (% of updates)", "Peak learning rate", "Final evaluation loss (nats)",
    ]  # fmt: skip
    assert [label for _, label in found["axes"][0]["ticks"]] == ["0", "10"]
    assert [label for _, label in found["axes"][1]["ticks"]] == ["0.001", "0.004"]
    assert [label for _, label in found["axes"][2]["ticks"]] == ["0.2", "0.3", "0.4", "0.5"]


def test_every_run_is_a_line_through_its_values():
    """Axes have a margin of 4 % at both ends; the losses are 0.2 to 0.55."""
    found = parallel_coordinates(make_layout(ARMS), SEEDS, "eval_loss")
    assert len(found["lines"]) == 8
    first, last = found["lines"][0], found["lines"][-1]
    assert (first["arm"], first["seed"], first["value"]) == (ARMS[0]["name"], 0, 0.2)
    assert first["at"] == [0.04, 0.04, 0.04]
    assert last["at"] == [0.96, 0.96, 0.96]
    assert found["lines"][2]["at"] == pytest.approx([0.96, 0.04, 0.04 + 0.92 * 0.1 / 0.35], abs=1e-4)
    assert (first["good"], last["good"]) == (1.0, 0.0), "a small loss is good"
    assert [(line["arm"], line["seed"]) for line in found["lines"] if line["failed"]] == [(ARMS[2]["name"], 1)]


def test_larger_accuracy_is_good():
    found = parallel_coordinates(make_layout(ARMS), SeedValues({"eval_accuracy": VALUES}, {}), "eval_accuracy")
    assert (found["lines"][0]["good"], found["lines"][-1]["good"]) == (0.0, 1.0)


def test_other_settings_have_axes_of_their_own():
    arms = [
        make_arm(0, name="a", setting="optimizer.beta2=0.9 task=rte"),
        make_arm(10, name="b", setting="optimizer.beta2=0.999 task=rte", warmup="sqrt"),
        make_arm(10, name="c", setting="task=trec", scheduler="warmupcosine"),
    ]
    found = parallel_coordinates(make_layout(arms), SeedValues({"eval_loss": {"a": {0: 1.0}}}, {}), "eval_loss")
    ticks = {axis["title"]: [label for _, label in axis["ticks"]] for axis in found["axes"][:-1]}
    assert ticks == {
        "Schedule": ["warmuplinear", "warmupcosine"],
        "Warmup shape": ["none", "sqrt", "linear"],
        "Warmup (% of updates)": ["0", "10"],
        "beta2": ["0.9", "0.999", "default"],
        "task": ["rte", "trec"],
    }


@pytest.mark.parametrize(("arms", "seeds"), [(ARMS[:2], SEEDS), (ARMS, SeedValues({}, {}))])
def test_one_swept_value_or_no_run_is_not_drawn(arms, seeds):
    assert parallel_coordinates(make_layout(arms), seeds, "eval_loss") is None


def test_few_values_are_at_equal_distances():
    position, ticks = ordered_axis([0.5, 0.0, 0.02, 0.5])
    assert ticks == [(0.04, "0"), (0.5, "0.02"), (0.96, "0.5")]
    assert position(0.02) == 0.5


def test_many_learning_rates_are_on_a_logarithmic_axis():
    position, ticks = number_axis([1e-4, 1e-2], "Peak learning rate")
    assert position(1e-3) == pytest.approx(0.5)
    assert [label for _, label in ticks] == ["0.0001", "0.0003", "0.001", "0.003", "0.01"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (97.0, 103.0, [97.0, 98.0, 99.0, 100.0, 101.0, 102.0, 103.0]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (0.3, 0.3, [0.3]),
    ],
)
def test_even_ticks(low, high, ticks):
    assert even_ticks(low, high) == ticks
