"""From `statistics` to `selection`: figures from elsewhere, every verdict, every edge, and how often they are wrong."""

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from warmup_lab.comparison.arms import read_runs
from warmup_lab.comparison.selection import compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.statistics import (
    MIN_PAIRS,
    Rate,
    holm,
    mean_interval,
    non_inferiority_p,
    paired_test,
    rates_differ_p,
    split_halves,
    wilson,
)
from warmup_lab.comparison.verdicts import PHRASES, compare
from warmup_lab.system.files import to_json

# R's `sleep` (Student 1908): t.test(extra ~ group, paired = TRUE) gives t = -4.0621, df = 9, p-value = 0.002833,
# 95 percent confidence interval -2.4598858 -0.7001142.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
SEED_EFFECT = np.array([0.50, 0.61, 0.43, 0.57, 0.49, 0.66, 0.52, 0.45])
NOISE = 0.01 * np.array([1.0, -2.0, 1.5, -0.5, 2.0, -1.0, -1.5, 0.5])  # mean 0, SD 0.0146
NULL_TEST = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "null_test.py"))


def arm(losses, warmup=36, *, total=360, lr=1e-3, scheduler="warmuplinear", name=None, **columns) -> pd.DataFrame:
    """The runs of one arm, a row a seed; `columns` may change any column, whole or row by row."""
    frame = {
        "arm": name or f"{scheduler}-w{warmup}-lr{lr:g}",
        "scheduler": scheduler,
        "warmup_steps": warmup,
        "total_steps": total,
        "lr": lr,
        "seed": np.arange(len(losses)),
        "status": "completed",
        "failed_to_learn": False,
        "loss": np.asarray(losses, dtype=float),
    }
    return pd.DataFrame({**frame, **columns})


def table(*arms) -> pd.DataFrame:
    return pd.concat(arms, ignore_index=True)


def verdict_on(runs: pd.DataFrame, name: str = "warmuplinear-w0-lr0.001", **question):
    return compare(runs, metric="loss", **question).verdict(name)


def two_arms(change, **columns) -> pd.DataFrame:
    """The 10 % arm, and one without warmup that differs from it by `change`."""
    return table(arm(SEED_EFFECT), arm(SEED_EFFECT + change, 0, **columns))


# --- figures from elsewhere


def test_paired_test_of_students_sleep_data_is_what_r_says():
    found = paired_test(DRUG_1, DRUG_2)
    assert found.num_pairs == 10
    assert found.difference == pytest.approx(-1.58)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)
    assert found.interval_95 == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert not found.exact


def test_paired_test_by_hand():
    # Differences 1..6: mean 3.5, SD sqrt(3.5), standard error 0.76376; t(5) at 97.5 % is 2.57058, at 95 % 2.01505.
    found = paired_test(np.arange(1.0, 7.0) + 10, np.full(6, 10.0))
    assert found.interval_95 == pytest.approx((3.5 - 2.57058 * 0.76376, 3.5 + 2.57058 * 0.76376), abs=1e-4)
    assert found.interval_90 == pytest.approx((3.5 - 2.01505 * 0.76376, 3.5 + 2.01505 * 0.76376), abs=1e-4)


@pytest.mark.parametrize("num_pairs", [6, 7, 20])
@pytest.mark.parametrize("margin", [0.1, 0.5, 3.0])
def test_paired_test_equals_scipy_and_statsmodels(num_pairs, margin):
    rng = np.random.default_rng(num_pairs)
    first, second = rng.normal(size=(2, num_pairs))
    found = paired_test(first, second, margin=margin)
    reference = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.interval_95 == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-9)
    assert found.interval_90 == pytest.approx(tuple(reference.confidence_interval(0.90)), rel=1e-9)
    assert found.p_equivalent == pytest.approx(ttost_paired(first, second, -margin, margin)[0], rel=1e-9)


def test_tost_is_below_5_percent_exactly_where_the_90_percent_interval_lies_within_the_margin():
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = paired_test(rng.normal(size=8), rng.normal(size=8), margin=1.0)
        assert (found.p_equivalent < 0.05) == (max(map(abs, found.interval_90)) < 1.0)


def test_non_inferiority_is_one_side_of_tost():
    better = non_inferiority_p(DRUG_2, DRUG_1, margin=1.0, smaller_is_better=False)
    assert better == pytest.approx(stats.ttest_rel(DRUG_2 + 1.0, DRUG_1, alternative="greater").pvalue)
    mirrored = non_inferiority_p(-DRUG_2, -DRUG_1, margin=1.0, smaller_is_better=True)
    assert mirrored == pytest.approx(better)
    assert non_inferiority_p(DRUG_1, DRUG_2, margin=1.0, smaller_is_better=False) > 0.5


