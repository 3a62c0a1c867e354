"""Failed runs of each kind, counted per arm, and their sentence."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, arm, table

from warmup_lab.comparison.failure_kinds import failure_sentences, with_failure_kinds

STEPS = np.arange(100)
FLAT = np.full(100, GUESS_LOSS)
FALLING = GUESS_LOSS * (1 - 0.0003 * STEPS)
RISING = FLAT + 0.2 * (STEPS > 60)
NONE = {"unstable": 0, "too_slow": 0, "stuck": 0, "unknown": 0}


def sweep_of(losses):
    return SimpleNamespace(traces={run_id: {"loss": loss} for run_id, loss in losses.items()})


def arm_row(name, *aliases):
    return {"name": name, "aliases": list(aliases)}


def test_the_failed_runs_of_each_arm_are_counted_by_kind():
    runs = table(
        arm([0.7] * 6, name="a", total=100, failed_to_learn=[True] * 5 + [False], run_id=list("abcdef"),
            status=["completed"] * 4 + ["error", "completed"]),
        arm([0.7] * 2, name="b", total=100, failed_to_learn=True, run_id=["g", "h"], status="diverged"),
        arm([0.7], name="also b", total=100, failed_to_learn=True, run_id=["i"]),
        arm([0.3], name="c", total=100, run_id=["j"]),
    )  # fmt: skip
    traces = {"a": FLAT, "b": FALLING, "c": RISING, "e": FLAT, "f": RISING, "g": FLAT[:20], "i": FLAT[:40], "j": RISING}
    arms = [arm_row("a"), arm_row("b", "also b"), arm_row("c")]
    found = with_failure_kinds(arms, runs, sweep_of(traces))
    assert [one["name"] for one in found] == ["a", "b", "c"]
    assert [one["failure_kinds"] for one in found] == [
        {"unstable": 1, "too_slow": 1, "stuck": 1, "unknown": 1},
        NONE | {"unstable": 3},
        NONE,
    ]


def test_without_the_loss_of_guessing_only_diverged_runs_have_a_kind():
    runs = table(arm([0.7] * 2, name="a", guess_loss=np.nan, failed_to_learn=True, run_id=["a", "b"],
                     status=["diverged", "completed"]))  # fmt: skip
    (found,) = with_failure_kinds([arm_row("a")], runs, sweep_of({"a": FLAT, "b": FLAT}))
    assert found["failure_kinds"] == NONE | {"unstable": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        ([NONE], None),
        (
            [NONE | {"unstable": 9}, NONE, NONE | {"too_slow": 4}],
            "Of 13 failed runs, 9 were unstable (diverged, or the loss rose: lower the learning rate or warm up "
            "longer), 4 were too slow (the loss was still falling at the end: raise the number of updates or the "
            "learning rate).",
        ),
        (
            [NONE | {"stuck": 2}, NONE | {"stuck": 1}],
            "All 3 failed runs were stuck (the loss neither rose nor fell at the end: try another learning rate).",
        ),
        ([NONE | {"unknown": 1}], "The failed run was too short to tell why."),
    ],
)
def test_the_sentence_names_the_kinds_that_occurred_and_what_helps(kinds, sentence):
    assert failure_sentences([{"failure_kinds": one} for one in kinds]) == ([sentence] if sentence else [])
