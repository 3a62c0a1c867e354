"""Each arm against its reference: every verdict, and tables with few or strange runs."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, table, two_arms, verdict_on

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.selection import compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.verdicts import PHRASES, Question


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


@pytest.mark.parametrize(
    ("reference", "without", "value"),
    [
        (arm(SEED_EFFECT), arm(SEED_EFFECT, 0, failed_to_learn=[True] * 7 + [False]), "fails_more"),
        (arm(SEED_EFFECT, failed_to_learn=True), arm(SEED_EFFECT, 0), "fails_less"),
        (arm(SEED_EFFECT, failed_to_learn=True), arm(SEED_EFFECT, 0, status="diverged"), "diverges_more"),
        (arm(SEED_EFFECT, status="diverged"), arm(SEED_EFFECT, 0, failed_to_learn=True), "diverges_less"),
    ],
)
def test_verdict_on_failures(reference, without, value):
    verdict = verdict_on(table(reference, without))
    assert verdict.value == value
    assert "of 8 runs against" in verdict.sentence


def test_failures_decide_before_the_loss_of_the_other_runs():
    failing = np.arange(20) < 8
    base = np.linspace(0.4, 0.6, 20)
    noise = np.resize(NOISE, 20)
    runs = table(arm(base), arm(base - 0.1 + noise, 0, failed_to_learn=failing))
    verdict = verdict_on(runs)
    assert verdict.value == "fails_more"
    assert verdict.p_holm < 0.05
    assert verdict.test.difference < -0.09
    assert verdict.test.num_pairs == 12


def test_the_loss_decides_if_failures_do_not_differ_by_test():
    verdict = verdict_on(two_arms(NOISE + 0.05, failed_to_learn=[True, True] + [False] * 6))
    assert verdict.value == "worse"
    assert verdict.test.num_pairs == 6
    assert "failed to learn in 2 of 8 runs against 0 of 8" in verdict.sentence


def test_holm_adjusts_over_all_arms():
    # The lone arm is worse with p about 0.02; with seven further arms of no difference it is not.
    change = NOISE + 0.0155
    assert verdict_on(two_arms(change)).value == "worse"
    rolled = [arm(SEED_EFFECT + np.roll(NOISE, shift), 72 + shift) for shift in range(1, 8)]
    crowded = verdict_on(table(two_arms(change), *rolled))
    assert crowded.value == "inconclusive"
    assert crowded.p_holm == pytest.approx(8 * verdict_on(two_arms(change)).p_holm)


def test_runs_that_ended_in_an_error_are_not_failures():
    verdict = verdict_on(two_arms(NOISE, status=["error"] * 2 + ["completed"] * 6))
    assert verdict.test.num_pairs == 6
    assert verdict.p_failed_holm == 1.0


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
    assert compare(runs, Question("loss")).arms[0].interval is None


def test_one_arm():
    comparison = compare(arm(SEED_EFFECT), Question("loss"))
    assert comparison.verdicts[0].value == "reference"
    assert comparison.headline == "Nothing can be concluded about 10 % warmup: there is no other arm."


def test_no_runs():
    comparison = compare(arm(SEED_EFFECT)[:0], Question("loss"))
    assert comparison.arms == comparison.verdicts == ()
    assert "Nothing can be concluded" in comparison.headline


@pytest.mark.parametrize("column", [{"status": "diverged"}, {"failed_to_learn": True}, {"status": "error"}])
def test_no_run_learned(column):
    runs = table(arm(np.full(8, math.nan), **column), arm(np.full(8, math.nan), 0, **column))
    comparison = compare(runs, Question("loss", margin=0.1))
    assert comparison.verdict("warmuplinear-w0-lr0.001").value == "inconclusive"
    assert comparison.arms[0].mean is None
    json.dumps(comparison.to_dict(), allow_nan=False)
    for method in ("split", "every_arm"):
        (smallest,) = smallest_warmup_as_good_as_best(runs, Question("loss", margin=0.1), method=method)
        assert smallest.warmup_steps is None
    assert compare_at_own_best_lr(runs, Question("loss")).comparison.verdicts is not None


@pytest.mark.parametrize("absent", [math.nan, math.inf, None])
def test_a_run_without_the_metric_is_neither_a_pair_nor_a_failure(absent):
    losses = (SEED_EFFECT + NOISE + 0.05).tolist()
    runs = table(arm(SEED_EFFECT), arm(SEED_EFFECT, 0).assign(loss=pd.Series([absent, *losses[1:]], dtype=object)))
    comparison = compare(runs, Question("loss"))
    verdict = comparison.verdict("warmuplinear-w0-lr0.001")
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
    name = "warmuplinear-w0-lr0.001"
    assert verdict_on(shuffled, name).test.num_pairs == 8
    assert verdict_on(shuffled, name).test.p_value == pytest.approx(verdict_on(two_arms(NOISE + 0.05)).test.p_value)
    apart = table(arm(SEED_EFFECT), arm(SEED_EFFECT + NOISE, 0, seed=np.arange(8) + 5))
    assert verdict_on(apart, name).test.num_pairs == 3
