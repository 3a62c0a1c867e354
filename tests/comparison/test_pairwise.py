"""Each arm against its reference: every verdict, and tables with few or strange runs."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from fake_runs import GUESS_LOSS, NOISE, SEED_EFFECT, arm, failing, lr_line, runs_of_shapes, table, two_arms, verdict_on
from scipy import stats

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.selection import compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.verdicts import AS_GOOD, PHRASES, Question

COLD = "warmuplinear-w0-lr0.001"


@pytest.mark.parametrize(
    ("change", "margin", "value"),
    [
        (NOISE - 0.05, None, "better"),
        (NOISE + 0.05, None, "worse"),
        (NOISE + 0.05, 0.03, "worse"),
        (NOISE, 0.03, "equivalent"),
        (NOISE + 0.03, 0.1, "different_within_margin"),
        (NOISE - 0.03, 0.1, "different_within_margin"),
        (NOISE, None, "inconclusive"),
        (NOISE, 0.005, "inconclusive"),
    ],
)
def test_verdict_on_the_loss(change, margin, value):
    verdict = verdict_on(two_arms(change), margin=margin)
    assert verdict.value == value
    assert verdict.test.num_pairs == 8
    assert (verdict.reason is not None) == (value == "inconclusive")
    assert PHRASES[value][0] in verdict.sentence


def test_larger_is_better_swaps_better_and_worse():
    runs = two_arms(NOISE + 0.05)
    assert verdict_on(runs).value == "worse"
    assert verdict_on(runs, smaller_is_better=False).value == "better"


# --------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("reference", "without", "value"),
    [
        (arm(SEED_EFFECT), arm(SEED_EFFECT, 0, failed_to_learn=[True] * 7 + [False]), "fails_more"),
        (arm(SEED_EFFECT, failed_to_learn=True), arm(SEED_EFFECT, 0), "fails_less"),
        (arm(SEED_EFFECT), arm(SEED_EFFECT, 0, status="diverged"), "fails_more"),
        (arm(SEED_EFFECT, failed_to_learn=True), arm(SEED_EFFECT, 0, status="diverged"), "both_fail"),
        (failing(5, 8), failing(6, 8, 0), "both_fail"),
        (failing(4, 8), failing(6, 8, 0), "inconclusive"),
    ],
)
def test_verdict_on_failures(reference, without, value):
    verdict = verdict_on(table(reference, without))
    assert verdict.value == value
    assert "of 8 runs against" in verdict.sentence


def test_failures_decide_before_the_metric():
    """8 of 20 runs fail, at a loss that is still smaller than that of every run of the reference."""
    base = np.linspace(0.4, 0.6, 20)
    runs = table(arm(base), arm(base - 0.1 + np.resize(NOISE, 20), 0, failed_to_learn=np.arange(20) < 8))
    verdict = verdict_on(runs)
    assert verdict.value == "fails_more"
    assert verdict.p_holm < 0.05
    assert verdict.test.difference < -0.09


def test_the_metric_decides_over_all_seeds_if_failures_do_not_differ_by_test():
    verdict = verdict_on(two_arms(NOISE + 0.05, failed_to_learn=[True, True] + [False] * 6))
    assert verdict.value == "worse"
    assert verdict.test.num_pairs == 8
    assert "failed to learn in 2 of 8 runs against 0 of 8" in verdict.sentence


def test_the_seeds_at_which_both_learned_are_shown_second_and_do_not_decide():
    """Without the two failed runs the arm is better by 0.05; with them it is as likely worse."""
    runs = two_arms(NOISE - 0.05, failed_to_learn=[True, True] + [False] * 6)
    runs.loc[runs["failed_to_learn"].astype(bool), "eval_loss"] = GUESS_LOSS
    verdict = verdict_on(runs)
    learned = (NOISE - 0.05)[2:]
    assert verdict.value == "inconclusive"
    assert verdict.test.num_pairs == 8
    assert verdict.learned.num_pairs == 6
    assert verdict.learned.p_value == pytest.approx(stats.ttest_1samp(learned, 0).pvalue)
    assert verdict.learned.p_value < 0.01
    assert f"where both learned (6 seeds, selected on the outcome) eval_loss {learned.mean():+.3g}" in verdict.sentence


def test_an_arm_that_fails_more_is_not_better_because_its_worst_runs_are_left_out():
    """Equal on average over 24 seeds. The four worst runs of one arm fail, and its others are better by 0.05."""
    change = np.resize(NOISE - 0.05, 24)
    failed = np.arange(24) % 6 == 2  # the four seeds of smallest or second smallest loss of the reference
    base = np.resize(SEED_EFFECT, 24)
    runs = table(arm(base), arm(np.where(failed, GUESS_LOSS, base + change), 0, failed_to_learn=failed))
    verdict = verdict_on(runs)
    assert stats.ttest_1samp(change[~failed], 0).pvalue < 1e-9
    assert verdict.p_failed_holm > 0.05
    assert verdict.value == "inconclusive"


def test_two_arms_that_always_fail_are_not_equivalent():
    """Both have the loss of guessing at every seed: they differ by exactly 0."""
    verdict = verdict_on(table(failing(12, 12), failing(12, 12, 0)), margin=0.1)
    assert verdict.test.difference == 0
    assert verdict.p_equivalent_holm < 0.05
    assert verdict.value == "both_fail"


def crowd(num_failed: int, num_seeds: int = 12):
    """Eight arms, of which the one without warmup fails at some seeds by a little: its losses stay close."""
    base = np.resize(SEED_EFFECT, num_seeds) + 0.1
    noise = np.resize(NOISE, num_seeds)
    parts = [arm(base + np.roll(noise, shift), 36 + 18 * shift) for shift in range(7)]
    failed = np.arange(num_seeds) < num_failed
    return table(*parts, arm(base + noise[::-1], 0, failed_to_learn=failed))


def test_six_failures_of_twelve_against_none_are_not_equivalent():
    verdict = verdict_on(crowd(6), margin=0.1)
    assert verdict.p_equivalent_holm < 0.05
    assert verdict.value not in AS_GOOD


@pytest.mark.parametrize("num_failed", [1, 2, 3])
def test_equivalence_needs_failures_that_are_shown_to_be_no_worse(num_failed):
    """Newcombe's bound of 1 of 12 against 0 of 12 is 0.30, above the failure margin of 0.2."""
    verdict = verdict_on(crowd(num_failed), margin=0.1)
    assert verdict.value == "inconclusive"
    assert (
        verdict.reason
        == f"the metric is equivalent within 0.1, but failures are undecided ({num_failed} of 12 against 0 of 12)"
    )
    assert verdict_on(crowd(num_failed), margin=0.1, failure_margin=0.9).value == "equivalent"


