"""Reasons and headlines."""

import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, table, two_arms, verdict_on

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import Question


def test_the_reason_of_an_inconclusive_verdict_states_what_is_missing():
    assert "without a margin" in verdict_on(two_arms(NOISE)).reason
    assert "within 0.005" in verdict_on(two_arms(NOISE), margin=0.005).reason
    few = two_arms(NOISE)
    assert "5 seeds" in verdict_on(few[few["seed"] < 5]).reason


@pytest.mark.parametrize(
    ("changes", "margin", "claim"),
    [
        ([NOISE - 0.05, NOISE], None, "is not the best choice here (warmuplinear-w50-lr0.001)"),
        ([NOISE + 0.05, NOISE + 0.06], None, "is better than every other arm"),
        ([NOISE, NOISE[::-1]], 0.04, "is as good as every other arm"),
        ([NOISE, NOISE[::-1]], None, "is neither confirmed nor refuted"),
        ([NOISE + 0.05, NOISE], None, "is beaten by no other arm, as far as is known"),
        ([NOISE + 0.05, NOISE], 0.03, "is beaten by no other arm"),
    ],
)
def test_headline(changes, margin, claim):
    others = [arm(SEED_EFFECT + change, 50 + index) for index, change in enumerate(changes)]
    headline = compare(table(arm(SEED_EFFECT), *others), Question("loss", margin=margin)).headline
    assert headline.startswith(f"10 % warmup {claim}: of 2 other arms, on loss, ")


def test_the_headline_counts_the_arms_without_a_reference():
    headline = compare(table(two_arms(NOISE), arm(SEED_EFFECT, 0, lr=3e-3)), Question("loss")).headline
    assert headline.endswith("of 1 other arm, on loss, 1 inconclusive, and 1 more without a reference.")
