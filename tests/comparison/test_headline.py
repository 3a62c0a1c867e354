"""The headline on made-up sweeps: what to do, with its numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, NOISE, SEED_EFFECT, arm, failing, lr_line, table, two_arms
from scipy import stats
from statsmodels.stats.power import TTestPower

from warmup_lab.comparison.headline import fewest_failures, headline
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.statistics import wilson
from warmup_lab.comparison.verdicts import Level, Question

LENGTHS = (0, 8, 36, 108)
"""0, 2.2, 10 and 30 % of 360 updates."""


def headline_of(runs, metric="eval_loss", **question):
    return compare(runs, Question(metric, **question)).headline


def failing_sweep(*counts, lengths=LENGTHS):
    """Of 12 runs with each length, from two schedulers and six seeds, so many fail; the seeds at random."""
    rng = np.random.default_rng(0)
    parts = []
    for warmup, count in zip(lengths, counts, strict=True):
        failed = np.zeros(12, dtype=bool)
        failed[rng.permutation(12)[:count]] = True
        for scheduler, own in zip(("warmuplinear", "warmupcosine"), failed.reshape(2, 6), strict=True):
            losses = np.where(own, GUESS_LOSS, SEED_EFFECT[:6] + np.roll(NOISE[:6], warmup))
            parts.append(arm(losses, warmup, scheduler=scheduler, failed_to_learn=own))
    return table(*parts)


# ------------------------------------------------------------------------------------- trends of failures


def test_eleven_six_two_and_none_of_twelve_runs_failed():
    """The shortest warmup that does not fail more often than the best, by Boschloo's test, is 10 %."""
    comparison = compare(failing_sweep(11, 6, 2, 0), Question("eval_loss", margin=0.05))
    assert stats.boschloo_exact([[6, 0], [6, 12]]).pvalue < 0.05 < stats.boschloo_exact([[2, 0], [10, 12]]).pvalue
    assert comparison.headline.startswith(
        "Use about 10 % warmup. With no warmup 11 of 12 runs failed to learn, with 10 % 2 of 12, with 30 % none "
        "(trend p = "
    )
    assert comparison.trend("failures").p_adjusted < 0.05
    assert comparison.trend("failures").num_strata == 2


def test_failures_that_grow_with_the_warmup():
    found = headline_of(failing_sweep(0, 2, 6, 11))
    assert found.startswith(
        "Use no warmup. With no warmup 0 of 12 runs failed to learn, with 30 % 11 of 12 (trend p = "
    )


def test_of_the_lengths_that_do_not_fail_more_the_one_with_the_better_metric():
    """10 % and 30 % fail alike, but the loss of 30 % is lower at every seed by more than the margin."""
    runs = failing_sweep(11, 6, 2, 0)
    runs.loc[runs["warmup_steps"] == 108, "eval_loss"] -= 0.3
    found = headline_of(runs, margin=0.05)
    assert found.startswith("Use about 30 % warmup. With no warmup 11 of 12 runs failed to learn, with 30 % none")


def test_where_most_runs_fail_with_any_warmup_unstable_ones_need_a_smaller_learning_rate():
    found = headline_of(failing_sweep(12, 12, 8, 7).assign(failure_kind="unstable"))
    assert found.startswith(
        "Lower the learning rate: most runs fail with any warmup tried, and all 39 failed runs were unstable. With no "
        "warmup 12 of 12"
    )


def levels(*counts):
    return [Level(10.0 * row, wilson(count, 12), None) for row, count in enumerate(counts)]


@pytest.mark.parametrize(
    ("counts", "row"),
    [((11, 6, 2, 0), 2), ((12, 12, 12, 0), 3), ((0, 0, 0, 12), 0), ((3, 3, 3, 3), 0), ((11, 0, 0, 5), 1)],
)
def test_the_shortest_warmup_that_does_not_fail_more_often(counts, row):
    assert fewest_failures(levels(*counts), 0.2)[0].warmup_percent == 10 * row


# ----------------------------------------------------------------------------------------- trends of lr50

FACTOR_2 = (7e-4, 1.4e-3, 2.8e-3, 5.6e-3)


