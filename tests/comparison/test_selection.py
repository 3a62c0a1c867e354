"""The smallest warmup that is as good as the best, and arms at their own best lr."""

import json

import numpy as np
import pandas as pd
import pytest
from fake_runs import GUESS_LOSS, SEED_EFFECT, arm, runs_of_shapes, table
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.selection import (
    compare_at_own_best_lr,
    level_at,
    smallest_warmup_as_good_as_best,
    split_halves,
)
from warmup_lab.comparison.verdicts import Question


def grid(num_seeds: int, losses=(0.2, 0.01, 0.0, 0.0), **columns) -> pd.DataFrame:
    """Warmups 0, 18, 36, 72 with the mean losses given; noise of SD 0.02."""
    rng = np.random.default_rng(num_seeds)
    parts = zip((0, 18, 36, 72), losses, strict=True)
    return table(*(arm(0.5 + loss + 0.02 * rng.normal(size=num_seeds), warmup, **columns) for warmup, loss in parts))


@pytest.mark.parametrize(("method", "num_seeds"), [("split", 12), ("split", 16), ("every_arm", 8), ("every_arm", 12)])
def test_smallest_warmup_as_good_as_the_best(method, num_seeds):
    (found,) = smallest_warmup_as_good_as_best(grid(num_seeds), Question("eval_loss", margin=0.07), method=method)
    assert (found.warmup_steps, found.arm, found.reason) == (18, "warmuplinear-w18-lr0.001", None)
    assert "18 updates (5 %) is the smallest warmup shown to be as good as the best" in found.sentence
    assert dict(found.p_holm)["warmuplinear-w0-lr0.001"] > 0.9
    assert not set(found.seeds_to_choose) & set(found.seeds_to_test)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_best_is_chosen_on_one_half_of_the_seeds():
    # On the odd seeds 72 is best, on the even ones 0: the choice must not see the even ones.
    runs = grid(12, losses=(0.0, 0.0, 0.0, 0.0))
    runs.loc[(runs["seed"] % 2 == 0) & (runs["warmup_steps"] == 0), "eval_loss"] -= 0.3
    runs.loc[(runs["seed"] % 2 == 1) & (runs["warmup_steps"] == 72), "eval_loss"] -= 0.3
    (found,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.05))
    assert found.best == "warmuplinear-w72-lr0.001"
    assert found.seeds_to_choose == (1, 3, 5, 7, 9, 11)
    assert found.warmup_steps == 0


def test_the_chosen_best_has_to_pass_the_test_too():
    # Noise picks the best; a margin far below the noise must leave the question open.
    (found,) = smallest_warmup_as_good_as_best(grid(12, losses=(0.0,) * 4), Question("eval_loss", margin=0.002))
    assert found.best is not None
    assert found.warmup_steps is None


def test_with_planned_looks_the_smallest_warmup_needs_the_p_of_its_look():
    """At 6 of 6, 12 and 24 seeds, 5 % are 0.0179 (Pocock type, spent ln(1 + (e - 1) / 4) of it). p lies between."""
    losses = 0.5 + np.resize(SEED_EFFECT, 6)
    change = 0.02 * np.array([1.0, -1.5, 0.5, -0.5, 1.5, -1.0])
    runs = table(arm(losses), arm(losses + change, 180))
    margin = 0.025
    p = stats.ttest_1samp(change, margin, alternative="less").pvalue
    assert 0.05 * np.log1p((np.e - 1) / 4) < p < 0.025
    alone, planned = (
        smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=margin, looks=looks), method="every_arm")[0]
        for looks in (None, (6, 12, 24))
    )
    assert alone.warmup_steps == 36
    assert (planned.warmup_steps, planned.p_holm) == (None, alone.p_holm)
    assert level_at(Question("eval_loss", looks=(6, 12, 24)), 6) == pytest.approx(0.05 * np.log1p((np.e - 1) / 4))
    assert (level_at(Question("eval_loss", looks=(6, 12)), 5), level_at(Question("eval_loss"), 5)) == (0.0, 0.05)