def test_mean_interval_equals_statsmodels():
    assert mean_interval(DRUG_1) == pytest.approx(DescrStatsW(DRUG_1).tconfint_mean(0.05))
    assert mean_interval(np.array([1.0])) is None
    assert mean_interval(np.array([2.0, 2.0])) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombe_1998(count, total, low, high):
    rate = wilson(count, total)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=5e-5)


def test_a_rate_of_no_runs_has_no_interval():
    assert wilson(0, 0) == Rate(0, 0, None, None)
    assert math.isnan(wilson(0, 0).share)


def test_boschloo_by_hand():
    # 6 of 8 against 0 of 8 (one-sided Fisher 0.0035): as extreme are (6,0) (7,0) (8,0) (8,1) (8,2), which are
    # 28 + 8 + 1 + 8 + 28 = 73 of 2**16 ways at a rate of one half, the worst case; doubled for two sides.
    assert rates_differ_p(6, 8, 0, 8) == pytest.approx(2 * 73 / 2**16)
    assert rates_differ_p(0, 8, 6, 8) == rates_differ_p(6, 8, 0, 8)


@pytest.mark.parametrize(("one", "other"), [((0, 8), (0, 8)), ((8, 8), (8, 8)), ((0, 3), (0, 9))])
def test_rates_do_not_differ_where_none_or_all_failed(one, other):
    assert rates_differ_p(*one, *other) == 1.0


@pytest.mark.parametrize("other_total", [5, 8])
def test_boschloo_is_never_less_powerful_than_fisher_on_either_side(other_total):
    for count in range(9):
        for other in range(other_total + 1):
            tables = [[count, other], [8 - count, other_total - other]]
            fisher = min(stats.fisher_exact(tables, alternative=side).pvalue for side in ("less", "greater"))
            assert rates_differ_p(count, 8, other, other_total) <= min(1.0, 2 * fisher) + 1e-9


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, None, 0.01]) == [pytest.approx(0.04), None, pytest.approx(0.02)]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@pytest.mark.parametrize("num_tests", [1, 2, 7, 14, 100])
def test_holm_equals_its_slow_twin_in_statsmodels(num_tests):
    rng = np.random.default_rng(num_tests)
    for scale in (0.001, 0.1, 1.0):
        p_values = np.round(scale * rng.random(num_tests), 4).tolist()  # rounded, so that there are ties
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), rel=1e-12)


def test_split_halves_is_every_other_seed():
    assert split_halves([4, 0, 3, 1, 2]) == ([1, 3], [0, 2, 4])
    assert split_halves([7, 7]) == ([], [7])
    assert split_halves([]) == ([], [])


# --- every verdict


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


def test_larger_is_better_turns_better_into_worse():
    runs = two_arms(NOISE + 0.05)
    assert verdict_on(runs).value == "worse"
    assert verdict_on(runs, smaller_is_better=False).value == "better"


def test_the_reason_of_an_inconclusive_verdict_says_what_is_missing():
    assert "without a margin" in verdict_on(two_arms(NOISE)).reason
    assert "within 0.005" in verdict_on(two_arms(NOISE), margin=0.005).reason
    few = two_arms(NOISE)
    assert "5 seeds" in verdict_on(few[few["seed"] < 5]).reason


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


def test_failures_outrank_the_loss_of_the_survivors():
    failing = np.arange(20) < 8
    base = np.linspace(0.4, 0.6, 20)
    noise = np.resize(NOISE, 20)
    runs = table(arm(base), arm(base - 0.1 + noise, 0, failed_to_learn=failing))
    verdict = verdict_on(runs)
    assert verdict.value == "fails_more"
    assert verdict.p_holm < 0.05
    assert verdict.test.difference < -0.09
    assert verdict.test.num_pairs == 12


def test_a_difference_in_failures_that_chance_explains_leaves_the_loss_to_decide():
    verdict = verdict_on(two_arms(NOISE + 0.05, failed_to_learn=[True, True] + [False] * 6))
    assert verdict.value == "worse"
    assert verdict.test.num_pairs == 6
    assert "failed to learn in 2 of 8 runs against 0 of 8" in verdict.sentence


def test_holm_counts_all_arms_of_the_table():
    # The lone arm is worse with p about 0.02; with seven further arms of no difference it is not.
    change = NOISE + 0.0155
    assert verdict_on(two_arms(change)).value == "worse"
    rolled = [arm(SEED_EFFECT + np.roll(NOISE, shift), 72 + shift) for shift in range(1, 8)]
    crowded = verdict_on(table(two_arms(change), *rolled))
    assert crowded.value == "inconclusive"
    assert crowded.p_holm == pytest.approx(8 * verdict_on(two_arms(change)).p_holm)


