"""The headline and the sentences on what a warmup buys."""

from fake_trials import trials_up_to

from warmup_lab.comparison.lr_jitter.advice import Recommendation
from warmup_lab.comparison.lr_jitter.gain import warmup_gain
from warmup_lab.comparison.lr_jitter.sentences import Warmup, gain_sentence, headline, lr50_sentence

WARMUP = Warmup(30, 300)
COMMAND = "python train.py -m experiment=lr_jitter task=trec 'seed=range(12)' study=mine"
ADVICE = Recommendation(0.0012, 0.5, 0, "", "")
RAISES = warmup_gain(trials_up_to([3] * 12, [4] * 8 + [5] * 4))
LOWERS = warmup_gain(trials_up_to([4] * 8 + [5] * 4, [3] * 12))
NOTHING = warmup_gain(trials_up_to([3, 5, 4, 4, 4, 4, 3, 5, *[4] * 4], [3, 5, 4, 4, 4, 4, 3, 5, 5, 5, 3, 3]))
UNDECIDED = warmup_gain(trials_up_to([3, 4] * 6, [2, 6] * 6))
NO_LR = Recommendation(None, None, None, "No lr can be recommended, because it rains.", "")


def test_the_headline_says_what_to_use_and_what_the_warmup_buys():
    assert headline(ADVICE, RAISES, WARMUP) == (
        "Use lr 0.0012 with no warmup; a 10 % warmup raises the usable lr by a factor of 1.59 [1.13, 2.23]."
    )
    assert headline(ADVICE, LOWERS, WARMUP) == (
        "Use lr 0.0012 with no warmup; a 10 % warmup lowers the usable lr to 0.63 [0.449, 0.885] times that without."
    )
    assert headline(ADVICE, NOTHING, WARMUP) == (
        "Use lr 0.0012 with no warmup; a 10 % warmup buys nothing: it leaves the usable lr unchanged (ratio 1 [0.897, "
        "1.11], 90 % interval)."
    )


def test_the_headline_of_an_undecided_study_has_the_seeds_that_would_decide_it():
    assert headline(ADVICE, UNDECIDED, WARMUP) == (
        "Use lr 0.0012 with no warmup; whether a 10 % warmup changes the usable lr is undecided (ratio 1.19 [0.842, "
        f"1.68]; {UNDECIDED.num_seeds_needed} new seeds would decide it)."
    )


def test_a_recommended_warmup_is_not_said_to_buy_nothing():
    lowers_the_loss = Recommendation(0.0012, 0.5, 30, "", "")
    assert headline(lowers_the_loss, NOTHING, WARMUP).startswith(
        "Use lr 0.0012 with a warmup of 30 updates; a 10 % warmup leaves the usable lr unchanged (ratio 1"
    )


def test_without_a_recommended_lr_the_headline_has_the_reason_and_what_was_decided():
    assert headline(NO_LR, UNDECIDED, WARMUP) == NO_LR.lr_reason
    assert headline(NO_LR, RAISES, WARMUP).startswith(f"{NO_LR.lr_reason} A 10 % warmup raises the usable lr by")


def test_a_ratio_whose_grid_ends_too_low_is_a_bound():
    censored = warmup_gain(trials_up_to([3, 4] * 6, [7] * 12))
    assert "raises the usable lr by a factor of at least 3.36 [" in headline(ADVICE, censored, WARMUP)


def test_an_undecided_study_gives_the_command_for_new_seeds():
    needed = UNDECIDED.num_seeds_needed
    assert gain_sentence(UNDECIDED, WARMUP, COMMAND) == (
        "Why the effect of the warmup is undecided: the ratio is neither shown to differ from 1 nor to "
        "be between 0.8 and 1.25. To run new seeds, which are judged alone (80 % power): python train.py "
        f"-m experiment=lr_jitter task=trec study=lr_jitter_more 'seed=range(12,{12 + needed})'"
    )
    own = gain_sentence(UNDECIDED, WARMUP, f"{COMMAND} hydra.sweep.dir=runs/a")
    assert f"hydra.sweep.dir=runs/a_more 'seed=range(12,{12 + needed})'" in own, "not into the folder of this sweep"
    agree = warmup_gain(trials_up_to([4] * 12, [4] * 12))
    assert gain_sentence(agree, WARMUP, COMMAND).endswith("more seeds would not.")


def test_a_decided_study_says_how():
    assert gain_sentence(RAISES, WARMUP, COMMAND) == (
        "The ratio of the usable lr with a 10 % warmup to that without, paired over 12 seeds, is 1.59 [1.13, 2.23]. It "
        "is shown to be above 1 (paired t-test at 5 %)."
    )
    assert "shown to be below 1" in gain_sentence(LOWERS, WARMUP, COMMAND)
    assert gain_sentence(NOTHING, WARMUP, COMMAND).endswith(
        "is 1 [0.897, 1.11] (90 % interval). It is shown to be between 0.8 and 1.25 (two one-sided t-tests at 5 %)."
    )


def test_the_usable_rates_have_their_intervals():
    """All cold seeds agree, so that interval is one grid step to each side.

    8 of 12 warmed seeds are at 0.0034 and 4 at 0.0047: the t-interval of [0.0034, 0.0042], and 1/6 step to each side.
    """
    assert lr50_sentence(RAISES, WARMUP) == (
        "The usable lr, at which half of the runs fail (lr50), is 0.0024 [0.0017, 0.0034] cold and 0.0038 [0.0032, "
        "0.0045] after a 10 % warmup, each with its 95 % interval."
    )
    assert lr50_sentence(warmup_gain([]), WARMUP) == ""