@pytest.mark.parametrize(
    ("runs", "margin", "method", "reason"),
    [
        (grid(12), None, "split", "no margin was stated"),
        (grid(8), 0.07, "split", "too few of the 4 seeds"),
        (grid(5), 0.07, "every_arm", "too few of the 5 seeds"),
        (grid(12), 1e-4, "split", "no warmup is shown to be as good"),
        (arm(SEED_EFFECT), 0.1, "split", "only one warmup"),
        (grid(12, status="diverged"), 0.1, "split", "no run learned"),
        (table(grid(12), arm(np.zeros(12), 18, name="hidden")), 0.1, "split", "add a column called 'setting'"),
    ],
)
def test_no_smallest_warmup_has_a_reason(runs, margin, method, reason):
    (found,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=margin), method=method)
    assert found.warmup_steps is None
    assert reason in found.reason
    assert reason in found.sentence


@pytest.mark.parametrize("method", ["split", "every_arm"])
def test_an_arm_that_fails_more_often_is_not_as_good_whatever_its_loss(method):
    """12 of 20 runs fail, by so little that the mean over all runs is still the smallest."""
    runs = grid(20, losses=(0.0, 0.0, 0.0, 0.0))
    failed = (runs["warmup_steps"] == 0) & (runs["seed"] < 12)
    runs.loc[failed, "failed_to_learn"] = True
    runs.loc[runs["warmup_steps"] == 0, "eval_loss"] -= 0.03
    (found,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.07), method=method)
    assert found.warmup_steps == 18
    assert dict(found.p_holm)["warmuplinear-w0-lr0.001"] == 1.0


@pytest.mark.parametrize("method", ["split", "every_arm"])
def test_failed_runs_count_with_the_loss_of_guessing(method):
    """A quarter of the runs without warmup fails, which the failure margin allows; the rest is as good as any."""
    runs = grid(24, losses=(0.0, 0.0, 0.0, 0.0))
    failed = (runs["warmup_steps"] == 0) & (runs["seed"] % 8 < 2)
    runs.loc[failed, ["failed_to_learn", "eval_loss"]] = [True, 9.0]
    question = Question("eval_loss", margin=0.07, failure_margin=0.9)
    (found,) = smallest_warmup_as_good_as_best(runs, question, method=method)
    assert found.warmup_steps == 18
    capped = runs["eval_loss"].where(~failed, GUESS_LOSS)[runs["warmup_steps"] == 0].to_numpy()
    rivals = [
        runs.loc[runs["arm"] == name, "eval_loss"].to_numpy()
        for name in ([found.best] if found.best else found.arms[1:])
    ]
    at = np.isin(np.arange(24), found.seeds_to_test)
    p_values = [ttost_paired((capped - rival)[at], 0 * capped[at], -9.0, 0.07)[2][1] for rival in rivals]
    assert dict(found.p_holm)["warmuplinear-w0-lr0.001"] >= max(p_values) - 1e-12
    assert max(p_values) > 0.05


def test_an_arm_that_mostly_fails_is_as_good_as_no_other():
    runs = grid(12, losses=(0.0,) * 4, failed_to_learn=np.arange(12) < 7)
    for method in ("split", "every_arm"):
        (found,) = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.3), method=method)
        assert found.warmup_steps is None


def test_an_arm_may_fail_more_often_by_less_than_the_failure_margin():
    """1 of 20 against 0 of 20. The lower bound of the other is 0, so Newcombe's bound is the upper bound of 1 of 20."""
    upper = stats.binomtest(1, 20).proportion_ci(0.9, method="wilson").high
    runs = grid(20, losses=(0.0, 0.0, 0.0, 0.0))
    runs.loc[(runs["warmup_steps"] == 0) & (runs["seed"] == 0), "failed_to_learn"] = True
    for failure_margin, smallest in ((upper - 0.001, 18), (upper + 0.001, 0)):
        question = Question("eval_loss", margin=0.1, failure_margin=failure_margin)
        (found,) = smallest_warmup_as_good_as_best(runs, question, method="every_arm")
        assert found.warmup_steps == smallest