def test_every_verdict_is_reached_and_has_a_sentence():
    reached = {"better", "worse", "equivalent", "different_within_margin", "inconclusive"}
    reached |= {"fails_more", "fails_less", "diverges_more", "diverges_less"}
    assert reached == set(PHRASES)


# --- arms by themselves


def test_summary_of_an_arm():
    statuses = ["completed"] * 5 + ["diverged", "diverged", "error"]
    losses = [0.5, 0.6, 0.7, 0.9, math.nan, math.nan, 3.0, math.nan]
    learned_not = [False, False, False, True, False, None, True, None]
    summary = compare(arm(losses, status=statuses, failed_to_learn=learned_not), metric="loss").arms[0]
    assert (summary.num_runs, summary.num_learned, summary.num_errors, summary.num_without_metric) == (8, 4, 1, 1)
    assert (summary.failed, summary.diverged) == (wilson(3, 7), wilson(2, 7))
    assert summary.mean == pytest.approx(0.6)
    # SD 0.1 over 3 runs; t(2) at 97.5 % is 4.30265.
    assert summary.interval == pytest.approx((0.6 - 4.30265 * 0.1 / 3**0.5, 0.6 + 4.30265 * 0.1 / 3**0.5), abs=1e-5)
    assert summary.warmup_percent == 10


def test_runs_that_ended_in_an_error_are_no_failures():
    verdict = verdict_on(two_arms(NOISE, status=["error"] * 2 + ["completed"] * 6))
    assert verdict.test.num_pairs == 6
    assert verdict.p_failed_holm == 1.0


# --- which arm is the reference


@pytest.mark.parametrize(
    ("warmups", "total", "reference"),
    [
        ((0, 36, 72), 360, 36),
        ((0, 50, 94, 100), 939, 94),  # ceil(93.9)
        ((0, 50, 100, 200), 939, 100),  # 10.6 %
        ((0, 2, 3), 25, 3),  # ceil(2.5)
        ((0, 2, 4), 25, 2),  # floor, where ceil is not there
        ((0, 1), 8, 1),
        ((33, 39), 360, 33),
        ((0, 18, 72), 360, None),
        ((0, 2), 10, None),
    ],
)
def test_the_reference_is_ten_percent_or_what_stands_for_it(warmups, total, reference):
    runs = table(*(arm(SEED_EFFECT + warmup * NOISE, warmup, total=total, name=str(warmup)) for warmup in warmups))
    verdicts = compare(runs, metric="loss").verdicts
    assert {verdict.reference for verdict in verdicts} == {None if reference is None else str(reference)}
    assert {verdict.arm for verdict in verdicts if verdict.value == "reference"} == {str(reference)} - {"None"}


def test_without_a_ten_percent_arm_nothing_is_said_and_the_reason_lists_the_warmups():
    comparison = compare(table(arm(SEED_EFFECT, 0), arm(SEED_EFFECT + NOISE, 180)), metric="loss")
    assert {verdict.value for verdict in comparison.verdicts} == {"no_reference"}
    assert "(36 updates); the warmups are 0, 180" in comparison.verdicts[0].reason
    assert comparison.headline.startswith("Nothing can be said of 10 % warmup")


def test_every_scheduler_lr_and_setting_has_its_own_reference():
    shapes = [("warmuplinear", 1e-3), ("warmuplinear", 3e-3), ("warmupcosine", 1e-3)]
    parts = [
        arm(SEED_EFFECT + index + warmup * NOISE, warmup, lr=lr, scheduler=scheduler)
        for index, (scheduler, lr) in enumerate(shapes)
        for warmup in (0, 36)
    ]
    references = {v.arm: v.reference for v in compare(table(*parts), metric="loss").verdicts}
    assert references["warmupcosine-w0-lr0.001"] == "warmupcosine-w36-lr0.001"
    assert references["warmuplinear-w0-lr0.003"] == "warmuplinear-w36-lr0.003"
    adam = [arm(SEED_EFFECT + w * NOISE, w, name=f"adam-{w}", optimizer="adamw") for w in (0, 36)]
    lion = [arm(SEED_EFFECT - w * NOISE, w, name=f"lion-{w}", optimizer="lion") for w in (0, 36)]
    assert compare(table(*adam, *lion), metric="loss").verdict("lion-0").reference == "lion-36"


def test_two_arms_that_could_both_be_the_reference_are_none():
    runs = table(*(arm(SEED_EFFECT + index * NOISE, 36, name=f"decay-{index}") for index in range(2)))
    assert "state one" in compare(runs, metric="loss").verdicts[0].reason


