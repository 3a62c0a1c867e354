"""What is compared with what, and the tests behind a verdict, against scipy."""

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, NOISE, SEED_EFFECT, arm, failing, lr_line, table, two_arms
from scipy import stats

from warmup_lab.comparison.evidence import complete_seeds, evidence, make_design
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.verdicts import Question

LRS = (1e-3, 2e-3, 4e-3)


def design_of(runs, reference=None):
    """The design, and the names of the arms."""
    arms = read_runs(runs, None).arms
    return make_design(arms, reference), [one.name for one in arms]


def evidence_of(runs, metric="eval_loss", **question):
    found = read_runs(runs, metric)
    return evidence(found, make_design(found.arms, None), Question(metric, **question))


def by_contrast(runs):
    """`(line, reference) -> what they differ in`, by name."""
    design, _ = design_of(runs)
    return {(design.lines[one.line].name, design.lines[one.reference].name): one.differs_in for one in design.contrasts}


# ------------------------------------------------------------------------------------------------ design


def test_every_arm_is_paired_with_its_reference():
    runs = table(*(arm(SEED_EFFECT, w, scheduler=s) for s in ("warmuplinear", "warmupcosine") for w in (0, 36, 72)))
    design, names = design_of(runs)
    tenth = {name.split("-")[0]: name for name in names if "w36" in name}
    assert {names[row]: names[other] for row, other in design.pairs} == {
        name: tenth[name.split("-")[0]] for name in names if "w36" not in name
    }


def test_strata_have_the_same_lengths_of_the_warmup():
    """The most frequent set of lengths; a scheduler with other lengths is left out, and so is a single arm."""
    lengths = {
        "warmuplinear": (0, 36, 72),
        "warmupcosine": (0, 36, 72),
        "warmupconstant": (0, 36),
        "inversesqrt": (36,),
    }
    runs = table(*(arm(SEED_EFFECT, w, scheduler=s) for s, several in lengths.items() for w in reversed(several)))
    design, names = design_of(runs)
    assert [[names[row] for row in rows] for rows in design.strata] == [
        [f"{scheduler}-w{warmup}-lr0.001" for warmup in (0, 36, 72)] for scheduler in ("warmuplinear", "warmupcosine")
    ]
    assert design_of(arm(SEED_EFFECT))[0].strata == ()


def test_lines_are_arms_that_differ_only_in_lr():
    runs = table(lr_line([1] * 6, LRS[::-1], 0), lr_line([1] * 6, LRS, 36), arm(SEED_EFFECT[:6], 72))
    design, names = design_of(runs)
    assert [(line.name, line.lrs) for line in design.lines] == [("warmuplinear-w0", LRS), ("warmuplinear-w36", LRS)]
    assert [names[row] for row in design.lines[0].rows] == [f"warmuplinear-w0-lr{lr:g}" for lr in LRS]
    assert design.line_strata == ((0, 1),)


def test_rows_of_trends_are_those_of_all_strata():
    design, names = design_of(table(lr_line([1] * 6, LRS, 0), lr_line([1] * 6, LRS, 36), arm(NOISE, 72, lr=9.0)))
    assert [names[row] for row in range(len(names)) if row not in design.rows_of_trends] == ["warmuplinear-w72-lr9"]


def test_arms_of_a_line_that_no_column_tells_apart_make_no_lines():
    assert design_of(table(lr_line([1] * 6, LRS, 0), arm(NOISE[:6], 0, name="hidden")))[0].lines == ()


def test_lines_are_contrasted_over_warmups_and_over_settings():
    def line(warmup, setting):
        runs = lr_line([1] * 6, LRS, warmup, setting=setting)
        return runs.assign(arm=runs["arm"] + runs["setting"])

    runs = table(*(line(warmup, setting) for setting in ("a", "b") for warmup in (0, 36)))
    names = {(warmup, setting): f"warmuplinear-w{warmup} {setting}" for warmup in (0, 36) for setting in "ab"}
    assert by_contrast(runs) == {
        (names[0, "a"], names[36, "a"]): "warmup",
        (names[0, "b"], names[36, "b"]): "warmup",
        (names[0, "b"], names[0, "a"]): "setting",
        (names[36, "b"], names[36, "a"]): "setting",
    }


