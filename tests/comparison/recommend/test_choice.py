"""Which rate the seeds choose: means by hand."""

import pytest

from warmup_lab.comparison.recommend.choice import GridRow, choose, choosing_metric, grid_rows, paired_interval
from warmup_lab.comparison.statistics import wilson


def row(lr, start, values, failed=0):
    return GridRow(lr, start, 12 * (start == "with"), f"{lr}-{start}", wilson(failed, len(values)),
                   sum(values) / len(values), dict(enumerate(values)))  # fmt: skip


def test_fewest_failures_come_before_the_mean():
    rows = [row(1e-3, "with", [0.5, 0.5]), row(2e-3, "with", [0.1, 0.69], failed=1), row(4e-3, "with", [0.6, 0.6])]
    assert choose(rows, "eval_loss").lr == 1e-3
    assert choose(rows, "eval_accuracy").lr == 4e-3


def test_the_edge_of_the_rates_is_named():
    rows = [row(lr, "without", [loss]) for lr, loss in ((1e-3, 0.3), (2e-3, 0.2), (4e-3, 0.1))]
    assert (choose(rows, "eval_loss").edge, choose(rows[::-1], "eval_accuracy").edge) == ("largest", "smallest")
    assert choose([*rows, row(8e-3, "with", [0.5])], "eval_loss").edge is None
    assert choose(rows[:1], "eval_loss").edge is None


def test_rates_within_noise_are_alike():
    """Differences of 0.1 at every seed are no noise; -0.1 and +0.1 are."""
    best, near, far = row(1e-3, "with", [0.1, 0.3]), row(2e-3, "with", [0.2, 0.2]), row(4e-3, "with", [0.201, 0.4])
    assert choose([best, near, far], "eval_loss").alike == (2e-3,)
    assert paired_interval(far, best) is not None
    assert paired_interval(row(1e-3, "with", [0.1]), row(2e-3, "with", [0.2])) is None


def test_a_grid_that_fails_everywhere_says_so():
    rows = [row(1e-3, "with", [0.69, 0.69, 0.5], failed=2), row(2e-3, "with", [0.69, 0.69, 0.69], failed=3)]
    assert choose(rows, "eval_loss").all_failed
    assert not choose([*rows, row(4e-3, "with", [0.5, 0.69], failed=1)], "eval_loss").all_failed


def test_an_oscillation_chooses_no_rate(decided):
    assert choosing_metric("whole/roughness", decided.runs) == "eval_loss"
    assert choosing_metric("eval_accuracy", decided.runs.assign(eval_accuracy=0.5)) == "eval_accuracy"


def test_rows_have_the_means_of_the_table(decided):
    runs = decided.runs[(decided.runs["scheduler"] == "warmuplinear") & (decided.runs["seed"] < 10)]
    rows = grid_rows(runs, "eval_loss")
    assert [one.start for one in rows[:2]] == ["without", "with"]
    own = runs[(runs["lr"] == rows[3].lr) & (runs["warmup_steps"] > 0)]
    assert rows[3].mean == pytest.approx(own["eval_loss"].mean())
    assert len(rows) == 8
    assert choose([], "eval_loss") is None