def test_constantlr_is_compared_with_its_warmed_up_form():
    runs = table(arm(SEED_EFFECT, 36, scheduler="warmupconstant"), arm(SEED_EFFECT + NOISE, 0, scheduler="constantlr"))
    assert verdict_on(runs, "constantlr-w0-lr0.001").reference == "warmupconstant-w36-lr0.001"


def test_a_reference_may_be_stated_and_an_unknown_one_lists_the_arms():
    runs = two_arms(NOISE + 0.05)
    assert verdict_on(runs, "warmuplinear-w36-lr0.001", reference="warmuplinear-w0-lr0.001").value == "better"
    with pytest.raises(ValueError, match=r"'w10'; the arms are: warmuplinear-w36-lr0\.001, warmuplinear-w0"):
        compare(runs, metric="loss", reference="w10")


# --- headlines


@pytest.mark.parametrize(
    ("changes", "margin", "claim"),
    [
        ([NOISE - 0.05, NOISE], None, "is not the best choice here (warmuplinear-w50-lr0.001)"),
        ([NOISE + 0.05, NOISE + 0.06], None, "is better than everything else tried"),
        ([NOISE, NOISE[::-1]], 0.04, "does as well as everything else tried"),
        ([NOISE, NOISE[::-1]], None, "is neither confirmed nor refuted"),
        ([NOISE + 0.05, NOISE], None, "is beaten by nothing tried, as far as is decided"),
        ([NOISE + 0.05, NOISE], 0.03, "is beaten by nothing tried"),
    ],
)
def test_headline(changes, margin, claim):
    others = [arm(SEED_EFFECT + change, 50 + index) for index, change in enumerate(changes)]
    headline = compare(table(arm(SEED_EFFECT), *others), metric="loss", margin=margin).headline
    assert headline.startswith(f"10 % warmup {claim}: of 2 other arms, on loss, ")


def test_the_headline_counts_the_arms_that_have_no_reference():
    headline = compare(table(two_arms(NOISE), arm(SEED_EFFECT, 0, lr=3e-3)), metric="loss").headline
    assert headline.endswith("of 1 other arms, on loss, 1 undecided, and 1 more have no reference.")


# --- edges


@pytest.mark.parametrize(("change", "value"), [(0.0, "inconclusive"), (0.25, "worse"), (-0.25, "better")])
def test_differences_without_any_spread_are_tested_by_sign(change, value):
    verdict = verdict_on(two_arms(change))
    assert verdict.value == value
    assert verdict.test.exact
    assert verdict.test.p_value == pytest.approx(1.0 if change == 0 else 2**-7)
    assert verdict.test.interval_95 == pytest.approx((change, change))


def test_no_spread_is_no_certainty():
    # 6 equal differences are 2 ** -5 = 0.031 by sign; over two arms that is not enough. A t-test would say p = 0.
    runs = table(arm(SEED_EFFECT[:6]), arm(SEED_EFFECT[:6] + 0.25, 0), arm(SEED_EFFECT[:6] + NOISE[:6], 72))
    assert verdict_on(runs).value == "inconclusive"


@pytest.mark.parametrize(("change", "value"), [(0.0, "equivalent"), (0.1, "different_within_margin"), (0.3, "worse")])
def test_equivalence_without_any_spread(change, value):
    assert verdict_on(two_arms(change), margin=0.2).value == value


def test_float_noise_is_no_spread():
    reference = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 1.1])
    found = paired_test(reference + 0.1 + 0.2, reference)
    assert np.ptp(reference + 0.1 + 0.2 - reference) > 0
    assert found.exact
    assert found.p_value == 2**-7


def test_one_seed():
    runs = table(arm([0.5]), arm([0.9], 0))
    verdict = verdict_on(runs, margin=0.1)
    assert verdict.value == "inconclusive"
    assert verdict.test.difference == pytest.approx(0.4)
    assert (verdict.test.interval_95, verdict.test.p_value) == (None, None)
    assert compare(runs, metric="loss").arms[0].interval is None


def test_one_arm():
    comparison = compare(arm(SEED_EFFECT), metric="loss")
    assert comparison.verdicts[0].value == "reference"
    assert comparison.headline == "Nothing can be said of 10 % warmup: there is no other arm."


def test_no_runs():
    comparison = compare(arm(SEED_EFFECT)[:0], metric="loss")
    assert comparison.arms == comparison.verdicts == ()
    assert "Nothing can be said" in comparison.headline


