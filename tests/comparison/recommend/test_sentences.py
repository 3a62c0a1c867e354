"""The wording of a recommendation."""

from dataclasses import replace

import pytest

from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.sentences import (
    answer_sentence,
    headline,
    unsure_sentences,
)
from warmup_lab.comparison.recommend.use import used
from warmup_lab.comparison.statistics import wilson


def words_of(sweep, **changes):
    found = replace(read_findings(sweep), **changes)
    return headline(found, used(found)), answer_sentence(found, used(found)), unsure_sentences(found, used(found))


def test_the_answer_comes_first_then_the_numbers(decided):
    first, numbers, unsure = words_of(decided)
    assert first == "Use lr 0.0021 with 12 updates of warmup (10 %), which is better than none."
    assert numbers.startswith("Without warmup the final evaluation loss is 0.5")
    assert "at 6 seeds that took no part in the choice of the lr; p = " in numbers
    assert (
        unsure[-1] == "Rare failures: none of 6 runs failed, which excludes failure rates above 39 %."
    )  # Wilson, 0 of 6


@pytest.mark.parametrize(
    ("effect", "ending"),
    [
        ("harmful", "without warmup, which is better than a warmup of 10 %."),
        ("same", "without warmup: a warmup of 10 % is as good, not better."),
        ("small", "without warmup: a warmup of 10 % is better, but by less than the margin."),
        ("undecided", "with 12 updates of warmup (10 %). No warmup did worse on average, maybe by chance."),
    ],
)
def test_every_effect_has_its_headline(effect, ending, decided):
    found = read_findings(decided)
    question = replace(found.question, margin=0.05)
    changes = {"confirmation": replace(found.confirmation, effect=effect), "question": question}
    assert words_of(decided, **changes)[0] == f"Use lr 0.0021 {ending}"


@pytest.mark.parametrize(
    ("failed", "means", "ending"),
    [
        ((0, 0), (0.056, 0.0504), "without warmup. A warmup of 10 % did worse on average, maybe by chance."),
        (
            (0, 0),
            (0.0504, 0.056),
            "with 12 updates of warmup (10 %). No warmup did worse on average, maybe by chance.",
        ),
        (
            (0, 2),
            (0.056, 0.0504),
            "with 12 updates of warmup (10 %). Fewer runs failed than without it (0 against 2 of 6), maybe by chance.",
        ),
        (
            (2, 1),
            (0.0504, 0.056),
            "without warmup. Fewer runs failed than with it (1 against 2 of 6), maybe by chance.",
        ),
        ((0, 0), (0.05, 0.05), "without warmup. With a warmup the mean is the same, so the simpler one is used."),
        (
            (0, 0),
            (None, None),
            "with 12 updates of warmup (10 %). 6 seeds do not decide whether the warmup matters.",
        ),
    ],
)
def test_what_is_open_follows_the_seeds_of_the_confirmation(failed, means, ending, decided):
    """The first case was seen: the headline kept a warmup that had done worse at the seeds that judge it."""
    found = read_findings(decided)
    sides = {
        start: replace(found.confirmation.sides[start], failed=wilson(failures, 6), mean=mean)
        for start, failures, mean in zip(("with", "without"), failed, means, strict=True)
    }
    confirmation = replace(found.confirmation, effect="undecided", sides=sides)
    assert words_of(decided, confirmation=confirmation)[0] == f"Use lr 0.0021 {ending}"


def test_what_fails_everywhere_is_not_recommended(decided):
    found = read_findings(decided)
    both = words_of(decided, confirmation=replace(found.confirmation, effect="both_fail"))
    assert both[0].startswith("No lr can be recommended. Most runs of the confirmation failed to learn at lr 0.0021")
    everywhere = words_of(decided, choice=replace(found.choice, all_failed=True))
    assert everywhere[0].endswith("Most runs failed to learn at every lr that was tried, from 0.001 to 0.0082.")
    slow = {"unstable": 0, "too_slow": 24, "stuck": 0, "too_short": 0}
    short = words_of(decided, choice=replace(found.choice, all_failed=True), failures=slow)
    assert short[0].startswith("No lr can be recommended: 120 updates are too few.")
    assert "smaller" not in " ".join([*short[:2], *short[2]])


def test_headline_and_sentence_say_different_things(decided, ramps_only, shortened, interrupted):
    for sweep in (decided, ramps_only, shortened, interrupted):
        first, numbers, _ = words_of(sweep)
        assert first not in numbers
        assert numbers not in first