def test_lines_over_different_learning_rates_are_not_compared():
    assert by_contrast(table(lr_line([1] * 6, LRS, 0), lr_line([1] * 6, LRS[:2], 36))) == {}


def test_a_stated_reference_is_that_of_its_line():
    design, _ = design_of(table(*(lr_line([1] * 6, LRS, w) for w in (0, 36, 72))), "warmuplinear-w72-lr0.002")
    assert {(one.line, one.reference) for one in design.contrasts} == {(0, 2), (1, 2)}


# --------------------------------------------------------------------------------------------- the metric


def test_the_metric_is_tested_over_all_seeds_with_failed_runs_at_the_loss_of_guessing():
    runs = two_arms(NOISE + 0.05, failed_to_learn=[True] * 2 + [False] * 6)
    runs.loc[runs["failed_to_learn"].astype(bool), "eval_loss"] = [9.0, np.nan]
    values = SEED_EFFECT + NOISE + 0.05
    values[:2] = GUESS_LOSS
    test = evidence_of(runs, margin=0.1).metric[1]
    assert test.num_pairs == 8
    assert test.difference == pytest.approx((values - SEED_EFFECT).mean())
    assert test.p_value == pytest.approx(stats.ttest_rel(values, SEED_EFFECT).pvalue)
    sides = (stats.ttest_rel(values + sign * 0.1, SEED_EFFECT, alternative=side).pvalue for sign, side in
             ((1, "greater"), (-1, "less")))  # fmt: skip
    assert test.p_equivalent == pytest.approx(max(sides))