@pytest.mark.parametrize("column", [{"status": "diverged"}, {"failed_to_learn": True}, {"status": "error"}])
def test_no_run_learned_at_all(column):
    runs = table(arm(np.full(8, math.nan), **column), arm(np.full(8, math.nan), 0, **column))
    comparison = compare(runs, metric="loss", margin=0.1)
    assert comparison.verdict("warmuplinear-w0-lr0.001").value == "inconclusive"
    assert comparison.arms[0].mean is None
    json.dumps(comparison.to_dict(), allow_nan=False)
    for method in ("split", "every_arm"):
        (smallest,) = smallest_warmup_as_good_as_best(runs, metric="loss", margin=0.1, method=method)
        assert smallest.warmup_steps is None
    assert compare_at_own_best_lr(runs, metric="loss").comparison.verdicts is not None


@pytest.mark.parametrize("absent", [math.nan, math.inf, None])
def test_a_run_without_the_metric_is_no_pair_and_no_failure(absent):
    losses = (SEED_EFFECT + NOISE + 0.05).tolist()
    runs = table(arm(SEED_EFFECT), arm(SEED_EFFECT, 0).assign(loss=pd.Series([absent, *losses[1:]], dtype=object)))
    comparison = compare(runs, metric="loss")
    verdict = comparison.verdict("warmuplinear-w0-lr0.001")
    assert (verdict.value, verdict.test.num_pairs) == ("worse", 7)
    assert comparison.arms[1].num_without_metric == 1
    assert comparison.arms[1].failed.count == 0
    assert "1 of its runs that learned and 0 of the other's have no loss" in verdict.sentence


def test_a_metric_that_no_run_has():
    verdict = verdict_on(two_arms(math.nan))
    assert verdict.value == "inconclusive"
    assert verdict.test.difference is None


def test_seeds_are_paired_by_number_not_by_order():
    shuffled = two_arms(NOISE + 0.05).sample(frac=1, random_state=0).reset_index(drop=True)
    name = "warmuplinear-w0-lr0.001"
    assert verdict_on(shuffled, name).test.num_pairs == 8
    assert verdict_on(shuffled, name).test.p_value == pytest.approx(verdict_on(two_arms(NOISE + 0.05)).test.p_value)
    apart = table(arm(SEED_EFFECT), arm(SEED_EFFECT + NOISE, 0, seed=np.arange(8) + 5))
    assert verdict_on(apart, name).test.num_pairs == 3


def test_names_that_stand_for_the_same_runs_are_one_arm():
    # 2 % and 5 % of 20 updates are both 1 update.
    same = [
        arm(SEED_EFFECT + NOISE, 1, total=20, name=name, warmup_ratio=ratio)
        for name, ratio in (("a", 0.02), ("b", 0.05))
    ]
    runs = table(arm(SEED_EFFECT, 2, total=20, name="ten", warmup_ratio=0.1), *same)
    comparison = compare(runs, metric="loss")
    assert [(summary.name, summary.aliases) for summary in comparison.arms] == [("ten", ()), ("a", ("b",))]
    assert comparison.verdict("b") is comparison.verdict("a")
    assert comparison.verdict("a").p_holm == comparison.verdict("a").test.p_value
    assert compare(runs, metric="loss", reference="b").verdict("ten").reference == "a"


def test_runs_are_the_same_by_their_run_id_where_there_is_one():
    ids = [f"run{seed}" for seed in range(8)]
    parts = [arm(SEED_EFFECT, 1, total=20, name=name, run_id=ids) for name in "ab"]
    assert len(compare(table(*parts), metric="loss").arms) == 1
    parts[1] = parts[1].assign(run_id=[f"other{seed}" for seed in range(8)])
    assert len(compare(table(*parts), metric="loss").arms) == 2


def test_runs_that_only_look_the_same_are_not_merged():
    diverged = [arm(np.full(8, math.nan), 36, name=name, status="diverged") for name in "ab"]
    assert len(compare(table(*diverged), metric="loss").arms) == 2
    schedules = [arm(SEED_EFFECT, 36, scheduler=name) for name in ("warmuplinear", "warmupcosine")]
    assert len(compare(table(*schedules), metric="loss").arms) == 2


