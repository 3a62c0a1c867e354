"""Which rate the seeds choose: means by hand."""

from dataclasses import replace

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


def test_rates_with_a_mean_within_the_margin_are_alike():
    best, near, far = row(1e-3, "with", [0.3, 0.3]), row(2e-3, "with", [0.31, 0.33]), row(4e-3, "with", [0.4, 0.4])
    rows = [best, near, far, row(8e-3, "without", [0.3, 0.31])]
    assert choose(rows, "eval_loss", 0.025).alike == (2e-3,)
    assert choose(rows, "eval_loss", 0.01).alike == ()
    assert choose(rows, "eval_loss").alike == ()


def test_rates_that_the_seeds_do_not_tell_apart_are_not_called_alike():
    """Differences of 0.1 at every seed are no noise; -0.1 and +0.1 are."""
    best, near, far = row(1e-3, "with", [0.1, 0.3]), row(2e-3, "with", [0.2, 0.2]), row(4e-3, "with", [0.201, 0.4])
    found = choose([best, near, far], "eval_loss")
    assert (found.alike, found.not_told_apart) == ((), (2e-3,))
    assert choose([best, near, far], "eval_loss", margin=0.05).not_told_apart == ()
    assert paired_interval(far, best) is not None
    assert paired_interval(row(1e-3, "with", [0.1]), row(2e-3, "with", [0.2])) is None


def test_a_rate_with_more_failures_is_no_alternative():
    """As seen: accuracies of 3 seeds, of which 2 failed. Their wide interval includes 0."""
    best, worse = row(9e-4, "with", [0.97, 0.96, 0.98]), row(1.9e-3, "with", [0.83, 0.5, 0.5], failed=2)
    interval = paired_interval(worse, best)
    assert interval[0] < 0 < interval[1]
    found = choose([best, worse, row(1.9e-3, "without", [0.97, 0.96, 0.97])], "eval_accuracy", margin=1.0)
    assert (found.alike, found.not_told_apart) == ((), ())


@pytest.mark.parametrize(
    ("losses", "edge"),
    [
        ([0.6931, 0.6928, 0.6903], "largest"),  # too few updates: the largest lr comes closest to learning
        ([0.69, 0.75, 0.9], "smallest"),  # too large rates
        ([0.9, 0.69, 0.9], None),
        ([0.6931, 0.6931, 0.6931], None),  # nothing gets better in either direction
        ([0.6931, 0.6929, None], None),  # the largest diverged
    ],
)
def test_where_all_fail_the_loss_as_measured_says_where_it_gets_better(losses, edge):
    rows = [
        replace(row(lr, "with", [0.6931], failed=1), loss=loss)
        for lr, loss in zip((1e-4, 4e-4, 1.6e-3), losses, strict=True)
    ]
    found = choose(rows, "eval_loss")
    assert found.all_failed
    assert found.edge == edge


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
    assert rows[3].loss == pytest.approx(own["eval_loss"].mean())
    diverged = runs.assign(eval_loss=runs["eval_loss"].where(runs["lr"] != rows[3].lr), status="diverged")
    assert grid_rows(diverged, "eval_loss")[3].loss is None
    assert len(rows) == 8
    assert choose([], "eval_loss") is None
