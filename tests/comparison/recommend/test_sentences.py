"""The wording of a recommendation."""

from dataclasses import replace

import pytest

from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.ramp import RampResult, SeedRamp
from warmup_lab.comparison.recommend.sentences import (
    answer_sentence,
    budget_sentence,
    grid_sentence,
    headline,
    ramp_sentence,
    unsure_sentences,
)
from warmup_lab.comparison.recommend.use import used

RAMP = RampResult(
    0.0054, 0.005, 0.006, 1e-4, 0.1, 300, False, True, (SeedRamp(0, 0.005, None), SeedRamp(1, 0.006, None))
)


def words_of(sweep, **changes):
    found = replace(read_findings(sweep), **changes)
    return headline(found, used(found)), answer_sentence(found, used(found)), unsure_sentences(found, used(found))


@pytest.mark.parametrize(
    ("ramp", "sentence"),
    [
        (RAMP, "The loss breaks at lr 0.0054 (0.005 to 0.006) on 2 ramps of 300 updates from lr 0.0001 to 0.1."),
        (replace(RAMP, early=True), "first quarter of the ramp, so the break may lie lower."),
        (replace(RAMP, learned=False), "Nothing had been learned by then, so the break may lie lower."),
        (replace(RAMP, lr=None), "The loss did not break on 2 ramps"),
        (replace(RAMP, lr=None, learned=False), "2 ramps of 300 updates from lr 0.0001 to 0.1 show nothing"),
    ],
)
def test_where_the_ramps_break(ramp, sentence):
    assert sentence in ramp_sentence(ramp)


def test_the_answer_comes_first_then_the_numbers(decided):
    first, numbers, unsure = words_of(decided)
    assert first == "Use lr 0.0021 with 12 updates of warmup (10 %), which is better than none."
    assert numbers.startswith("Without warmup the final evaluation loss is 0.5")
    assert "at 6 seeds that took no part in the choice of the lr; p = " in numbers
    assert unsure[-1] == "Rare failures: none of 6 runs failed, which excludes rates above 39 %."  # Wilson, 0 of 6


@pytest.mark.parametrize(
    ("effect", "ending"),
    [
        ("harmful", "without warmup, which is better than a warmup of 10 %."),
        ("same", "without warmup: a warmup of 10 % is as good, not better."),
        ("undecided", "with 12 updates of warmup (10 %). A warmup of 10 % was not shown to matter."),
    ],
)
def test_every_effect_has_its_headline(effect, ending, decided):
    found = read_findings(decided)
    question = replace(found.question, margin=0.05)
    changes = {"confirmation": replace(found.confirmation, effect=effect), "question": question}
    assert words_of(decided, **changes)[0] == f"Use lr 0.0021 {ending}"


def test_what_fails_everywhere_is_not_recommended(decided):
    found = read_findings(decided)
    both = words_of(decided, confirmation=replace(found.confirmation, effect="both_fail"))
    assert both[0].startswith("No lr can be recommended: at lr 0.0021")
    everywhere = words_of(decided, choice=replace(found.choice, all_failed=True))
    assert "most runs failed to learn at every lr that was tried (0.001, 0.0021, 0.0041, 0.0082)" in everywhere[0]


def test_an_interrupted_confirmation_gives_estimates_and_no_verdict(interrupted):
    first, numbers, _ = words_of(interrupted)
    assert first == "So far, not confirmed: lr 0.0021 with 12 updates of warmup (10 %)."
    assert "At 2 new seeds of 6, without warmup the final evaluation loss is" in numbers
    assert "a verdict needs all of them" in numbers


def test_rates_are_worth_trying_only_after_a_ramp_that_says_something(ramps_only):
    assert words_of(ramps_only)[0].endswith("Rates worth trying: 0.001, 0.0021, 0.0042.")  # it breaks at 0.0084
    silent = replace(read_findings(ramps_only).ramp, lr=None, learned=False)
    assert words_of(ramps_only, ramp=silent)[0].endswith("so they were too short.")


def test_nothing_is_known_before_a_ramp_has_finished(ramps_only):
    plan = read_findings(ramps_only).plan
    unplanned = replace(plan, needed_minutes=None)
    assert words_of(ramps_only, ramp=None, plan=unplanned)[0] == "So far nothing is known: no ramp has finished."
    too_small = words_of(ramps_only, ramp=None)[0]
    assert too_small.startswith(
        "The budget is too small for a ramp: one run takes 12 s, and a recommendation needs about"
    )


def test_the_rates_and_the_time(decided, undecided):
    assert grid_sentence(read_findings(decided)).startswith(
        "Mean final evaluation loss without / with warmup at 3 seeds: lr 0.001: 0.5"
    )
    found = read_findings(undecided)
    assert f"the next look needs about {found.plan.needed_minutes} min in all" in budget_sentence(found)
    assert budget_sentence(replace(found, plan=replace(found.plan, run_seconds=None))) == ""


def test_a_choice_within_noise_or_at_an_edge_is_named(decided):
    choice = replace(read_findings(decided).choice, edge="largest", alike=(0.001,))
    unsure = words_of(decided, choice=choice)[2]
    assert "lr 0.0021 is the largest that was tried: a larger one may be better." in unsure
    assert "The choice of lr: 0.001 did about as well on the seeds that chose." in unsure


def test_a_loss_above_guessing_is_a_caution(decided):
    """The best arm has a loss of about 0.3."""
    assert not [text for text in words_of(decided)[2] if "guessing" in text]
    assert "above that of guessing (0.1)" in words_of(decided, guess_loss=0.1)[2][0]