def test_a_run_listed_twice_counts_once_and_two_different_runs_are_refused():
    once = two_arms(NOISE)
    assert verdict_on(table(once, once)).test == verdict_on(once).test
    with pytest.raises(ValueError, match="two different runs at seed 0"):
        compare(table(once, once.assign(loss=9.0)), metric="loss")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"warmup_steps": range(8)}, "more than one warmup_steps"),
        ({"status": "running"}, r"unknown status \['running'\]"),
        ({"arm": None}, "a run without arm"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        compare(arm(SEED_EFFECT).assign(**changed), metric="loss")


def test_a_missing_metric_lists_the_columns():
    with pytest.raises(ValueError, match="lacks accuracy; it has: arm, scheduler"):
        compare(arm(SEED_EFFECT), metric="accuracy")


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_has_to_be_positive(margin):
    with pytest.raises(ValueError, match="must be positive"):
        compare(arm(SEED_EFFECT), metric="loss", margin=margin)


def test_nullable_columns_are_read_like_plain_ones():
    runs = two_arms(NOISE + 0.05, failed_to_learn=[None] + [False] * 7).convert_dtypes()
    runs.loc[3, "loss"] = pd.NA
    assert verdict_on(runs).test.num_pairs == 7


def test_to_json_knows_no_nan():
    given = {"a": (np.float64(math.nan), np.int64(3)), "b": [math.inf, np.bool_(True), "x", None]}
    assert to_json(given) == {"a": [None, 3], "b": [None, True, "x", None]}
    comparison = compare(two_arms(NOISE, status=["diverged"] + ["completed"] * 7), metric="loss", margin=0.1)
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["verdicts"][0]["value"] == "reference"


# --- the smallest warmup that is as good as the best


def grid(num_seeds: int, losses=(0.2, 0.01, 0.0, 0.0), **columns) -> pd.DataFrame:
    """Warmups 0, 18, 36, 72 with the mean losses given; noise of SD 0.02."""
    rng = np.random.default_rng(num_seeds)
    parts = zip((0, 18, 36, 72), losses, strict=True)
    return table(*(arm(0.5 + loss + 0.02 * rng.normal(size=num_seeds), warmup, **columns) for warmup, loss in parts))


@pytest.mark.parametrize(("method", "num_seeds"), [("split", 12), ("split", 16), ("every_arm", 8), ("every_arm", 12)])
def test_smallest_warmup_as_good_as_the_best(method, num_seeds):
    (found,) = smallest_warmup_as_good_as_best(grid(num_seeds), metric="loss", margin=0.07, method=method)
    assert (found.warmup_steps, found.arm, found.reason) == (18, "warmuplinear-w18-lr0.001", None)
    assert "18 updates (5 %) is the smallest warmup shown to be as good as the best" in found.sentence
    assert dict(found.p_holm)["warmuplinear-w0-lr0.001"] > 0.9
    assert not set(found.seeds_to_choose) & set(found.seeds_to_test)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_best_is_chosen_on_one_half_alone():
    # On the odd seeds 72 is best, on the even ones 0: the choice must not see the even ones.
    runs = grid(12, losses=(0.0, 0.0, 0.0, 0.0))
    runs.loc[(runs["seed"] % 2 == 0) & (runs["warmup_steps"] == 0), "loss"] -= 0.3
    runs.loc[(runs["seed"] % 2 == 1) & (runs["warmup_steps"] == 72), "loss"] -= 0.3
    (found,) = smallest_warmup_as_good_as_best(runs, metric="loss", margin=0.05)
    assert found.best == "warmuplinear-w72-lr0.001"
    assert found.seeds_to_choose == (1, 3, 5, 7, 9, 11)
    assert found.warmup_steps == 0


def test_the_chosen_best_is_not_as_good_as_itself_by_default():
    # Noise picks the best; a margin far below the noise must leave the question open.
    (found,) = smallest_warmup_as_good_as_best(grid(12, losses=(0.0,) * 4), metric="loss", margin=0.002)
    assert found.best is not None
    assert found.warmup_steps is None


@pytest.mark.parametrize(
    ("runs", "question", "reason"),
    [
        (grid(12), {}, "no margin was stated"),
        (grid(8), {"margin": 0.07}, "too few of the 4 seeds"),
        (grid(5), {"margin": 0.07, "method": "every_arm"}, "too few of the 5 seeds"),
        (grid(12), {"margin": 1e-4}, "no warmup is shown to be as good"),
        (arm(SEED_EFFECT), {"margin": 0.1}, "only one warmup"),
        (grid(12, status="diverged"), {"margin": 0.1}, "nothing learned"),
        (table(grid(12), arm(np.zeros(12), 18, name="hidden")), {"margin": 0.1}, "add one called 'setting'"),
    ],
)
def test_no_smallest_warmup_has_a_reason(runs, question, reason):
    (found,) = smallest_warmup_as_good_as_best(runs, metric="loss", **question)
    assert found.warmup_steps is None
    assert reason in found.reason
    assert reason in found.sentence


@pytest.mark.parametrize("method", ["split", "every_arm"])
def test_an_arm_that_fails_more_often_is_not_as_good_whatever_its_loss(method):
    runs = grid(20, losses=(-0.3, 0.0, 0.0, 0.0))
    runs["failed_to_learn"] = (runs["warmup_steps"] == 0) & (runs["seed"] < 12)
    (found,) = smallest_warmup_as_good_as_best(runs, metric="loss", margin=0.07, method=method)
    assert found.warmup_steps == 18
    assert dict(found.p_holm)["warmuplinear-w0-lr0.001"] == 1.0


def test_each_scheduler_has_its_own_smallest_warmup():
    runs = table(grid(8), grid(8, scheduler="warmupcosine", losses=(0.0, 0.0, 0.0, 0.0)))
    found = smallest_warmup_as_good_as_best(runs, metric="loss", margin=0.07, method="every_arm")
    assert [answer.warmup_steps for answer in found] == [18, 0]
    assert {answer.arms[0].split("-")[0] for answer in found} == {"warmuplinear", "warmupcosine"}


# --- each arm at its own best lr


def lr_sweep(effects: dict[tuple[int, float], float], num_seeds: int = 8) -> pd.DataFrame:
    """Mean loss by (warmup, lr); noise of SD 0.01."""
    rng = np.random.default_rng(0)
    parts = [arm(0.5 + e + 0.01 * rng.normal(size=num_seeds), w, lr=lr) for (w, lr), e in effects.items()]
    return table(*parts)


WARMUP_BUYS_LR = {(0, 1e-3): 0.2, (0, 3e-3): 0.6, (36, 1e-3): 0.2, (36, 3e-3): 0.0}


def test_own_best_lr_shows_what_a_fixed_one_does_not():
    runs = lr_sweep(WARMUP_BUYS_LR)
    fixed = compare(runs, metric="loss")
    assert fixed.verdict("warmuplinear-w0-lr0.001").value == "inconclusive"
    own = compare_at_own_best_lr(runs, metric="loss")
    assert own.comparison.verdict("warmuplinear-w0").value == "worse"
    assert own.comparison.verdict("warmuplinear-w0").test.difference == pytest.approx(0.2, abs=0.02)
    assert {choice.arm: choice.chosen for choice in own.choices} == {
        "warmuplinear-w0": (1e-3, 1e-3),
        "warmuplinear-w36": (3e-3, 3e-3),
    }
    assert own.comparison.headline.startswith("With every warmup at its own best lr: 10 % warmup is better")
    json.dumps(own.to_dict(), allow_nan=False)


def test_the_lr_of_a_seed_is_chosen_on_the_other_half():
    runs = lr_sweep({(0, 1e-3): 0.0, (0, 3e-3): 0.0, (36, 1e-3): 0.0})
    low, odd, cold = runs["lr"] == 1e-3, runs["seed"] % 2 == 1, runs["warmup_steps"] == 0
    runs.loc[cold & (low == odd), "loss"] -= 0.3  # the small lr is better at odd seeds, the large one at even ones
    own = compare_at_own_best_lr(runs, metric="loss")
    assert own.halves == ((1, 3, 5, 7), (0, 2, 4, 6))
    assert own.choices[0].chosen == (1e-3, 3e-3)
    # So each seed gets the lr that is worse for it, and no seed helped choose its own.
    assert own.comparison.arms[0].mean == pytest.approx(0.5, abs=0.02)


def test_a_verdict_that_hangs_on_the_choice_of_lr_is_withdrawn():
    runs = lr_sweep({(0, 1e-3): 0.0, (0, 3e-3): 0.0, (36, 1e-3): -0.1})
    low, odd, cold = runs["lr"] == 1e-3, runs["seed"] % 2 == 1, runs["warmup_steps"] == 0
    runs.loc[cold & (low == odd), "loss"] -= 0.3
    verdict = compare_at_own_best_lr(runs, metric="loss").comparison.verdict("warmuplinear-w0")
    assert verdict.p_holm < 0.05
    assert verdict.value == "inconclusive"
    assert "which half of the seeds chooses the lr" in verdict.reason


def test_the_edge_of_the_lr_grid_is_told():
    effects = {(36, 3e-4): 0.2, (36, 1e-3): 0.0, (36, 3e-3): 0.1, (0, 3e-4): 0.0, (0, 1e-3): 0.2, (0, 3e-3): 0.3}
    choices = compare_at_own_best_lr(lr_sweep(effects), metric="loss").choices
    assert {choice.arm: choice.at_edge for choice in choices} == {"warmuplinear-w36": False, "warmuplinear-w0": True}


def test_the_lr_may_be_chosen_by_another_metric():
    runs = lr_sweep(WARMUP_BUYS_LR).assign(roughness=lambda frame: frame["lr"] * (1 + frame["loss"]))
    by_itself = compare_at_own_best_lr(runs, metric="roughness")
    by_loss = compare_at_own_best_lr(runs, metric="roughness", choose_by="loss")
    assert {choice.chosen[0] for choice in by_itself.choices} == {1e-3}
    assert {choice.chosen[0] for choice in by_loss.choices} == {1e-3, 3e-3}
    by_accuracy = compare_at_own_best_lr(
        runs.assign(accuracy=-runs["loss"]), metric="roughness", choose_by="accuracy", choose_smaller_is_better=False
    )
    assert by_accuracy.choices == by_loss.choices


def test_an_lr_that_fails_is_not_the_best_lr():
    runs = lr_sweep(WARMUP_BUYS_LR)
    runs.loc[(runs["lr"] == 3e-3) & (runs["seed"].isin([0, 1])), "status"] = "diverged"
    assert {choice.chosen for choice in compare_at_own_best_lr(runs, metric="loss").choices} == {(1e-3, 1e-3)}


def test_own_best_lr_of_one_seed_says_nothing():
    own = compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR, num_seeds=1), metric="loss")
    assert "Nothing can be said" in own.comparison.headline
    assert own.choices[0].chosen[0] is None
    stated = compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR, num_seeds=1), metric="loss", reference="warmuplinear-w0")
    assert "Nothing can be said" in stated.comparison.headline