def test_a_warmup_that_raises_the_usable_learning_rate():
    """lr50 half a step above the last lr that learned: 9.9e-4, 2.0e-3 and 2.0e-3 for 0, 10 and 30 %."""
    runs = table(*(lr_line([limit] * 7, FACTOR_2, w) for limit, w in ((1, 0), (2, 36), (2, 108))))
    found = headline_of(runs)
    assert found.startswith(
        "Use about 10 % warmup: a longer warmup raises the usable learning rate. Half of the runs fail at lr 0.00099 "
        "with no warmup, at 0.002 with 10 %, at 0.002 with 30 % (trend p = "
    )
    assert "The usable learning rate with no warmup is 0.50 [0.25, 1.00] times that with 10 % warmup (p = " in found


def with_setting(runs, setting):
    return runs.assign(setting=setting, arm=runs["arm"] + " " + setting)


def bias_correction(num_seeds):
    """Without it every run fails from 1.4e-3 on, with it from 5.6e-3 on; at 7e-4 a warmup saves three runs of five."""
    cold = np.where(np.arange(num_seeds) % 5 < 2, 1, 0)
    return table(
        with_setting(lr_line([3] * num_seeds, FACTOR_2, 0), "bias_correction=true"),
        with_setting(lr_line([3] * num_seeds, FACTOR_2, 36), "bias_correction=true"),
        with_setting(lr_line(cold, FACTOR_2, 0), "bias_correction=false"),
        with_setting(lr_line([1] * num_seeds, FACTOR_2, 36), "bias_correction=false"),
    )


def test_bias_correction_allows_four_times_the_learning_rate_at_five_seeds():
    """Five seeds are too few for a test, but the interval excludes 1. lr50: 7e-4 sqrt(2) and 2.8e-3 sqrt(2)."""
    found = headline_of(bias_correction(5), margin=0.02)
    assert "bias_correction=true is 4 times that of " in found
    assert "half of the runs fail at lr 0.004 against 0.00099 (ratio 4.00 [2.00, 8.00])" in found
    assert found.endswith("An estimate: 5 seeds, and a test needs 6.")


def test_with_enough_seeds_the_ratio_has_a_p_value():
    found = headline_of(bias_correction(10), margin=0.02)
    assert "is 4 times that of" in found
    assert "(ratio 4.00 [2.00, 8.00], p = " in found
    assert "An estimate" not in found


def test_a_bound_is_that_of_the_larger_lr50_over_the_smaller():
    """The second setting fails everywhere, so its lr50 may be smaller and the ratio of the first to it larger."""
    runs = table(*(with_setting(lr_line([n] * 6, FACTOR_2, 36), name) for n, name in ((3, "first"), (0, "second"))))
    found = headline_of(runs)
    assert "first is at least 8 times that of" in found
    assert "(ratio at least 8.00 [4.00, 16.00], p = " in found


def test_settings_of_equal_lr50_are_not_a_headline():
    runs = table(*(with_setting(lr_line([2, 1, 2, 3, 2, 2], FACTOR_2, 36), name) for name in ("first", "second")))
    assert "usable learning rate" not in headline_of(runs)


# ------------------------------------------------------------------------------------ trends of the metric


def falling(change_of_length, **columns):
    """Losses that change with the length of the warmup by so much, six seeds and four lengths."""
    lengths = zip(LENGTHS, change_of_length, strict=True)
    return table(
        *(arm(SEED_EFFECT + np.roll(NOISE, row) + change, w, **columns) for row, (w, change) in enumerate(lengths))
    )


def test_a_loss_that_falls_with_the_warmup():
    runs = falling((0.0, -0.1, -0.2, -0.3))
    means = [SEED_EFFECT.mean() + change for change in (0.0, -0.3)]
    found = headline_of(runs)
    assert found.startswith(
        f"Use about 30 % warmup. eval_loss is {means[0]:.3g} with no warmup, {means[1]:.3g} with 30 % (trend p = "
    )


def test_the_shortest_warmup_within_the_margin_is_recommended():
    runs = falling((0.0, -0.1, -0.28, -0.3))
    assert headline_of(runs, margin=0.05).startswith("Use about 10 % warmup. eval_loss is 0.529 with no warmup, ")
    assert headline_of(runs, margin=0.25).startswith("Use about 2.2 % warmup.")
    assert headline_of(runs).startswith("Use about 30 % warmup.")


def test_a_trend_within_the_margin_is_called_small():
    """All means lie within 0.3, so a margin of 0.31 covers them, and one of 0.29 does not."""
    runs = falling((0.0, -0.1, -0.28, -0.3))
    small = " The means differ by 0.3 at most, less than the margin of 0.31: the effect is small."
    assert headline_of(runs, margin=0.31).endswith(small)
    assert "small" not in headline_of(runs, margin=0.29)
    assert "small" not in headline_of(runs)


