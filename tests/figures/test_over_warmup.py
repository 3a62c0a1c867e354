"""Numbers of arms over warmup length."""

import pytest
from fake_arms import failures, make_arm, metric

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.over_warmup import (
    capitalized,
    metric_column,
    seen_extreme,
    shown_interval,
    warmup_table,
    with_unit,
)
from warmup_lab.figures.palette import COLOURS

LOSS = metric_column("eval_loss")


@pytest.fixture
def layout():
    """Lengths 0, 10 and 50 at two learning rates; of the larger rate without warmup no run learned."""
    return make_layout(
        [
            make_arm(0, metrics={"eval_loss": metric(0.5, 0.4, 0.6)}),
            make_arm(10, metrics={"eval_loss": metric(0.3)}, failed=failures(1, 6), num_learned=5),
            make_arm(50, metrics={"eval_loss": metric(0.2, 0.1, 0.3)}),
            make_arm(0, lr=1e-2, metrics={"eval_loss": metric(None)}, failed=failures(6, 6), num_learned=0),
            make_arm(50, lr=1e-2),
        ]
    )


def test_table_has_a_row_per_arm_beside_those_of_equal_length(layout):
    table = warmup_table(layout, LOSS.read)
    assert [row["x"] for row in table] == pytest.approx([-0.09, 0.91, 1.91, 0.09, 2.09])
    assert [row["line"] for row in table] == ["lr 0.001"] * 3 + ["lr 0.01"] * 2


def test_table_has_means_and_intervals(layout):
    table = warmup_table(layout, LOSS.read)
    assert [(row["mean"], row["low"], row["high"]) for row in table] == [
        (0.5, 0.4, 0.6),
        (0.3, None, None),
        (0.2, 0.1, 0.3),
        (None, None, None),
        (None, None, None),
    ]


def test_mean_is_over_all_seeds_if_known():
    of_all = {"mean_of_all": 0.6, "interval_of_all": [0.55, 0.65]}
    table = warmup_table(make_layout([make_arm(0, metrics={"eval_loss": metric(0.5, 0.4, 0.6, **of_all)})]), LOSS.read)
    assert [(row["mean"], row["low"], row["high"]) for row in table] == [(0.6, 0.55, 0.65)]


def test_failures_are_hollow_and_arms_without_learned_runs_crosses(layout):
    table = warmup_table(layout, LOSS.read)
    assert [row["fill"] for row in table] == [COLOURS[0], "#ffffff", COLOURS[0], "#ffffff", COLOURS[1]]
    assert [row["cross"] for row in table] == [False, False, False, True, False]
    assert [row["learned"] for row in table] == ["6 of 6", "5 of 6", "6 of 6", "0 of 6", "6 of 6"]


def test_table_of_several_panels_is_ordered_by_panel():
    arms = [make_arm(10, scheduler=f"s{kind}", lr=10.0**-rate) for rate in range(3) for kind in range(2)]
    layout = make_layout(arms)
    assert [row["panel"] for row in warmup_table(layout, LOSS.read)] == ["s0"] * 3 + ["s1"] * 3


def test_words():
    assert capitalized("final F1") == "Final F1"
    assert (with_unit("loss", "nats"), with_unit("loss", "")) == ("loss (nats)", "loss")


@pytest.mark.parametrize(
    ("num_runs", "shown"),
    [
        (6, {"low": 0.1, "high": 0.3, "few": 0}),
        (3, {"low": 0.1, "high": 0.3, "few": 0}),
        (2, {"low": None, "high": None, "few": 2}),
        (1, {"low": None, "high": None, "few": 1}),
        (0, {"low": 0.1, "high": 0.3, "few": 0}),
    ],
)
def test_interval_of_fewer_than_three_runs_is_not_drawn(num_runs, shown):
    assert shown_interval([0.1, 0.3], num_runs) == shown


ROWS = [
    {"mean": 0.5, "place": "no warmup", "few": 0},
    {"mean": 0.3, "place": "10 % warmup", "few": 0},
    {"mean": None, "place": "50 %", "few": 0},
]


@pytest.mark.parametrize(
    ("rows", "lowest", "text"),
    [
        (ROWS, True, "Lowest with 10 % warmup: 0.3"),
        (ROWS, False, "Highest with no warmup: 0.5"),
        (ROWS[:1], True, "0.5 with no warmup"),
        ([ROWS[0], ROWS[0]], True, "The same for all arms: 0.5"),
        ([ROWS[0], ROWS[1], ROWS[0]], False, "Highest with no warmup and 1 other: 0.5"),
        (ROWS[2:], True, "No run learned"),
    ],
)
def test_title_says_what_is_seen(rows, lowest, text):
    assert seen_extreme(rows, lowest=lowest) == text