def test_own_best_lr_takes_a_reference_by_the_name_of_the_family():
    own = compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR), metric="loss", reference="warmuplinear-w0")
    assert own.comparison.verdict("warmuplinear-w36").value == "better"
    assert "warmuplinear-w0 is not the best choice here (warmuplinear-w36)" in own.comparison.headline
    with pytest.raises(ValueError, match="the arms are: warmuplinear-w0, warmuplinear-w36"):
        compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR), metric="loss", reference="warmuplinear-w0-lr0.001")


def test_arms_of_equal_lr_in_one_family_are_refused():
    runs = table(lr_sweep(WARMUP_BUYS_LR), arm(SEED_EFFECT, 36, name="hidden"))
    with pytest.raises(ValueError, match=r"no column tells warmuplinear-w36-lr0\.001 from hidden"):
        compare_at_own_best_lr(runs, metric="loss")


def test_families_are_named_in_full_where_the_short_name_is_shared():
    runs = table(*(lr_sweep(WARMUP_BUYS_LR).assign(task=task) for task in ("rte", "trec")))
    runs["arm"] = runs["task"] + "-" + runs["arm"]
    runs.loc[runs["task"] == "trec", "loss"] += 0.1
    names = {choice.arm for choice in compare_at_own_best_lr(runs, metric="loss").choices}
    assert "warmuplinear-w0 of 360 rte" in names
    assert len(names) == 4