def test_a_score_that_rises_with_the_warmup():
    runs = falling((0.0, -0.1, -0.2, -0.3)).assign(eval_accuracy=lambda frame: 1 - frame["eval_loss"])
    found = headline_of(runs, "eval_accuracy", smaller_is_better=False, margin=0.15)
    assert found.startswith(
        "Use about 10 % warmup. eval_accuracy is 0.471 with no warmup, 0.671 with 10 %, 0.771 with "
    )


def test_a_metric_without_a_mean_over_all_seeds_has_its_direction():
    runs = falling((0.0, -0.1, -0.2, -0.3)).rename(columns={"eval_loss": "whole/roughness"})
    assert headline_of(runs, "whole/roughness").startswith("A longer warmup improves whole/roughness (trend p = ")


# -------------------------------------------------------------------------------------------------- pairs


def pairs_headline(changes, **question):
    """Six seeds and lengths of 10, 13.9, 14.2 ... %: with `question`, the headline of pairs, whatever the trends."""
    others = [arm(SEED_EFFECT + change, 50 + row) for row, change in enumerate(changes)]
    return headline(replace(compare(table(arm(SEED_EFFECT), *others), Question("eval_loss", **question)), trends=()))


def test_an_arm_that_is_better_than_the_reference():
    """Mean -0.05, t(7) interval at 95 %."""
    low, high = stats.t.interval(0.95, 7, -0.05, stats.sem(NOISE))
    assert pairs_headline([NOISE - 0.05, NOISE]).startswith(
        "10 % warmup is not the best choice: 50 updates of warmup is better than 36 updates of warmup (eval_loss -0.05 "
        f"[{low:+.3g}, {high:+.3g}], p = "
    )


def test_further_arms_that_are_better_are_named():
    found = pairs_headline([np.roll(NOISE, row) - 0.1 for row in range(5)])
    assert found.endswith(
        " The same holds for 51 updates of warmup, 52 updates of warmup, 53 updates of warmup and others."
    )


def test_a_reference_that_is_better_than_every_arm():
    found = pairs_headline([NOISE + 0.05, NOISE + 0.06])
    assert found.startswith(
        "Use 10 % warmup: everything else is worse. 50 updates of warmup is worse than 36 updates of warmup (eval_loss "
    )


def test_a_reference_that_is_as_good_as_every_arm_states_which_failure_rates_are_excluded():
    """0 of 8 against 0 of 8: 1 - 0.05^(1 / 8) = 31.2 %."""
    assert pairs_headline([NOISE, NOISE[::-1]], margin=0.05) == (
        "10 % warmup is as good as everything else that was tried: eval_loss differs by less than 0.05. None of 24 "
        "runs failed, which excludes a failure rate more than 31 percentage points higher."
    )


def test_some_arms_are_worse_and_the_rest_is_not_known():
    found = pairs_headline([NOISE + 0.05, NOISE], margin=0.005)
    assert found.startswith(
        "Nothing else is shown to be better than 10 % warmup: 50 updates of warmup is worse than 36 updates of warmup"
    )
    assert " The eval_loss of 1 others may differ" not in found
    assert " The eval_loss of 51 updates of warmup may differ from that of 10 % warmup by -" in found


def test_an_undecided_headline_names_the_seeds_that_would_decide():
    """Differences of SD 0.0146, a margin of 0.012, two arms in one of two families: 1.25 %. Power by statsmodels."""
    spread = NOISE.std(ddof=1)
    needed = TTestPower().solve_power(0.012 / spread, alpha=0.0125, power=0.8)
    ends = stats.t.interval(0.95, 7, 0, stats.sem(NOISE))
    assert pairs_headline([NOISE, NOISE[::-1]], margin=0.012) == (
        "Undecided: 8 seeds do not show which of 3 warmup lengths is best. The eval_loss of the others may differ from "
        f"that of 10 % warmup by {ends[0]:+.2g} to {ends[1]:+.2g}. About {math.ceil(needed)} new "
        "seeds would show a difference of 0.012 in eval_loss (80 % power)."
    )