def test_each_scheduler_has_its_own_smallest_warmup():
    runs = table(grid(8), grid(8, scheduler="warmupcosine", losses=(0.0, 0.0, 0.0, 0.0)))
    found = smallest_warmup_as_good_as_best(runs, Question("eval_loss", margin=0.07), method="every_arm")
    assert [answer.warmup_steps for answer in found] == [18, 0]
    assert {answer.arms[0].split("-")[0] for answer in found} == {"warmuplinear", "warmupcosine"}


def test_each_shape_has_its_own_smallest_warmup():
    question = Question("eval_loss", margin=0.1)
    found = smallest_warmup_as_good_as_best(runs_of_shapes(), question, method="every_arm")
    assert [one.arms for one in found] == [
        ("none-w0", "linear-w10", "linear-w20"),
        ("none-w0", "sqrt-w10", "sqrt-w20"),
    ]
    assert [one.arm for one in found] == ["none-w0", "none-w0"]


def lr_sweep(effects: dict[tuple[int, float], float], num_seeds: int = 8) -> pd.DataFrame:
    """Mean loss by (warmup, lr); noise of SD 0.01."""
    rng = np.random.default_rng(0)
    parts = [arm(0.5 + e + 0.01 * rng.normal(size=num_seeds), w, lr=lr) for (w, lr), e in effects.items()]
    return table(*parts)


WARMUP_BUYS_LR = {(0, 1e-3): 0.2, (0, 3e-3): 0.6, (36, 1e-3): 0.2, (36, 3e-3): 0.0}


def test_own_best_lr_shows_a_difference_that_a_fixed_lr_hides():
    runs = lr_sweep(WARMUP_BUYS_LR)
    fixed = compare(runs, Question("eval_loss"))
    assert fixed.verdict("warmuplinear-w0-lr0.001").value == "inconclusive"
    own = compare_at_own_best_lr(runs, Question("eval_loss"))
    assert own.comparison.verdict("warmuplinear-w0").value == "worse"
    assert own.comparison.verdict("warmuplinear-w0").test.difference == pytest.approx(0.2, abs=0.02)
    assert {choice.arm: choice.chosen for choice in own.choices} == {
        "warmuplinear-w0": (1e-3, 1e-3),
        "warmuplinear-w36": (3e-3, 3e-3),
    }
    assert own.comparison.headline.startswith("With every warmup at its own best lr, 10 % warmup is better")
    assert own.means[0][0] - own.means[1][0] == pytest.approx(0.2, abs=0.02)
    json.dumps(own.to_dict(), allow_nan=False)


def test_the_lr_of_a_seed_is_chosen_on_the_other_half():
    runs = lr_sweep({(0, 1e-3): 0.0, (0, 3e-3): 0.0, (36, 1e-3): 0.0})
    low, odd, cold = runs["lr"] == 1e-3, runs["seed"] % 2 == 1, runs["warmup_steps"] == 0
    runs.loc[cold & (low == odd), "eval_loss"] -= 0.3  # the small lr is better at odd seeds, the large one at even ones
    own = compare_at_own_best_lr(runs, Question("eval_loss"))
    assert own.halves == ((1, 3, 5, 7), (0, 2, 4, 6))
    assert own.choices[0].chosen == (1e-3, 3e-3)
    # So each seed gets the lr that is worse for it, and no seed helped choose its own.
    assert own.comparison.arms[0].mean == pytest.approx(0.5, abs=0.02)


def test_a_verdict_that_depends_on_the_choice_of_lr_is_withdrawn():
    runs = lr_sweep({(0, 1e-3): 0.0, (0, 3e-3): 0.0, (36, 1e-3): -0.1})
    low, odd, cold = runs["lr"] == 1e-3, runs["seed"] % 2 == 1, runs["warmup_steps"] == 0
    runs.loc[cold & (low == odd), "eval_loss"] -= 0.3
    verdict = compare_at_own_best_lr(runs, Question("eval_loss")).comparison.verdict("warmuplinear-w0")
    assert verdict.p_holm < 0.05
    assert verdict.value == "inconclusive"
    assert "which half of the seeds chooses the lr" in verdict.reason