def test_an_oscillation_is_tested_by_ranks_with_failed_runs_worst():
    """Without ties: scipy's permutation test of the joint ranks, where the run that failed has the largest."""
    rng = np.random.default_rng(1)
    roughness = rng.random((2, 8))
    runs = table(
        *(arm(SEED_EFFECT, w).assign(**{"whole/roughness": row}) for w, row in zip((36, 0), roughness, strict=True))
    )
    failed = (runs["warmup_steps"] == 0) & (runs["seed"] == 3)
    runs.loc[failed, ["failed_to_learn", "whole/roughness"]] = [True, 0.0]
    ranked = roughness[::-1].copy()
    ranked[0, 3] = 99.0
    ranks = stats.rankdata(ranked).reshape(2, 8)
    exact = stats.permutation_test(
        ranks, lambda one, other, axis: (one - other).sum(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    test = evidence_of(runs, "whole/roughness", margin=0.5).metric[1]
    assert test.p_value == pytest.approx(exact.pvalue)
    assert test.rank_difference == pytest.approx((ranks[0] - ranks[1]).mean())
    assert test.p_equivalent is None
    learned = np.arange(8) != 3
    assert test.difference == pytest.approx((roughness[1] - roughness[0])[learned].mean())


def test_an_arm_that_never_reaches_the_target_at_half_of_the_seeds_is_not_better():
    """It reaches the target first at 8 of 16 seeds. Leaving out the others would call it better, p = 2^-7."""
    updates = np.arange(100.0, 116.0)
    faster = np.where(np.arange(16) < 8, updates - 50, np.nan)
    runs = table(arm(updates).assign(updates_to_target=updates), arm(updates, 0).assign(updates_to_target=faster))
    test = evidence_of(runs, "updates_to_target").metric[1]
    assert test.num_pairs == 16
    assert test.p_value > 0.3
    # Ranks by hand: 1..8 where faster, 28.5 (the mean of 25 to 32) where it never is; the other has 9 to 24.
    assert test.rank_difference == pytest.approx((sum(range(1, 9)) + 8 * 28.5 - sum(range(9, 25))) / 16)


# ---------------------------------------------------------------------------------------------- failures


def test_failure_rates_are_compared_by_boschloos_test():
    runs = table(failing(1, 8), failing(6, 8, 0))
    assert evidence_of(runs).failures[1] == pytest.approx(stats.boschloo_exact([[6, 1], [2, 7]]).pvalue)


@pytest.mark.parametrize("num_failed", [0, 8])
def test_failure_rates_that_cannot_differ_are_not_tested(num_failed):
    assert evidence_of(table(failing(num_failed, 8), failing(num_failed, 8, 0))).failures == {1: None}


def test_a_run_that_ended_in_an_error_is_neither_a_failure_nor_a_pair():
    runs = table(failing(1, 8), failing(6, 8, 0))
    runs.loc[(runs["warmup_steps"] == 0) & (runs["seed"] == 0), "status"] = "error"
    found = evidence_of(runs)
    assert found.failures[1] == pytest.approx(stats.boschloo_exact([[5, 1], [2, 7]]).pvalue)
    assert found.metric[1].num_pairs == 7


# -------------------------------------------------------------------------------------------------- lr50


def test_lr50_takes_the_place_of_failures_where_lr_was_swept():
    """Log2 ratios of 1 at five seeds and 0 at one."""
    found = evidence_of(table(lr_line([2] * 6, LRS, 36), lr_line([1] * 5 + [2], LRS, 0)))
    assert found.failures == {}
    assert found.uses_lr50
    (ratio,) = found.lr50.values()
    assert ratio.ratio == pytest.approx(2 ** (-5 / 6))
    assert ratio.p_value == pytest.approx(stats.ttest_1samp([1] * 5 + [0], 0).pvalue)


def test_where_no_run_failed_lr50_is_not_used():
    found = evidence_of(table(lr_line([3] * 6, LRS, 36), lr_line([3] * 6, LRS, 0)))
    assert not found.uses_lr50
    assert set(found.failures.values()) == {None}


def test_a_seed_with_an_unfinished_run_has_no_lr50():
    runs = table(lr_line([2, 2, 2, 2, 2, 2, 0], LRS, 36), lr_line([1, 1, 1, 1, 1, 2, 3], LRS, 0))
    runs.loc[(runs["seed"] == 6) & (runs["lr"] == 1e-3) & (runs["warmup_steps"] == 0), "status"] = "error"
    found = read_runs(runs, "eval_loss")
    design = make_design(found.arms, None)
    assert complete_seeds(found, design.lines).tolist() == [True] * 6 + [False]
    (ratio,) = evidence(found, design, Question("eval_loss")).lr50.values()
    assert (ratio.num_seeds, ratio.ratio) == (6, pytest.approx(2 ** (-5 / 6)))


# ------------------------------------------------------------------------------------------------ trends


def test_the_trend_of_the_metric_is_pages_test():
    losses = np.random.default_rng(2).normal(size=(4, 7)) - 0.5 * np.arange(4)[:, None]
    runs = table(*(arm(row, w) for w, row in zip((0, 18, 36, 72), losses, strict=True)))
    page = stats.page_trend_test(-losses.T, method="exact")
    found = evidence_of(runs)
    assert found.metric_trend.p_value == pytest.approx(2 * page.pvalue)
    assert found.metric_trend.z < 0
    assert found.failure_trend is None


def test_the_trend_of_lr50_takes_the_place_of_that_of_failures():
    """lr50 doubles with the longer warmup at each of 7 seeds, so that p is that of a sign test."""
    found = evidence_of(table(lr_line([1] * 7, LRS, 0), lr_line([2] * 7, LRS, 36)))
    assert found.failure_trend.p_value == pytest.approx(2 * 0.5**7)
    assert found.failure_trend.z > 0


def test_a_line_with_other_lrs_enters_no_trend_of_lr50():
    """lr50 of a grid that ends early is smaller, whatever the warmup."""
    runs = table(lr_line([2] * 6, LRS, 0), lr_line([2] * 6, LRS, 36), lr_line([2] * 6, LRS[:2], 72))
    design, _ = design_of(runs)
    lengths = [[design.lines[number].arm.warmup_steps for number in numbers] for numbers in design.line_strata]
    assert lengths == [[0, 36]]


def test_an_arm_outside_the_compared_lines_keeps_its_test_of_failures():
    runs = table(lr_line([2] * 6, LRS, 0), lr_line([3] * 6, LRS, 36), failing(5, 6, 72, lr=LRS[0]))
    found, (_, names) = evidence_of(runs), design_of(runs)
    assert found.uses_lr50
    assert [names[row] for row in found.failures] == ["warmuplinear-w72-lr0.001"]
    assert found.failures[names.index("warmuplinear-w72-lr0.001")] < 0.05
