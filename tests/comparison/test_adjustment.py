"""p-values adjusted over planned looks and over families, on made-up tables of runs."""

import math

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, failing, lr_line, table, two_arms, verdict_on
from scipy import stats
from scipy.optimize import brentq

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.sequential import nominal_levels
from warmup_lab.comparison.verdicts import Question

LOOKS = (6, 12, 24)
FIRST_SPENT = math.log(1 + (math.e - 1) / 4)
"""Share of the error that the first look may use: Pocock-type spending at 6 of 24 seeds."""
COLD, TENTH, LONG = (f"warmuplinear-w{warmup}-lr0.001" for warmup in (0, 36, 72))


def shaped(losses, shape, name=None, **columns):
    """An arm whose warmup has that shape."""
    return arm(losses, name=name or shape, **columns).assign(warmup=shape)


def pair(change, **columns):
    """A linear warmup and one of another shape, which differs by `change`: no trend shares the error."""
    num_seeds = len(change)
    base = np.resize(SEED_EFFECT, num_seeds)
    return table(shaped(base, "linear"), shaped(base + change, "sqrt", "other", **columns))


def judged(runs, name="other", **question):
    return compare(runs, Question("eval_loss", looks=LOOKS, **question)).verdict(name)


def total_error(p: float, look: int) -> float:
    """The total error at which a look has `p` as its boundary, up to 0.9."""
    if p >= nominal_levels(0.9, LOOKS)[look]:
        return 1.0
    return brentq(lambda alpha: nominal_levels(alpha, LOOKS)[look] - p, 1e-9, 0.9)


# ------------------------------------------------------------------------------------------------- looks


@pytest.mark.parametrize("runs", [two_arms(NOISE + 0.05), table(failing(8, 8), failing(8, 8, 0))])
def test_before_the_first_look_nothing_is_judged(runs):
    found = compare(runs[runs["seed"] < 5], Question("eval_loss", margin=0.1, looks=LOOKS))
    verdict = found.verdict(COLD)
    assert (verdict.value, verdict.reason) == ("inconclusive", "the first test is planned at 6 seeds")
    assert (verdict.p_holm, verdict.p_failed_holm, verdict.test.num_pairs) == (None, None, 0)
    assert (found.trends, found.lr_lines, found.looks, found.look) == ((), (), LOOKS, 0)
    assert found.headline == "Undecided: the first test is planned at 6 seeds."
    assert found.arms[0].num_runs == 5


def test_at_the_first_look_p_is_divided_by_the_share_of_the_error_that_may_be_spent():
    change = NOISE[:6] + 0.02
    verdict = judged(pair(change), margin=0.05)
    assert verdict.p_holm == pytest.approx(stats.ttest_1samp(change, 0).pvalue / FIRST_SPENT, rel=0.003)
    tost = stats.ttest_1samp(change, 0.05, alternative="less").pvalue
    assert verdict.p_equivalent_holm == pytest.approx(tost / FIRST_SPENT, rel=0.003)


def test_a_difference_may_be_shown_by_a_fixed_design_and_not_at_the_first_look():
    """t = 0.016 / (SD / sqrt(6)) gives p between 0.05 * 0.357 and 0.05."""
    change = NOISE[:6] + 0.016
    assert 0.05 * FIRST_SPENT < stats.ttest_1samp(change, 0).pvalue < 0.05
    assert compare(pair(change), Question("eval_loss")).verdict("other").value == "worse"
    assert judged(pair(change)).value == "inconclusive"


def test_between_two_looks_the_runs_of_the_last_look_are_judged():
    runs = pair(np.resize(NOISE, 11) + 0.05)
    found = compare(runs, Question("eval_loss", looks=LOOKS))
    assert found.look == 6
    assert found.verdict("other") == judged(runs[runs["seed"] < 6])
    assert [one.num_runs for one in found.arms] == [6, 6]


def test_a_later_look_has_the_smallest_p_of_all_looks():
    """Each change has noise of mean 0 over 12 seeds, on top of a difference at the first or the last six seeds."""
    for early, late in ((0.05, 0.0), (0.012, 0.012), (0.0, 0.05)):
        change = np.resize(NOISE, 12) + np.repeat([early, late], 6)
        p_values = [stats.ttest_1samp(change[:look], 0).pvalue for look in (6, 12)]
        expected = min(total_error(p, look) for look, p in enumerate(p_values))
        assert judged(pair(change)).p_holm == pytest.approx(expected, rel=0.003)


def test_what_was_shown_at_the_first_look_stays_shown():
    """The difference of the first six seeds turns around at the next six."""
    change = np.resize(NOISE, 12) + np.repeat([0.1, -0.08], 6)
    first = judged(pair(change[:6]))
    second = judged(pair(change))
    assert first.value == second.value == "worse"
    assert second.p_holm <= first.p_holm < 0.05
    assert stats.ttest_1samp(change, 0).pvalue > 0.05