# --- how often the verdicts are wrong: the short form of benchmarks/null_test.py


NUM_SWEEPS = 200


def num_sweeps_with(name: str, sweeps: int) -> int:
    """In how many simulated sweeps the event of the benchmark's row `name` happens."""
    (row,) = [row for row in NULL_TEST["rows"]() if row.name == name]
    return round(NULL_TEST["measure"](row, sweeps=sweeps, seed=1)["share"] * sweeps)


@pytest.mark.parametrize(
    "name",
    ["all the same, normal: any better or worse", "all the same, skewed: any better or worse"],
)
def test_arms_that_are_the_same_are_rarely_called_different(name):
    # At a true rate of 5 % one seed in a thousand would exceed this quantile.
    assert num_sweeps_with(name, NUM_SWEEPS) <= stats.binom.ppf(0.999, NUM_SWEEPS, 0.05)


@pytest.mark.parametrize("name", ["one worse by 2 SD, normal: found", "one worse by 2 SD, skewed: found"])
def test_a_difference_of_two_standard_deviations_is_found(name):
    # Holm's first step over 7 arms with 8 pairs has power 0.924 by the noncentral t; 0.88 is what is asked.
    assert stats.nct.sf(stats.t.isf(0.025 / 7, 7), 7, 2 * 8**0.5) == pytest.approx(0.924, abs=1e-3)
    assert num_sweeps_with(name, NUM_SWEEPS) >= stats.binom.ppf(0.001, NUM_SWEEPS, 0.88)


def test_choosing_the_lr_on_the_same_sweep_raises_no_false_alarm():
    assert num_sweeps_with("own lr, best by 0.7 SD, normal: any", 80) <= stats.binom.ppf(0.999, 80, 0.05)


def test_fewer_pairs_than_needed_are_never_tested():
    assert MIN_PAIRS == 6
    assert paired_test(NOISE[:5], NOISE[:5] + 9).p_value is None
    assert paired_test(NOISE[:0], NOISE[:0]).difference is None


def test_read_runs_keeps_what_it_is_given():
    runs = two_arms(NOISE)
    before = runs.copy()
    read_runs(runs, "loss")
    pd.testing.assert_frame_equal(runs, before)