def test_equivalence_without_any_failure_states_what_is_excluded():
    """1 - 0.05^(1 / 12): a rate higher by 22.1 %."""
    verdict = verdict_on(crowd(0), margin=0.1)
    assert verdict.value == "equivalent"
    assert verdict.excess_failures == pytest.approx(0.2209, abs=1e-4)


def test_an_arm_that_fails_less_often_is_not_equivalent_either():
    runs = crowd(3)
    assert verdict_on(runs, "warmuplinear-w36-lr0.001", margin=0.1, reference=COLD).value == "inconclusive"


# ---------------------------------------------------------------------------------------------- families


def shapes(*parts):
    """Arms of one length and several shapes of the warmup, so that there is no trend to share the error with."""
    names = ("linear", "sqrt", "cosine", "exponential", "polynomial", "quadratic", "cubic", "quartic", "quintic")
    return table(*(part.assign(warmup=shape, arm=shape) for part, shape in zip(parts, names, strict=False)))


def test_holm_adjusts_over_all_arms():
    """The arm is worse with p about 0.02 alone, and undecided beside seven arms of no difference."""
    change = NOISE + 0.0155
    alone = verdict_on(shapes(arm(SEED_EFFECT), arm(SEED_EFFECT + change)), "sqrt")
    assert alone.value == "worse"
    assert alone.p_holm == pytest.approx(stats.ttest_1samp(change, 0).pvalue)
    rolled = [arm(SEED_EFFECT + np.roll(NOISE, shift)) for shift in range(1, 8)]
    crowded = verdict_on(shapes(arm(SEED_EFFECT), arm(SEED_EFFECT + change), *rolled), "sqrt")
    assert crowded.value == "inconclusive"
    assert crowded.p_holm == pytest.approx(8 * alone.p_holm)


