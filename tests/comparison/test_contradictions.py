"""Sentences of one report do not contradict each other, and none claims more than its test."""

from functools import partial

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, NOISE, arm, failing, table
from scipy import stats

from warmup_lab.comparison.advised_arms import advised_arms
from warmup_lab.comparison.more_seeds import looks_are_left, more_seeds
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.selection import smallest_warmup_as_good_as_best
from warmup_lab.comparison.verdicts import Question

SEEDS = 12
SPREAD = np.random.default_rng(5).normal(0, 0.02, (30, SEEDS))


def noisy(loss, number, warmup, **columns):
    return arm(loss + SPREAD[number], warmup, **columns)


def compared(runs, **question):
    return compare(runs, Question("eval_loss", **question))


def advised(runs, found):
    """The arms that the card leaves, and the one that it names."""
    best_mean = read_runs(runs, "eval_loss").best_mean
    best_of = partial(best_mean, metric="eval_loss", smaller_is_better=True, failure_margin=found.failure_margin)
    left = advised_arms(found, found.arms, list(range(len(found.arms))), best_of)
    return left, found.arms[best_of(left.rows)].name


def chosen(runs, found):
    """The arm of the card, and why."""
    left, name = advised(runs, found)
    return name, left.basis


def test_a_warmup_that_wins_only_at_a_bad_lr_is_not_recommended():
    """At 1e-3 the lengths are alike and lowest. At 8e-3 no warmup is better than 10 %, and both are far worse."""
    lrs = (5e-4, 1e-3, 2e-3, 4e-3)
    alike = [noisy(0.3 + 0.1 * abs(place - 1), 2 * place + (warmup > 0), warmup, lr=lr)
             for place, lr in enumerate(lrs) for warmup in (0, 36)]  # fmt: skip
    runs = table(*alike, noisy(0.5, 20, 0, lr=8e-3), noisy(0.6, 21, 36, lr=8e-3))
    found = compared(runs)
    assert {verdict.arm for verdict in found.verdicts if verdict.value == "better"} == {"warmuplinear-w0-lr0.008"}
    assert all(trend.p_adjusted > 0.05 for trend in found.trends)
    name, basis = chosen(runs, found)
    assert name.endswith("lr0.001")
    assert basis == ""
    assert found.headline.startswith("10 % warmup is not the best choice at lr 0.008: no warmup at lr 0.008 is better")


def test_opposite_verdicts_at_two_learning_rates_are_both_in_the_headline():
    parts = [noisy(loss, number, warmup, lr=lr) for number, (loss, warmup, lr) in enumerate(
        [(0.30, 0, 1e-4), (0.36, 36, 1e-4), (0.50, 0, 1e-3), (0.44, 36, 1e-3)])]  # fmt: skip
    found = compared(table(*parts))
    assert found.headline.startswith(
        "It depends on the learning rate: no warmup at lr 0.0001 is better than 10 % warmup at lr 0.0001 (eval_loss -"
    )
    assert ", but no warmup at lr 0.001 is worse than 10 % warmup at lr 0.001 (eval_loss +" in found.headline


def fails_at_one_seed(losses):
    """Runs with a warmup fail at one of the seeds, the others end at the loss of their length."""
    parts = []
    for warmup, loss in losses.items():
        failed = np.arange(SEEDS) == (5 if warmup else -1)
        parts.append(arm(np.where(failed, GUESS_LOSS, loss), warmup, failed_to_learn=failed))
    return table(*parts)


def test_a_trend_of_ranks_does_not_recommend_the_length_that_it_calls_the_worst():
    """10 % is better by 0.005 at 11 of 12 seeds, and fails at one."""
    runs = fails_at_one_seed({0: 0.310, 36: 0.305})
    found = compared(runs)
    trend = found.trend("metric")
    assert trend.z < 0
    assert trend.p_adjusted < 0.05
    assert found.headline.startswith("Undecided: eval_loss mostly falls with a longer warmup (trend p = ")
    assert found.headline.endswith("but its mean is best with no warmup: 0.31 with no warmup, 0.337 with 10 %.")
    assert chosen(runs, found)[1] == ""


def test_what_pairs_show_comes_before_a_trend_that_contradicts_the_means():
    """30 % is better than 10 % by 0.005 at every seed at which they learn; both fail at one."""
    runs = fails_at_one_seed({0: 0.310, 36: 0.305, 108: 0.300})
    found = compared(runs)
    assert found.trend("metric").p_adjusted < 0.05
    assert found.headline.startswith("10 % warmup is not the best choice: 30 % warmup is better than 10 % warmup (")
    assert chosen(runs, found) == ("warmuplinear-w0-lr0.001", "")


def test_a_length_that_a_verdict_is_against_is_not_advised_by_the_headline_either():
    """The shortest length within the margin is 10 %, and 30 % is better by less than the margin."""
    parts = [noisy(loss, number, warmup) for number, (warmup, loss) in enumerate(((0, 0.5), (36, 0.345), (108, 0.3)))]
    runs = table(*parts)
    found = compared(runs, margin=0.05)
    assert found.trend("metric").p_adjusted < 0.05
    assert found.verdict("warmuplinear-w108-lr0.001").value == "better"
    assert found.headline.startswith("A longer warmup improves eval_loss: ")
    assert " 30 % warmup is better than 10 % warmup (" in found.headline
    assert chosen(runs, found)[0] == "warmuplinear-w108-lr0.001"