# ------------------------------------------------------------------------------- arms that were decided


def stopped(change, *, reference_fails_later=False):
    """12 seeds of the reference and of an undecided arm, and 6 of an arm that was decided at the first look."""
    base, late = np.resize(SEED_EFFECT, 12), np.arange(12) >= 6
    undecided = shaped(base + 4 * np.resize(NOISE, 12), "cosine", "undecided")
    reference = shaped(base, "linear", failed_to_learn=late & reference_fails_later)
    return table(reference, undecided, shaped(base[:6] + change, "sqrt", "other"))


@pytest.mark.parametrize("reference_fails_later", [False, True])
@pytest.mark.parametrize(("change", "value"), [(NOISE[:6] + 0.1, "worse"), (NOISE[:6] / 5, "equivalent")])
def test_an_arm_that_stopped_keeps_its_verdict(change, value, reference_fails_later):
    runs = stopped(change, reference_fails_later=reference_fails_later)
    first, second = (judged(runs[runs["seed"] < look], margin=0.05) for look in (6, 12))
    assert first.value == second.value == value
    assert second.test == first.test
    assert second.excess_failures == first.excess_failures
    assert second.p_holm == pytest.approx(first.p_holm)


def test_the_other_arms_go_on():
    verdict = judged(stopped(NOISE[:6] + 0.1), "undecided", margin=0.05)
    assert verdict.test.num_pairs == 12


def test_a_trend_uses_the_looks_for_which_all_arms_have_runs():
    base = np.resize(SEED_EFFECT, 12)
    arms = [arm(base + warmup * 1e-3 + np.roll(np.resize(NOISE, 12), warmup), warmup) for warmup in (0, 36, 72)]
    whole, cut = table(*arms), table(arms[0][:6], *arms[1:])
    question = Question("eval_loss", looks=LOOKS)
    assert compare(cut, question).trends == compare(whole[whole["seed"] < 6], question).trends
    assert compare(whole, question).trend("metric").num_seeds == 12


# ---------------------------------------------------------------------------------------------- families


def test_failures_that_could_not_differ_at_the_first_look_are_never_tested():
    """No run of the first six seeds failed, all of the last six do; testing them after all would grow the family."""
    failed = np.arange(12) >= 6
    verdict = judged(pair(np.resize(NOISE, 12), failed_to_learn=failed), margin=0.3)
    assert verdict.p_failed_holm is None
    assert verdict.value == "inconclusive"
    assert "failures are undecided (6 of 12 against 0 of 12)" in verdict.reason


def test_failures_that_could_differ_at_the_first_look_are_tested_at_every_look():
    failed = np.arange(12) % 6 != 0  # 5 of 6, then 10 of 12
    p_values = [stats.boschloo_exact([[count, 0], [look - count, look]]).pvalue for look, count in ((6, 5), (12, 10))]
    one = min(total_error(p, look) for look, p in enumerate(p_values))
    verdict = judged(pair(np.resize(NOISE, 12) * 20, failed_to_learn=failed))
    assert verdict.p_failed_holm == pytest.approx(2 * one, rel=0.003), "two tests, of which this has the smaller p"


def test_a_pair_with_too_few_runs_at_the_first_look_waits():
    """A run ended in an error, so the first look has five pairs and no test; the second has eleven."""
    change = np.resize(NOISE, 12) + 0.05
    runs = pair(change, status=["error"] + ["completed"] * 11)
    first, second = (judged(runs[runs["seed"] < look], margin=0.1) for look in (6, 12))
    assert (first.value, first.p_holm, first.p_equivalent_holm) == ("inconclusive", 1.0, 1.0)
    expected = total_error(stats.ttest_1samp(change[1:], 0).pvalue, 1)
    assert second.p_holm == pytest.approx(expected, rel=0.003)


def test_without_planned_looks_an_untestable_pair_leaves_the_family():
    """Two arms; one has five pairs. The other's p is not multiplied by the number of arms."""
    base = SEED_EFFECT[:6]
    short = shaped(base + NOISE[:6], "cosine", "short", status=["error"] + ["completed"] * 5)
    runs = table(pair(NOISE[:6] + 0.05), short)
    found = compare(runs, Question("eval_loss"))
    assert found.verdict("short").p_holm is None
    assert found.verdict("other").p_holm == pytest.approx(stats.ttest_1samp(NOISE[:6] + 0.05, 0).pvalue)