def test_tests_that_cannot_reject_leave_the_family():
    """6 of 8 runs against 0 of 8, beside three arms without a failure: one test of failures and four of the metric."""
    others = [arm(SEED_EFFECT + np.roll(NOISE, shift)) for shift in (1, 2, 3)]
    fails = arm(SEED_EFFECT + NOISE, failed_to_learn=np.arange(8) < 6)
    runs = shapes(arm(SEED_EFFECT), fails, *others)
    comparison = compare(runs, Question("eval_loss"))
    assert comparison.verdict("sqrt").p_failed_holm == pytest.approx(5 * 2 * 73 / 2**16)
    assert [comparison.verdict(name).p_failed_holm for name in ("cosine", "exponential", "polynomial")] == [None] * 3


def test_trends_and_pairs_share_the_error():
    """Two arms that differ in length: each of the two families has one test and half of the error."""
    verdict = verdict_on(two_arms(NOISE))
    comparison = compare(two_arms(NOISE), Question("eval_loss"))
    (trend,) = comparison.trends
    assert trend.p_adjusted == pytest.approx(min(1, 2 * trend.p_value))
    assert verdict.p_holm == pytest.approx(min(1, 2 * verdict.test.p_value))


def test_a_u_shape_is_found_by_pairs_though_no_trend_sees_it():
    """4, 8, 16, 20, 16, 8 and 4 of 24 runs learn, which is symmetric about 10 % warmup."""
    learned = dict(zip((0, 7, 18, 36, 72, 108, 180), (4, 8, 16, 20, 16, 8, 4), strict=True))
    runs = table(*(failing(24 - count, 24, warmup) for warmup, count in learned.items()))
    comparison = compare(runs, Question("eval_loss", margin=0.05))
    assert comparison.trend("failures").z == pytest.approx(0, abs=1e-12)
    found = {verdict.arm: verdict.value for verdict in comparison.verdicts}
    for warmup in (0, 7, 108, 180):
        assert found[f"warmuplinear-w{warmup}-lr0.001"] == "fails_more"


def test_the_committed_u_shape_is_undecided_at_six_seeds_and_nothing_is_called_equal():
    """1, 1, 3, 3, 4, 2 and 2 of 6 runs learned at lr 5.6e-3."""
    learned = dict(zip((0, 7, 18, 36, 72, 108, 180), (1, 1, 3, 3, 4, 2, 2), strict=True))
    comparison = compare(
        table(*(failing(6 - count, 6, warmup) for warmup, count in learned.items())), Question("eval_loss", margin=0.1)
    )
    assert comparison.trend("failures").p_value > 0.1
    assert {verdict.value for verdict in comparison.verdicts} == {"inconclusive", "reference"}
    assert comparison.headline.startswith("Undecided")
    assert [level.failed.count for level in comparison.levels] == [5, 5, 3, 3, 2, 4, 4]


def test_shapes_of_the_warmup_share_the_arm_without_one_and_its_runs_count_once():
    """Lengths of 0, 10 and 20 %: six runs without warmup, and six of each of two shapes."""
    comparison = compare(runs_of_shapes(), Question("eval_loss"))
    assert [level.failed.total for level in comparison.levels] == [6, 12, 12]
    assert comparison.trend("metric").num_strata == 2
    means = runs_of_shapes().groupby("warmup_steps")["eval_loss"].mean()
    assert [level.mean for level in comparison.levels] == pytest.approx(means.tolist())