def test_a_reference_at_another_lr_says_nothing_about_the_warmup():
    losses = {1e-3: 0.4, 2e-3: 0.3, 8e-3: 0.6}
    parts = [
        noisy(loss, 2 * place + (warmup > 0), warmup, lr=lr)
        for place, (lr, loss) in enumerate(losses.items())
        for warmup in (0, 36)
    ]
    runs = table(*parts)
    found = compared(runs, reference="warmuplinear-w36-lr0.001")
    assert found.verdict("warmuplinear-w0-lr0.002").value == "better"
    assert found.verdict("warmuplinear-w0-lr0.008").value == "worse"
    assert "depends" not in found.headline
    assert "not the best choice at" not in found.headline
    assert not advised(runs, found)[0].of_warmup


def test_a_trend_over_bad_learning_rates_does_not_choose_a_warmup_that_is_worse_at_the_best_one():
    parts, number = [], 0
    for lr in (5e-4, 1e-3, 2e-3):
        for warmup, loss in ((0, 0.30), (36, 0.33), (108, 0.36)):
            parts.append(noisy(loss + 0.1 * (lr != 1e-3), number, warmup, lr=lr))
            number += 1
    for warmup, num_failed in ((0, 12), (36, 6), (108, 0)):
        parts.append(failing(num_failed, SEEDS, warmup, lr=4e-3))
        parts.append(failing(SEEDS, SEEDS, warmup, lr=8e-3))
    runs = table(*parts)
    found = compared(runs)
    assert found.trend("lr50").p_adjusted < 0.05
    assert chosen(runs, found) == ("warmuplinear-w0-lr0.001", "decided by test: it is better than the reference")
    assert found.headline.startswith("A longer warmup raises the usable learning rate. Half of the runs fail at lr ")
    assert ". 30 % warmup at lr 0.0005 is worse than 10 % warmup at lr 0.0005 (" in found.headline


def test_an_arm_that_was_compared_with_nothing_is_not_part_of_everything_else():
    parts = [noisy(0.25, 0, 0, scheduler="constantlr")]
    parts += [
        noisy(loss, 1 + place, warmup) for place, (loss, warmup) in enumerate([(0.35, 0), (0.3, 36), (0.36, 108)])
    ]
    runs = table(*parts)
    found = compared(runs)
    assert found.headline.startswith("Use 10 % warmup: everything else that was compared with it is worse. ")
    assert chosen(runs, found) == ("constantlr-w0-lr0.001", "")


def test_lr50_beyond_the_rates_that_were_tried_is_not_given_as_a_number():
    """30 % never fails: half a step beyond the grid, 0.0057, would be an extrapolation."""
    parts = []
    for warmup, counts in ((0, (0, 12, 12)), (36, (0, 0, 6)), (108, (0, 0, 0))):
        parts += [failing(count, SEEDS, warmup, lr=lr) for count, lr in zip(counts, (1e-3, 2e-3, 4e-3), strict=True)]
    headline = compared(table(*parts)).headline
    assert "Half of the runs fail at lr 0.0014 with no warmup, at 0.004 with 10 %, above 0.004 with 30 %" in headline


def test_one_arm_without_runs_does_not_hide_what_the_others_show():
    runs = table(*(noisy(0.3, number, warmup) for number, warmup in enumerate((0, 8, 36, 108))))
    lost = (runs["warmup_steps"] == 108) & (runs["seed"] >= 4)
    runs.loc[lost, ["status", "eval_loss"]] = ["error", np.nan]
    headline = compared(runs, margin=0.05).headline
    assert "2 of 3 are as good as 10 % warmup (eval_loss within 0.05)." in headline
    assert " 30 % warmup ended at 4 seeds only, and a test needs 6." in headline


def test_while_planned_looks_are_left_the_same_command_goes_on():
    parts = [arm(np.resize(0.3 + sign * NOISE, SEEDS), warmup) for warmup, sign in ((0, 1), (36, -1))]
    at_twelve = compared(table(*parts), looks=(6, 12, 24))
    assert at_twelve.look == 12
    assert looks_are_left(at_twelve)
    assert more_seeds(at_twelve).sentence() == "The next planned look (24 seeds at most) may decide it."
    assert not looks_are_left(compared(table(*parts), looks=(6, 12)))


def test_the_best_warmup_is_not_one_that_only_failed_less_often_by_chance():
    """At one choosing seed of six, 0 and 10 % fail. 30 % never does, but its loss is twice as high."""
    failed = np.arange(SEEDS) == 1
    parts = [arm(np.where(failed, GUESS_LOSS, loss) + SPREAD[place] / 2, warmup, failed_to_learn=failed)
             for place, (loss, warmup) in enumerate([(0.34, 0), (0.30, 36)])]  # fmt: skip
    runs = table(*parts, arm(0.6 + SPREAD[2] / 2, 108))
    (found,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.02))
    assert 1 in found.seeds_to_choose
    assert found.best == "warmuplinear-w36-lr0.001"


@pytest.mark.parametrize(("num_lengths", "level"), [(2, 0.025), (3, 0.0125)])
def test_power_uses_the_error_of_the_pairs_alone(num_lengths, level):
    """Trends over the length have half of the 5 %. 80 % power of a t-test at `level`, from its noncentral t."""
    lengths = (0, 36, 108)[:num_lengths]
    found = compared(table(*(noisy(0.3, number, warmup) for number, warmup in enumerate(lengths))))
    more = more_seeds(found)
    spread = max(verdict.test.spread for verdict in found.verdicts if verdict.test)
    freedom, shift = more.num_seeds - 1, more.effect / spread * np.sqrt(more.num_seeds)
    power = stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, shift)
    assert 0.8 <= power < 0.83  # the effect is rounded up to two digits