def test_failures_of_the_recommended_arm_name_their_remedy(decided):
    found = read_findings(decided)
    sides = found.confirmation.sides | {"with": replace(found.confirmation.sides["with"], failed=wilson(2, 6))}
    changes = {"confirmation": replace(found.confirmation, sides=sides)}
    slow = {"unstable": 0, "too_slow": 2, "stuck": 0, "too_short": 0}
    text = words_of(decided, **changes, failures=slow)[2][-1]
    assert text.startswith("2 of 6 runs failed to learn even with this choice. They learned too little: more updates")
    text = words_of(decided, **changes, failures=slow | {"unstable": 3})[2][-1]
    assert text.endswith("They became unstable: a smaller lr or a longer warmup may help.")


def test_a_smaller_lr_is_advised_where_runs_fail_only_from_this_one_on(decided):
    """Also if their traces are flat, which alone would advise more updates."""
    found = read_findings(decided)
    sides = found.confirmation.sides | {"with": replace(found.confirmation.sides["with"], failed=wilson(2, 6))}
    grid = tuple(replace(row, failed=wilson(int(row.lr >= found.confirmation.lr), 3)) for row in found.grid)
    stuck = {"unstable": 0, "too_slow": 0, "stuck": 2, "too_short": 0}
    changes = {"confirmation": replace(found.confirmation, sides=sides), "grid": grid, "failures": stuck}
    assert words_of(decided, **changes)[2][-1].endswith("Every run at a smaller lr learned: a smaller lr may help.")


def test_an_interrupted_confirmation_gives_estimates_and_no_verdict(interrupted):
    first, numbers, _ = words_of(interrupted)
    assert first == "So far, not confirmed: lr 0.0021 with 12 updates of warmup (10 %)."
    assert "At 2 new seeds of 6, without warmup the final evaluation loss is" in numbers
    assert "a verdict needs all of them" in numbers


def test_rates_are_worth_trying_after_the_ramps_alone(ramps_only):
    first = words_of(ramps_only)[0]
    assert first == "So far only the ramp is known, and no lr was tried."
    broken = replace(
        read_findings(ramps_only).ramp, lr=0.0084, low=0.0084, high=0.0084, learned=True, early=False, updates=200
    )
    assert words_of(ramps_only, ramp=broken)[1].endswith("Rates to try first: 0.001, 0.0021, 0.0042.")


def test_nothing_is_known_before_a_ramp_has_finished(ramps_only):
    plan = read_findings(ramps_only).plan
    unplanned = replace(plan, needed_minutes=None)
    assert words_of(ramps_only, ramp=None, plan=unplanned)[0] == "So far nothing is known: no ramp has finished."
    too_small = words_of(ramps_only, ramp=None)[0]
    assert too_small == "The budget is too small for a ramp: one run takes 12 s."
    assert words_of(ramps_only, ramp=None)[1] == "No ramp was trained."


def test_a_choice_within_noise_or_at_an_edge_is_named(decided):
    choice = replace(read_findings(decided).choice, edge="largest", alike=(0.001,), not_told_apart=(0.0041,))
    found = read_findings(decided)
    means = {row.lr: f"{row.mean:.3g}" for row in found.grid if row.start == "with"}
    unsure = words_of(decided, choice=choice, question=replace(found.question, margin=0.05))[2]
    assert "lr 0.0021 is the largest that was tried: a larger one may be better." in unsure
    against, start = f"against {means[choice.lr]}", f"{choice.start} warmup"
    alike = f"The choice of lr: 0.001 ({start}, mean {means[0.001]} {against}) scored within the margin of 0.05 of it."
    open_ = f"The choice of lr: 3 seeds do not tell it apart from 0.0041 ({start}, mean {means[0.0041]} {against})."
    assert alike in unsure
    assert open_ in unsure


def test_a_loss_above_guessing_is_a_caution(decided):
    """The best arm has a loss of about 0.3."""
    assert not [text for text in words_of(decided)[2] if "guessing" in text]
    assert "above that of guessing (0.1)" in words_of(decided, guess_loss=0.1)[2][0]


def test_a_start_that_only_the_choosing_seeds_favoured_is_named(decided):
    """The chart above shows those seeds, and the headline says the opposite."""
    choice = read_findings(decided).choice
    assert "favoured" not in words_of(decided)[1]
    reversed_ = words_of(decided, choice=replace(choice, start="without"))[1]
    assert reversed_.endswith(" The seeds that chose the lr favoured a start without warmup.")