def test_failures_of_the_reference_count_like_those_of_the_arm():
    """Roughness at matched loss, which is relative to the reference: 3 of 12 runs of either arm fail, at other seeds.

    Each arm is better at three seeds, where the other one failed, and they are equal at the other six.
    """
    seeds = np.arange(12)
    relative = np.where((seeds < 3) | (seeds >= 9), np.nan, 0.0)
    runs = table(
        *(
            arm(np.resize(SEED_EFFECT, 12), w, failed_to_learn=failed).assign(**{"matched/roughness": relative})
            for w, failed in ((36, seeds < 3), (0, seeds >= 9))
        )
    )
    verdict = compare(runs, Question("matched/roughness")).verdict(COLD)
    assert (verdict.test.num_pairs, verdict.test.rank_difference, verdict.test.p_value) == (12, 0.0, 1.0)


# --------------------------------------------------------------------------------------- learning rates


def test_a_ratio_of_lr50_is_found_though_no_single_learning_rate_shows_it():
    """Five lrs a factor 1.41 apart and six seeds; without warmup each seed fails two steps, a factor of 2, earlier."""
    lrs = [1e-3 * 2 ** (step / 2) for step in range(5)]
    warmed, cold = [4, 4, 5, 3, 4, 3], [2, 2, 3, 1, 3, 1]
    runs = table(lr_line(warmed, lrs, 36), lr_line(cold, lrs, 0))
    comparison = compare(runs, Question("eval_loss"))
    line = next(line for line in comparison.lr_lines if line.ratio)
    logs = (np.array(cold) - np.array(warmed)) / 2
    assert line.ratio.ratio == pytest.approx(2 ** logs.mean())
    assert line.ratio.p_value == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    assert line.p_adjusted < 0.05
    assert [level.lr50 for level in comparison.levels] == pytest.approx(
        [1e-3 * 2 ** ((np.mean(count) - 0.5) / 2) for count in (cold, warmed)]
    )
    failures = [stats.boschloo_exact([[a, b], [6 - a, 6 - b]]).pvalue for a, b in ((3, 0), (5, 2), (6, 5), (6, 6))]
    assert min(failures) > 0.05


def test_no_line_of_learning_rates_is_shown_if_no_run_failed():
    runs = table(lr_line([3] * 6, (1e-3, 2e-3, 4e-3), 36), lr_line([3] * 6, (1e-3, 2e-3, 4e-3), 0))
    assert compare(runs, Question("eval_loss")).lr_lines == ()


def test_a_target_that_is_never_reached_does_not_make_an_arm_better():
    updates = np.arange(100.0, 116.0)
    faster = np.where(np.arange(16) < 8, updates - 50, np.nan)
    runs = table(arm(updates).assign(updates_to_target=updates), arm(updates, 0).assign(updates_to_target=faster))
    verdict = compare(runs, Question("updates_to_target")).verdict(COLD)
    assert verdict.value == "inconclusive"
    assert (verdict.test.num_pairs, verdict.learned) == (16, None)


# --------------------------------------------------------------------------- few, equal and strange runs


def test_runs_that_ended_in_an_error_are_not_failures():
    verdict = verdict_on(two_arms(NOISE, status=["error"] * 2 + ["completed"] * 6))
    assert verdict.test.num_pairs == 6
    assert verdict.p_failed_holm is None


@pytest.mark.parametrize(("change", "value"), [(0.0, "inconclusive"), (0.25, "worse"), (-0.25, "better")])
def test_differences_without_spread_are_tested_by_sign(change, value):
    verdict = verdict_on(two_arms(change))
    assert verdict.value == value
    assert verdict.test.exact
    assert verdict.test.p_value == pytest.approx(1.0 if change == 0 else 2**-7)
    assert verdict.test.interval_95 == pytest.approx((change, change))


