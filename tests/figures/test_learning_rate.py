"""The figure of learning rate and warmup together."""

import pytest
from fake_arms import failures, make_arm, metric
from report_files import data_rows

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.learning_rate import heatmap_table, largest_lr_table, learning_rate_figure

ARMS = [
    make_arm(0, metrics={"eval_loss": metric(0.5)}),
    make_arm(10, metrics={"eval_loss": metric(0.3)}),
    make_arm(0, lr=1e-2, failed=failures(6, 6), num_learned=0, metrics={"eval_loss": metric(None)}),
    make_arm(10, lr=1e-2, failed=failures(3, 6), num_learned=3, metrics={"eval_loss": metric(0.4)}),
]


def largest(warmup_steps, lr, *, at_edge=False):
    key = {name: ARMS[0][name] for name in ("scheduler", "warmup", "setting", "total_steps")}
    return key | {"warmup_steps": warmup_steps, "lr": lr, "at_edge": at_edge, "tried": [1e-3, 1e-2]}


def test_heatmap_has_loss_and_failures_of_each_arm():
    table = heatmap_table(make_layout(ARMS))
    assert [(row["length"], row["lr"], row["loss"], row["failed"]) for row in table] == [
        (0, "0.001", 0.5, 0.0),
        (1, "0.001", 0.3, 0.0),
        (0, "0.01", None, 1.0),
        (1, "0.01", 0.4, 0.5),
    ]


def test_largest_lr_has_a_row_per_warmup():
    table = largest_lr_table([largest(0, None), largest(10, 1e-2, at_edge=True)], make_layout(ARMS))
    assert [(row["mean"], row["at_edge"], row["cross"], row["learned"]) for row in table] == [
        (None, False, True, "not all at any lr"),
        (1e-2, True, False, "all"),
    ]
    assert [row["x"] for row in table] == pytest.approx([0, 1])
    assert [row["line"] for row in table] == ["warmuplinear"] * 2


def test_figure_draws_largest_lr_loss_and_failures():
    figure = learning_rate_figure([largest(0, None), largest(10, 1e-2, at_edge=True)], make_layout(ARMS))
    assert [[cell.title for cell in row] for row in figure.rows] == [
        ["Largest learning rate at which every run learned"],
        ["Final evaluation loss (nats) · warmuplinear", "Runs that failed to learn · warmuplinear"],
    ]
    losses = data_rows(figure.rows[1][0].spec)
    assert [row["text"] for row in losses] == ["0.5", "0.3", "none", "0.4"]
    assert [row["ink"] for row in losses] == ["#ffffff", "#111827", "#111827", "#111827"], "white on dark"
    assert [row["text"] for row in data_rows(figure.rows[1][1].spec)] == ["0%", "0%", "100%", "50%"]


def test_largest_lr_is_left_out_if_no_lr_learned():
    figure = learning_rate_figure([largest(0, None), largest(10, None)], make_layout(ARMS))
    assert len(figure.rows) == 1
    assert figure.lines == []


def test_figure_of_one_learning_rate_is_empty():
    assert learning_rate_figure([], make_layout(ARMS[:2])).rows == []
