"""Sentences and reasons of verdicts, and the headline of a secondary comparison."""

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, failing, table, two_arms, verdict_on

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.sentences import count, headline_sentence, ten_percent_subject
from warmup_lab.comparison.verdicts import Question, Verdict

COLD = "warmuplinear-w0-lr0.001"
TENTH = "warmuplinear-w36-lr0.001"


def test_count_has_a_plural():
    assert [count(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


# ---------------------------------------------------------------------------------------------- one arm


def test_the_sentence_has_the_claim_first_then_the_numbers():
    """Mean 0.05; t(7) = 2.3646 at 97.5 %: 0.05 -+ 2.3646 * 0.014638 / sqrt(8)."""
    sentence = verdict_on(two_arms(NOISE + 0.05)).sentence
    start = f"{COLD} is worse than {TENTH}: eval_loss +0.05 (95 % interval +0.0378 to +0.0622, 8 pairs, adjusted p "
    assert sentence.startswith(start)


def test_the_sentence_of_an_equivalence_has_the_interval_of_the_tables():
    """t(7) = 2.3646 at 97.5 %: 0 -+ 2.3646 * 0.014638 / sqrt(8)."""
    sentence = verdict_on(two_arms(NOISE), margin=0.03).sentence
    assert f"{COLD} is equivalent to {TENTH}: eval_loss " in sentence
    assert "(95 % interval -0.0122 to +0.0122, 8 pairs, adjusted p of equivalence " in sentence


def test_the_sentence_counts_failures_and_divergences():
    runs = table(failing(0, 8), failing(7, 8, 0, status=["diverged"] * 2 + ["completed"] * 6))
    sentence = verdict_on(runs).sentence
    assert sentence.startswith(f"{COLD} fails to learn more often than {TENTH}: ")
    assert "failed to learn in 7 of 8 runs against 0 of 8 (adjusted p " in sentence
    assert "diverged in 2 of 8 runs against 0 of 8" in sentence


def test_without_failures_the_sentence_does_not_mention_them():
    sentence = verdict_on(two_arms(NOISE)).sentence
    assert "failed" not in sentence
    assert "where both learned" not in sentence


def test_the_difference_where_both_learned_is_second_and_named_as_selected():
    """Losses of the 6 learned pairs differ by 0.05 plus noise."""
    change = NOISE + 0.05
    sentence = verdict_on(two_arms(change, failed_to_learn=[True, True] + [False] * 6)).sentence
    learned = f"where both learned (6 seeds, selected on the outcome) eval_loss {change[2:].mean():+.3g} ["
    assert learned in sentence
    assert sentence.index("8 pairs") < sentence.index(learned)


def test_a_rank_test_names_the_seeds_of_its_mean():
    runs = two_arms(NOISE, failed_to_learn=[True] + [False] * 7).assign(roughness=lambda frame: frame["eval_loss"])
    sentence = compare(runs, Question("roughness")).verdict(COLD).sentence
    assert f"roughness {NOISE[1:].mean():+.3g} where both learned; ranks of 8 pairs, adjusted p " in sentence


# ---------------------------------------------------------------------------------------------- reasons


def test_the_reason_of_an_inconclusive_verdict_states_what_is_missing():
    assert "without a margin" in verdict_on(two_arms(NOISE)).reason
    assert "within 0.005" in verdict_on(two_arms(NOISE), margin=0.005).reason
    few = two_arms(NOISE)
    assert verdict_on(few[few["seed"] < 5]).reason == "both ended at 5 seeds, and a test needs 6"


def test_the_reason_names_failures_that_are_undecided():
    runs = two_arms(NOISE, failed_to_learn=[True, True] + [False] * 6)
    runs.loc[8:9, "eval_loss"] = SEED_EFFECT[:2]  # failed by a little: the loss of all seeds is equivalent
    reason = verdict_on(runs, margin=0.05).reason
    assert reason == "the metric is equivalent within 0.05, but failures are undecided (2 of 8 against 0 of 8)"


def test_a_metric_compared_by_ranks_has_no_equivalence():
    runs = two_arms(NOISE).assign(roughness=lambda frame: frame["eval_loss"])
    assert (
        "by ranks cannot be tested for equivalence"
        in compare(runs, Question("roughness", margin=0.1)).verdict(COLD).reason
    )


def test_before_the_first_look_there_is_a_reason_and_no_test():
    verdict = verdict_on(two_arms(NOISE), looks=(12, 24))
    assert verdict.reason == "the first test is planned at 12 seeds"
    assert verdict.sentence == f"{COLD} cannot be distinguished from {TENTH}: the first test is planned at 12 seeds."


# ----------------------------------------------------------------------- headline of a secondary comparison


def headline_of(runs, **question):
    found = compare(runs, Question("eval_loss", **question))
    return headline_sentence(ten_percent_subject(found.arms, found.verdicts), found.verdicts, "eval_loss")


@pytest.mark.parametrize(
    ("changes", "margin", "claim"),
    [
        ([NOISE - 0.05, NOISE], None, "10 % warmup is not the best choice: warmuplinear-w50-lr0.001 is better in "
         "eval_loss (1 better, 1 inconclusive)."),
        ([NOISE + 0.05, NOISE + 0.06], None, "10 % warmup is better than the 2 others in eval_loss."),
        ([NOISE, NOISE[::-1]], 0.04, "10 % warmup is as good as the 2 others in eval_loss, within the margin."),
        ([NOISE, NOISE[::-1]], None, "No difference in eval_loss is shown between 10 % warmup and any of the 2 "
         "others."),
        ([NOISE + 0.05, NOISE], None, "Nothing else is shown to be better than 10 % warmup in eval_loss (1 worse, 1 "
         "inconclusive)."),
    ],
)  # fmt: skip
def test_headline_of_a_secondary_comparison(changes, margin, claim):
    others = [arm(SEED_EFFECT + change, 50 + index) for index, change in enumerate(changes)]
    assert headline_of(table(arm(SEED_EFFECT), *others), margin=margin) == claim


def test_the_headline_counts_the_arms_without_a_reference():
    headline = headline_of(table(two_arms(NOISE), arm(SEED_EFFECT, 0, lr=3e-3)))
    assert headline == (
        "No difference in eval_loss is shown between 10 % warmup and the other one (1 inconclusive, 1 more without a "
        "reference)."
    )


def test_arms_that_all_fail_say_nothing():
    assert headline_of(table(failing(8, 8), failing(8, 8, 0)), margin=0.1) == (
        "Most runs failed with every combination tried, so nothing is known about eval_loss."
    )


@pytest.mark.parametrize(
    ("values", "claim"),
    [
        (["both_fail", "both_fail"], "Most runs failed with every combination tried"),
        (
            ["both_fail", "inconclusive"],
            "No difference in eval_loss is shown between 10 % warmup and any of the 2 others (",
        ),
        (["both_fail", "worse"], "Nothing else is shown to be better than 10 % warmup in eval_loss ("),
        (["worse", "worse"], "10 % warmup is better than the 2 others in eval_loss."),
        (
            ["fails_more", "worse"],
            "10 % warmup fails to learn less often than the 2 others or is better in eval_loss (",
        ),
        (["better", "worse"], "10 % warmup is not the best choice: arm0 is better in eval_loss ("),
        (["fails_less", "worse"], "10 % warmup is not the best choice: arm0 fails to learn less often ("),
        (
            ["better", "fails_less"],
            "10 % warmup is not the best choice: arm0, arm1 are better in eval_loss or fail to learn less often (",
        ),
    ],
)
def test_arms_that_both_fail_decide_nothing(values, claim):
    verdicts = [Verdict(f"arm{row}", "tenth", value) for row, value in enumerate(values)]
    assert headline_sentence("10 % warmup", verdicts, "eval_loss").startswith(claim)


def test_the_subject_is_10_percent_or_the_length_in_its_place():
    near = [arm(SEED_EFFECT + NOISE * w, w, total=360) for w in (0, 39)]  # 10.8 %
    found = compare(table(*near), Question("eval_loss"))
    assert ten_percent_subject(found.arms, found.verdicts) == "10.8 % warmup"
    rounded = [arm(SEED_EFFECT + NOISE * w, w, total=25) for w in (0, 3)]  # ceil(2.5)
    found = compare(table(*rounded), Question("eval_loss"))
    assert ten_percent_subject(found.arms, found.verdicts) == "10 % warmup"
    assert np.isclose(found.arms[1].warmup_percent, 12)