def test_without_spread_a_sign_test_is_not_certain():
    # 6 equal differences are 2 ** -5 = 0.031 by sign; over two arms that is not enough. A t-test would say p = 0.
    runs = table(arm(SEED_EFFECT[:6]), arm(SEED_EFFECT[:6] + 0.25, 0), arm(SEED_EFFECT[:6] + NOISE[:6], 72))
    assert verdict_on(runs).value == "inconclusive"


@pytest.mark.parametrize(("change", "value"), [(0.0, "equivalent"), (0.1, "different_within_margin"), (0.3, "worse")])
def test_equivalence_without_spread(change, value):
    assert verdict_on(two_arms(change), margin=0.2).value == value


def test_one_seed():
    runs = table(arm([0.5]), arm([0.9], 0))
    verdict = verdict_on(runs, margin=0.1)
    assert verdict.value == "inconclusive"
    assert verdict.test.difference == pytest.approx(0.4)
    assert (verdict.test.interval_95, verdict.test.p_value) == (None, None)
    assert compare(runs, Question("eval_loss")).arms[0].interval is None


def test_one_arm():
    comparison = compare(arm(SEED_EFFECT), Question("eval_loss"))
    assert comparison.verdicts[0].value == "reference"
    assert comparison.headline == "Nothing can be concluded about 10 % warmup: nothing else was tried."


def test_no_runs():
    comparison = compare(arm(SEED_EFFECT)[:0], Question("eval_loss"))
    assert comparison.arms == comparison.verdicts == ()
    assert "Nothing can be concluded" in comparison.headline


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ({"status": "diverged"}, "both_fail"),
        ({"failed_to_learn": True}, "both_fail"),
        ({"status": "error"}, "inconclusive"),
    ],
)
def test_no_run_learned(column, value):
    runs = table(arm(np.full(8, math.nan), **column), arm(np.full(8, math.nan), 0, **column))
    comparison = compare(runs, Question("eval_loss", margin=0.1))
    assert comparison.verdict(COLD).value == value
    assert comparison.arms[0].mean is None
    json.dumps(comparison.to_dict(), allow_nan=False)
    for method in ("split", "every_arm"):
        (smallest,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.1), method=method)
        assert smallest.warmup_steps is None
    assert compare_at_own_best_lr(runs, Question("eval_loss")).comparison.verdicts is not None


@pytest.mark.parametrize("absent", [math.nan, math.inf, None])
def test_a_run_without_the_metric_is_neither_a_pair_nor_a_failure(absent):
    losses = (SEED_EFFECT + NOISE + 0.05).tolist()
    runs = table(arm(SEED_EFFECT), arm(SEED_EFFECT, 0).assign(eval_loss=pd.Series([absent, *losses[1:]], dtype=object)))
    comparison = compare(runs, Question("eval_loss"))
    verdict = comparison.verdict(COLD)
    assert (verdict.value, verdict.test.num_pairs) == ("worse", 7)
    assert comparison.arms[1].num_without_metric == 1
    assert comparison.arms[1].failed.count == 0
    assert "loss is missing in 1 of its runs that learned and in 0 of the other's" in verdict.sentence


def test_a_metric_that_no_run_has():
    verdict = verdict_on(two_arms(math.nan))
    assert verdict.value == "inconclusive"
    assert verdict.test.difference is None


def test_seeds_are_paired_by_number():
    shuffled = two_arms(NOISE + 0.05).sample(frac=1, random_state=0).reset_index(drop=True)
    name = COLD
    assert verdict_on(shuffled, name).test.num_pairs == 8
    assert verdict_on(shuffled, name).test.p_value == pytest.approx(verdict_on(two_arms(NOISE + 0.05)).test.p_value)
    apart = table(arm(SEED_EFFECT), arm(SEED_EFFECT + NOISE, 0, seed=np.arange(8) + 5))
    assert verdict_on(apart, name).test.num_pairs == 3