def test_lr50_is_tested_at_every_look():
    """Two settings with log2 ratios of 0 and 1, 0 and 2 in turn. There is nothing else to test."""
    lrs = [1e-3 * 2**step for step in range(5)]
    first, second = lr_line([2] * 12, lrs, setting="a"), lr_line([2, 3, 2, 4] * 3, lrs, setting="b")
    runs = table(first, second.assign(arm=second["arm"] + " b"))
    found = compare(runs, Question("eval_loss", looks=LOOKS))
    line = next(line for line in found.lr_lines if line.ratio)
    p_values = [stats.ttest_1samp(np.resize([0, 1, 0, 2], look), 0).pvalue for look in (6, 12)]
    assert (line.differs_in, line.ratio.num_seeds) == ("setting", 12)
    assert line.ratio.p_value == pytest.approx(p_values[1])
    expected = min(total_error(p, look) for look, p in enumerate(p_values))
    assert line.p_adjusted == pytest.approx(expected, rel=0.003)


def test_equivalence_is_adjusted_by_holm_over_all_pairs():
    base = SEED_EFFECT
    changes = {"a": NOISE, "b": NOISE[::-1] + 0.012}
    runs = table(
        shaped(base, "linear"), shaped(base + changes["a"], "sqrt", "a"), shaped(base + changes["b"], "cosine", "b")
    )
    p_values = {
        name: max(
            stats.ttest_1samp(change, -0.03, alternative="greater").pvalue,
            stats.ttest_1samp(change, 0.03, alternative="less").pvalue,
        )
        for name, change in changes.items()
    }
    assert verdict_on(runs, "a", margin=0.03).p_equivalent_holm == pytest.approx(2 * p_values["a"])
    assert verdict_on(runs, "b", margin=0.03).p_equivalent_holm == pytest.approx(p_values["b"])


def test_a_trend_with_too_few_seeds_at_the_first_look_waits():
    """A run ended in an error. Slopes by hand: the rank of 10 % minus that of 0 % is 1, so each seed has a half.

    The trend of failures waits too, so Holm counts two trends.
    """
    base, change = np.resize(SEED_EFFECT, 12), np.where(np.arange(12) == 5, -0.1, 0.1)
    runs = table(arm(base, 0), arm(base + change, 36, status=["error"] + ["completed"] * 11))
    question = Question("eval_loss", looks=LOOKS)
    assert compare(runs[runs["seed"] < 6], question).trends == ()
    (trend,) = compare(runs, question).trends
    assert trend.num_seeds == 11
    own = stats.ttest_1samp([0.5] * 10 + [-0.5], 0).pvalue
    exact = stats.binomtest(1, 11).pvalue
    assert trend.p_value == pytest.approx(max(own, exact))
    pair_p = stats.ttest_1samp(change[1:], 0).pvalue
    one, other = (total_error(p, 1) for p in (max(own, exact), pair_p))
    assert trend.p_adjusted == pytest.approx(min(2 * 2 * one, max(2 * one, 2 * other)), rel=0.003)


def test_lr50_with_too_few_seeds_at_the_first_look_waits():
    lrs = [1e-3 * 2**step for step in range(5)]
    first, second = lr_line([2] * 12, lrs, setting="a"), lr_line([2, 3, 2, 4] * 3, lrs, setting="b")
    second = second.assign(arm=second["arm"] + " b")
    second.loc[(second["seed"] == 0) & (second["lr"] == lrs[0]), "status"] = "error"
    runs, question = table(first, second), Question("eval_loss", looks=LOOKS)
    line = next(line for line in compare(runs, question).lr_lines if line.ratio)
    assert line.ratio.num_seeds == 11
    expected = total_error(stats.ttest_1samp(np.resize([0, 1, 0, 2], 12)[1:], 0).pvalue, 1)
    assert line.p_adjusted == pytest.approx(expected, rel=0.003)


def test_intervals_at_looks_are_those_of_the_level_of_the_look():
    """At the second look of 12 seeds the level is 0.0179: t(11) = 2.781, one-sided 2.397."""
    change = np.resize(NOISE[:6], 12) + 0.005
    test = judged(pair(change), margin=0.05).test
    level, error = nominal_levels(0.05, LOOKS)[1], change.std(ddof=1) / math.sqrt(12)
    for interval, side in ((test.interval_95, level / 2), (test.interval_90, level)):
        half = stats.t.isf(side, 11) * error
        assert interval == pytest.approx((change.mean() - half, change.mean() + half))
    assert stats.t.isf(level / 2, 11) == pytest.approx(2.781, abs=2e-3)


def test_the_path_of_a_test_has_its_p_value_at_each_look_and_ends_at_the_verdict():
    change = np.resize(NOISE, 12) + 0.02
    found = compare(pair(change), Question("eval_loss", looks=LOOKS))
    (path,) = [one for one in found.path if one.name == "other"]
    own = [stats.ttest_1samp(change[:seeds], 0).pvalue for seeds in (6, 12)]
    assert path.p_values == pytest.approx(own)
    assert path.p_adjusted[-1] == found.verdict("other").p_holm
    assert path.p_adjusted[0] == pytest.approx(total_error(own[0], 0), rel=0.01)


def test_without_planned_looks_there_is_no_path():
    assert compare(pair(np.resize(NOISE, 12)), Question("eval_loss")).path == ()