def test_a_choice_at_the_edge_of_the_lr_grid_is_marked():
    effects = {(36, 3e-4): 0.2, (36, 1e-3): 0.0, (36, 3e-3): 0.1, (0, 3e-4): 0.0, (0, 1e-3): 0.2, (0, 3e-3): 0.3}
    choices = compare_at_own_best_lr(lr_sweep(effects), Question("eval_loss")).choices
    assert {choice.arm: choice.at_edge for choice in choices} == {"warmuplinear-w36": False, "warmuplinear-w0": True}


def test_the_lr_may_be_chosen_by_another_metric():
    runs = lr_sweep(WARMUP_BUYS_LR).assign(roughness=lambda frame: frame["lr"] * (1 + frame["eval_loss"]))
    by_itself = compare_at_own_best_lr(runs, Question("roughness"))
    by_loss = compare_at_own_best_lr(runs, Question("roughness"), choose_by="eval_loss")
    assert {choice.chosen[0] for choice in by_itself.choices} == {1e-3}
    assert {choice.chosen[0] for choice in by_loss.choices} == {1e-3, 3e-3}
    by_accuracy = compare_at_own_best_lr(
        runs.assign(accuracy=-runs["eval_loss"]), Question("roughness"), choose_by="accuracy"
    )
    assert by_accuracy.choices == by_loss.choices


def test_an_lr_with_failures_is_not_the_best_lr():
    runs = lr_sweep(WARMUP_BUYS_LR)
    runs.loc[(runs["lr"] == 3e-3) & (runs["seed"].isin([0, 1])), "status"] = "diverged"
    assert {choice.chosen for choice in compare_at_own_best_lr(runs, Question("eval_loss")).choices} == {(1e-3, 1e-3)}


def test_own_best_lr_of_one_seed_has_no_verdict():
    own = compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR, num_seeds=1), Question("eval_loss"))
    assert "nothing can be concluded" in own.comparison.headline
    assert own.choices[0].chosen[0] is None
    stated = compare_at_own_best_lr(
        lr_sweep(WARMUP_BUYS_LR, num_seeds=1), Question("eval_loss", reference="warmuplinear-w0")
    )
    assert "nothing can be concluded" in stated.comparison.headline


def test_own_best_lr_takes_a_reference_by_the_name_of_its_lr_group():
    own = compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR), Question("eval_loss", reference="warmuplinear-w0"))
    assert own.comparison.verdict("warmuplinear-w36").value == "better"
    assert "warmuplinear-w0 is not the best choice: warmuplinear-w36 is better in eval_loss" in own.comparison.headline
    with pytest.raises(ValueError, match="the arms are: warmuplinear-w0, warmuplinear-w36"):
        compare_at_own_best_lr(lr_sweep(WARMUP_BUYS_LR), Question("eval_loss", reference="warmuplinear-w0-lr0.001"))


def test_arms_of_equal_lr_in_one_lr_group_are_refused():
    runs = table(lr_sweep(WARMUP_BUYS_LR), arm(SEED_EFFECT, 36, name="hidden"))
    with pytest.raises(ValueError, match=r"no column tells warmuplinear-w36-lr0\.001 from hidden"):
        compare_at_own_best_lr(runs, Question("eval_loss"))


def test_lr_groups_have_full_names_if_a_short_name_is_shared():
    runs = table(*(lr_sweep(WARMUP_BUYS_LR).assign(task=task) for task in ("rte", "trec")))
    runs["arm"] = runs["task"] + "-" + runs["arm"]
    runs.loc[runs["task"] == "trec", "eval_loss"] += 0.1
    names = {choice.arm for choice in compare_at_own_best_lr(runs, Question("eval_loss")).choices}
    assert "warmuplinear-w0 rte" in names
    assert len(names) == 4


def test_split_halves_takes_every_other_seed():
    assert split_halves([4, 0, 3, 1, 2]) == ([1, 3], [0, 2, 4])
    assert split_halves([7, 7]) == ([], [7])
    assert split_halves([]) == ([], [])
