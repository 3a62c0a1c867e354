"""The table of runs as arrays: summaries, arms that are the same, tables that are refused."""

import math

import numpy as np
import pandas as pd
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, runs_of_shapes, table, two_arms, verdict_on

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.selection import smallest_warmup_as_good_as_best
from warmup_lab.comparison.statistics import wilson
from warmup_lab.comparison.verdicts import Question


def test_summary_of_an_arm():
    statuses = ["completed"] * 5 + ["diverged", "diverged", "error"]
    losses = [0.5, 0.6, 0.7, 0.9, math.nan, math.nan, 3.0, math.nan]
    learned_not = [False, False, False, True, False, None, True, None]
    summary = compare(arm(losses, status=statuses, failed_to_learn=learned_not), Question("eval_loss")).arms[0]
    assert (summary.num_runs, summary.num_learned, summary.num_errors, summary.num_without_metric) == (8, 4, 1, 1)
    assert (summary.failed, summary.diverged) == (wilson(3, 7), wilson(2, 7))
    assert summary.mean == pytest.approx(0.6)
    # SD 0.1 over 3 runs; t(2) at 97.5 % is 4.30265.
    assert summary.interval == pytest.approx((0.6 - 4.30265 * 0.1 / 3**0.5, 0.6 + 4.30265 * 0.1 / 3**0.5), abs=1e-5)
    assert summary.warmup_percent == 10


def test_names_of_the_same_runs_are_one_arm():
    # 2 % and 5 % of 20 updates are both 1 update.
    same = [
        arm(SEED_EFFECT + NOISE, 1, total=20, name=name, warmup_ratio=ratio)
        for name, ratio in (("a", 0.02), ("b", 0.05))
    ]
    runs = table(arm(SEED_EFFECT, 2, total=20, name="ten", warmup_ratio=0.1), *same)
    comparison = compare(runs, Question("eval_loss"))
    assert [(summary.name, summary.aliases) for summary in comparison.arms] == [("ten", ()), ("a", ("b",))]
    assert comparison.verdict("b") is comparison.verdict("a")
    assert comparison.verdict("a").p_holm == comparison.verdict("a").test.p_value
    assert compare(runs, Question("eval_loss", reference="b")).verdict("ten").reference == "a"


def test_runs_with_equal_run_ids_are_the_same():
    ids = [f"run{seed}" for seed in range(8)]
    parts = [arm(SEED_EFFECT, 1, total=20, name=name, run_id=ids) for name in "ab"]
    assert len(compare(table(*parts), Question("eval_loss")).arms) == 1
    parts[1] = parts[1].assign(run_id=[f"other{seed}" for seed in range(8)])
    assert len(compare(table(*parts), Question("eval_loss")).arms) == 2


def test_runs_that_only_look_the_same_are_not_merged():
    diverged = [arm(np.full(8, math.nan), 36, name=name, status="diverged") for name in "ab"]
    assert len(compare(table(*diverged), Question("eval_loss")).arms) == 2
    schedules = [arm(SEED_EFFECT, 36, scheduler=name) for name in ("warmuplinear", "warmupcosine")]
    assert len(compare(table(*schedules), Question("eval_loss")).arms) == 2


def test_a_run_listed_twice_counts_once_and_two_different_runs_are_refused():
    once = two_arms(NOISE)
    assert verdict_on(table(once, once)).test == verdict_on(once).test
    with pytest.raises(ValueError, match="two different runs at seed 0"):
        compare(table(once, once.assign(eval_loss=9.0)), Question("eval_loss"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"warmup_steps": range(8)}, "more than one warmup_steps"),
        ({"status": "running"}, r"unknown status \['running'\]"),
        ({"arm": None}, "a run without arm"),
    ],
)
def test_an_inconsistent_table_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        compare(arm(SEED_EFFECT).assign(**changed), Question("eval_loss"))


def test_a_missing_metric_lists_the_columns():
    with pytest.raises(ValueError, match="lacks accuracy; it has: arm, scheduler"):
        compare(arm(SEED_EFFECT), Question("accuracy"))


def test_nullable_columns_are_read_like_plain_ones():
    runs = two_arms(NOISE + 0.05, failed_to_learn=[None] + [False] * 7).convert_dtypes()
    runs.loc[3, "eval_loss"] = pd.NA
    assert verdict_on(runs).test.num_pairs == 7


def test_read_runs_does_not_change_its_argument():
    runs = two_arms(NOISE)
    before = runs.copy()
    read_runs(runs, "eval_loss")
    pd.testing.assert_frame_equal(runs, before)


def test_without_a_metric_there_are_arms_and_no_values():
    runs = two_arms(NOISE)
    arms = read_runs(runs, "eval_loss").arms
    found = read_runs(runs.drop(columns="eval_loss"), None)
    assert found.arms == arms
    assert np.isnan(found.values).all()


def test_a_table_without_shapes_has_linear_warmups():
    runs = runs_of_shapes()
    linear = runs[runs["warmup"].isin(["none", "linear"])].drop(columns="warmup")
    assert {arm.warmup for arm in read_runs(linear, "eval_loss").arms} == {"linear"}
    question = Question("eval_loss", margin=0.1)
    (found,) = smallest_warmup_as_good_as_best(linear, question, method="every_arm")
    assert found.arms == ("none-w0", "linear-w10", "linear-w20")


def test_failed_runs_are_compared_with_what_guessing_scores():
    """Each run has the guess of its own task; a run that ended in an error is missing, whatever its loss."""
    columns = {
        "guess_loss": [0.5, 1.0, 1.0, 1.0],
        "failed_to_learn": [True, True, False, True],
        "status": ["completed", "diverged", "completed", "error"],
    }
    found = read_runs(arm([0.9, math.nan, 0.3, 0.2], **columns), "eval_loss")
    np.testing.assert_equal(found.compared("eval_loss", smaller_is_better=True), [[0.5, 1.0, 0.3, math.nan]])


def test_a_table_without_the_scores_of_guessing_is_read():
    runs = two_arms(NOISE).drop(columns=["guess_loss", "guess_accuracy"])
    found = read_runs(runs, "eval_loss")
    assert np.isnan(found.guess_loss).all()
    assert np.isnan(found.guess_accuracy).all()


def test_a_table_at_some_of_the_seeds():
    runs = two_arms(NOISE, failed_to_learn=[True] + [False] * 7)
    whole, part = read_runs(runs, "eval_loss"), read_runs(runs, "eval_loss").at((5, 0, 3))
    expected = read_runs(runs[runs["seed"].isin([0, 3, 5])], "eval_loss")
    assert part.seeds == expected.seeds == (0, 3, 5)
    for name in ("values", "present", "finished", "failed", "diverged", "guess_loss", "guess_accuracy"):
        np.testing.assert_equal(getattr(part, name), getattr(expected, name))
    assert whole.seeds == tuple(range(8))
