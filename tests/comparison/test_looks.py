"""Which arms still need seeds, on made-up tables of runs."""

import numpy as np
from fake_runs import arm, failing, lr_line, table
from fake_sweep import Outcome, make_job, make_sweep

from warmup_lab.comparison.looks import decide, decide_look
from warmup_lab.comparison.verdicts import Question

TENTH, NONE, HALF = (f"warmuplinear-w{steps}-lr0.001" for steps in (36, 0, 180))


def losses(mean, num_seeds=6, *, seed=0, spread=0.01):
    return np.random.default_rng(seed).normal(mean, spread, num_seeds)


def question(*, margin=0.1, looks=(6, 12, 24), **stated):
    return Question("eval_loss", margin=margin, looks=looks, **stated)


def open_arms(*arms, **stated):
    return set(decide(table(*arms), question(**stated)).open_arms)


def test_an_arm_that_is_clearly_different_stops_with_its_reference():
    decision = decide(table(arm(losses(0.5)), arm(losses(0.9, seed=1), 0)), question())
    assert decision.open_arms == frozenset()
    assert (decision.num_undecided, decision.has_tests) == (0, True)


def test_an_undecided_arm_keeps_its_reference():
    """Differences of mean 0 whose spread is far above the margin: nothing can be decided."""
    first, other = losses(0.5, spread=0.3), losses(0.5, spread=0.3, seed=3)
    decision = decide(table(arm(first), arm(other, 0)), question())
    assert decision.open_arms == {TENTH, NONE}
    assert decision.num_undecided == 1


def test_a_decided_arm_stops_beside_an_undecided_one():
    """Two schedulers with two lengths each: over two lengths, a trend keeps nobody."""
    undecided = arm(losses(0.5, spread=0.3)), arm(losses(0.5, spread=0.3, seed=3), 0)
    decided = [arm(losses(mean, seed=steps), steps, scheduler="warmupcosine") for mean, steps in ((0.5, 36), (0.9, 0))]
    assert open_arms(*undecided, *decided) == {TENTH, NONE}


def test_an_open_trend_keeps_decided_arms():
    """A U shape: both other lengths are worse than the middle one, and no trend is seen."""
    decision = decide(table(arm(losses(0.5)), arm(losses(0.9, seed=1), 0), arm(losses(0.9, seed=2), 180)), question())
    assert decision.num_undecided == 0
    assert decision.open_arms == {TENTH, NONE, HALF}


def test_a_decided_trend_keeps_nobody():
    decision = decide(table(arm(losses(0.5)), arm(losses(0.9, seed=1), 0), arm(losses(0.2, seed=2), 180)), question())
    assert decision.open_arms == frozenset()


def test_a_trend_over_two_lengths_without_a_reference_keeps_its_arms():
    """5 and 50 %: there are no pairs, so the trend is the only test."""
    arms = [arm(losses(0.5, seed=steps), steps) for steps in (18, 180)]
    assert open_arms(*arms) == {"warmuplinear-w18-lr0.001", HALF}


def test_arms_that_all_fail_stop_even_if_a_trend_is_open():
    arms = [failing(6, warmup=steps).assign(eval_loss=losses(0.6, seed=steps)) for steps in (0, 36, 180)]
    assert open_arms(*arms, margin=None) == set()


def test_an_arm_that_has_stopped_gets_no_seeds_again():
    """The arm without warmup has 6 seeds of 12; whatever its numbers say now, its pairs would be incomplete."""
    first = arm(losses(0.5, 12, spread=0.3))
    stopped, going = arm(losses(0.5, 6, spread=0.3, seed=3), 0), arm(losses(0.5, 12, spread=0.3, seed=4), 180)
    assert open_arms(first, stopped, going) == {TENTH, HALF}


def test_the_lines_of_an_undecided_lr50_stay_whole():
    """The arms that always learn and always fail are decided, but lr50 needs all of its line at a seed."""
    lrs = (1e-3, 2e-3, 4e-3, 8e-3)
    arms = [lr_line([2, 3, 2, 3, 2, 3], lrs, 36), lr_line([3, 2, 3, 2, 2, 3], lrs, 0)]
    assert len(open_arms(*arms)) == 8


def test_arms_that_are_not_compared_have_no_tests():
    decision = decide(table(arm(losses(0.5)), arm(losses(0.9), scheduler="warmupcosine")), question())
    assert decision == type(decision)(frozenset(), 0, has_tests=False)


def test_a_folder_is_decided_by_arm_id(tmp_path):
    """The arms of one scheduler differ too much between seeds, those of the other are equivalent."""

    def outcome(strategy):
        spread = 0.3 if strategy["scheduler"] == "warmuplinear" else 1e-3
        rng = np.random.default_rng([strategy["seed"], strategy["warmup_steps"]])
        return Outcome(metrics={"eval_loss": 0.5 + spread * rng.standard_normal()})

    make_sweep(tmp_path / "sweep", ratios=(0.0, 0.1), lrs=(1e-3,), outcome=outcome, compare={"looks": [6, 12]})
    undecided = {make_job("warmuplinear", ratio, 1e-3, 0, 120).arm_id for ratio in (0.0, 0.1)}
    assert decide_look(tmp_path / "sweep").open_arms == undecided