def test_without_a_margin_the_headline_says_what_12_seeds_would_show():
    effect = NOISE.std(ddof=1) * TTestPower().solve_power(nobs=12, alpha=0.0125, power=0.8)
    found = pairs_headline([NOISE, NOISE[::-1]])
    assert "compare.margin" not in found
    shown = float(found.partition("a difference of ")[2].partition(" ")[0])
    assert effect <= shown < 1.1 * effect
    assert found.endswith(f"About 12 new seeds would show a difference of {shown:g} in eval_loss (80 % power).")


def test_a_metric_that_is_compared_by_ranks_asks_for_no_margin():
    """Equivalence cannot be tested there, so a margin would not help."""
    runs = two_arms(NOISE).rename(columns={"eval_loss": "updates_to_target"})
    assert headline_of(runs, "updates_to_target") == (
        "Undecided: 8 seeds do not show whether no warmup or 10 % warmup is better. The updates_to_target of no warmup "
        "may differ from that of 10 % warmup by -0.012 to +0.012 where both learned."
    )


def test_lengths_that_are_as_good_are_counted_beside_those_that_are_open():
    found = pairs_headline([NOISE / 10, NOISE], margin=0.008)
    assert "Undecided: 8 seeds do not show which of 3 warmup lengths is best. 1 of 2 is as good as 10 % warmup" in found
    assert "The eval_loss of 51 updates of warmup may differ" in found


def test_every_headline_can_be_read_without_the_docs():
    jargon = ("arm", "inconclusive", "confirmed", "refuted", "lr50", "failure margin", "compare.")
    changes = ([NOISE, NOISE[::-1]], [NOISE - 0.05, NOISE], [NOISE + 0.05, NOISE + 0.06], [NOISE + 0.05, NOISE])
    headlines = [pairs_headline(change, margin=margin) for change in changes for margin in (None, 0.012, 0.1)]
    headlines.append(headline_of(table(*(lr_line([n] * 7, FACTOR_2, w) for n, w in ((1, 0), (2, 36), (2, 108))))))
    headlines += [headline_of(failing_sweep(*counts)) for counts in ((11, 6, 2, 0), (12, 12, 12, 12), (3, 2, 3, 2))]
    for text in headlines:
        words = text.replace("warm", "")
        assert not [word for word in jargon if word in words], text


def test_few_seeds_are_the_reason():
    runs = two_arms(NOISE)
    assert headline_of(runs[runs["seed"] < 4]) == "Undecided: 4 seeds, and a test needs 6."


def test_where_every_arm_fails_and_it_is_not_known_why():
    assert headline_of(table(failing(8, 8), failing(7, 8, 0))) == (
        "Train for more updates, or try other learning rates: most runs failed to learn with every combination tried, "
        "and why they failed is not known."
    )


def test_a_stated_reference_is_named():
    found = headline_of(two_arms(NOISE), margin=0.05, reference="warmuplinear-w0-lr0.001")
    assert found.startswith("warmuplinear-w0-lr0.001 is as good as everything else that was tried: ")


def test_an_arm_that_fails_less_often_than_the_reference():
    runs = table(failing(8, 12), failing(0, 12, 36, name="other", setting="other")).assign(
        setting=lambda frame: frame["arm"]
    )
    found = headline_of(runs, reference="warmuplinear-w36-lr0.001")
    assert found.startswith(
        "10 % warmup is not the best choice: other failed to learn in 0 of 12 runs, warmuplinear-w36-lr0.001 in 8 of 12"
    )


def test_before_the_first_look_the_headline_says_when_it_is():
    runs = two_arms(NOISE)
    assert headline_of(runs[runs["seed"] < 5], margin=0.1, looks=(6, 12)) == (
        "Undecided: the first test is planned at 6 seeds."
    )


def test_no_other_arm():
    assert headline_of(arm(SEED_EFFECT)) == "Nothing can be concluded about 10 % warmup: nothing else was tried."


def test_only_arms_with_the_same_verdict_are_named_with_the_first():
    """The first is worse by its loss, the second fails more often, the third is worse by its loss."""
    fails = failing(8, 8, 51)
    others = [arm(SEED_EFFECT + 0.05 + np.roll(NOISE, row), 50 + row) for row in (0, 2)]
    good = arm(SEED_EFFECT + NOISE, 60)
    comparison = compare(table(arm(SEED_EFFECT), others[0], fails, others[1], good), Question("eval_loss"))
    found = headline(replace(comparison, trends=()))
    assert "50 updates of warmup is worse than 36 updates of warmup (eval_loss " in found
    assert " The same holds for 52 updates of warmup." in found
