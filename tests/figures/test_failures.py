"""The figure of failures over the length of the warmup."""

import pytest
from fake_arms import failures, make_arm
from report_files import data_rows

from warmup_lab.figures.failures import (
    failure_rate,
    failures_figure,
    level_labels,
    level_table,
    seen_failures,
    seen_levels,
)
from warmup_lab.figures.layout import make_layout

LEVELS = [
    {"warmup_percent": 0.0, "failed": failures(11, 12, 0.65, 0.99)},
    {"warmup_percent": 10.0, "failed": failures(2, 12, 0.05, 0.45)},
    {"warmup_percent": 50.0, "failed": failures(0, 0)},
]
ARMS = [make_arm(0, failed=failures(11, 12)), make_arm(10, failed=failures(2, 12)), make_arm(50, failed=failures(0, 0))]


@pytest.mark.parametrize(("total", "ends"), [(1, (None, None)), (2, (None, None)), (3, (0.1, 0.8))])
def test_no_interval_is_drawn_for_fewer_than_3_runs(total, ends):
    failed = {"count": 1, "total": total, "share": 1 / total, "low": 0.1, "high": 0.8}
    drawn = failure_rate({"failed": failed})
    assert (drawn["low"], drawn["high"]) == ends


def test_failure_rate_of_an_arm_that_never_learned_is_a_point():
    arm = make_arm(0, num_learned=0, failed=failures(6, 6, 0.6, 1.0))
    assert failure_rate(arm) == {"mean": 1.0, "low": 0.6, "high": 1.0, "cross": False}


def test_table_has_a_row_per_length_with_finished_runs():
    assert level_table(LEVELS) == [
        {"x": 0, "share": 11 / 12, "low": 0.65, "high": 0.99, "runs": "11 of 12"},
        {"x": 1, "share": 2 / 12, "low": 0.05, "high": 0.45, "runs": "2 of 12"},
    ]


def test_labels_have_updates_if_all_runs_are_equally_long():
    assert level_labels(LEVELS, 360) == [["0", "0 %"], ["36", "10 %"], ["180", "50 %"]]
    assert level_labels(LEVELS, None) == [["0 %"], ["10 %"], ["50 %"]]


def test_figure_of_one_kind_has_one_chart():
    ((cell,),) = failures_figure(LEVELS, make_layout(ARMS)).rows
    assert (cell.title, cell.subtitle) == (
        "92 % of runs fail with no warmup, 17 % with 10 %",
        "Runs that failed to learn",
    )
    assert [row["runs"] for row in data_rows(cell.spec)] == ["11 of 12", "2 of 12"]


def test_figure_of_two_kinds_has_all_runs_and_a_line_per_kind():
    layout = make_layout([*ARMS, *(make_arm(arm["warmup_steps"], scheduler="warmupcosine") for arm in ARMS)])
    ((together, by_kind),) = failures_figure(LEVELS, layout).rows
    assert together.subtitle == "All runs of each length"
    assert by_kind.subtitle == "Runs that failed to learn"
    assert {row["line"] for row in data_rows(by_kind.spec)} == {"warmuplinear", "warmupcosine"}


def test_figure_without_levels_has_the_arms():
    ((cell,),) = failures_figure([], make_layout(ARMS[:1])).rows
    assert [row["mean"] for row in data_rows(cell.spec)] == [11 / 12]


def test_panels_are_three_per_row():
    """5 kinds at 2 rates do not fit one panel, so each rate has its own, beside all runs together."""
    arms = [
        make_arm(w, scheduler=f"s{kind}", lr=lr, failed=failures(1, 6))
        for kind in range(4)
        for lr in (1e-4, 1e-3, 1e-2, 1e-1)
        for w in (0, 10)
    ]
    assert [len(row) for row in failures_figure(LEVELS[:2], make_layout(arms)).rows] == [3, 2]


def test_figure_without_failures_is_empty():
    assert failures_figure(LEVELS, make_layout([make_arm(0), make_arm(10)])).rows == []


def test_titles_say_how_many_runs_fail():
    assert seen_failures([{"mean": 0.0}, {"mean": 0.875}, {"mean": None}]) == "From 0 % to 88 % of runs fail"
    assert seen_failures([{"mean": 0.5}]) == "50 % of runs fail"
    assert seen_failures([{"mean": 0.5}, {"mean": 0.5}]) == "50 % of runs fail with each"
    assert seen_failures([{"mean": 0.0}, {"mean": 0.0}]) == "No run fails"
    assert seen_failures([{"mean": None}]) == "No run ended"
    assert seen_levels(LEVELS[:1]) == "92 % of runs fail with no warmup"
    assert seen_levels([]) == "No run ended"
