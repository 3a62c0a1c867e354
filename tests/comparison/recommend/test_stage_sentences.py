"""The wording of the stages and of the time."""

from dataclasses import replace

import pytest

from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.ramp import RampResult, SeedRamp
from warmup_lab.comparison.recommend.stage_sentences import (
    budget_sentence,
    choosing_seeds,
    cold_sentence,
    grid_sentence,
    needed_sentence,
    ramp_sentence,
)
from warmup_lab.comparison.statistics import wilson

RAMP = RampResult(
    0.0054, 0.005, 0.006, 4e-4, 1e-4, 0.1, 300, False, True, (SeedRamp(0, 0.005), SeedRamp(1, 0.006))
)  # fmt: skip
UNBROKEN = replace(RAMP, lr=None, low=None, high=None, seeds=(SeedRamp(0, None), SeedRamp(1, None)))


@pytest.mark.parametrize(
    ("ramp", "sentence"),
    [
        (RAMP, "The loss breaks at lr 0.0054 (0.005 to 0.006) on 2 ramps of 300 updates from lr 0.0001 to 0.1."),
        (replace(RAMP, early=True), "first quarter of the ramp, so the break may be at a lower lr."),
        (replace(RAMP, learned=False), "Nothing had been learned by then, so the break may be at a lower lr."),
        (replace(RAMP, updates=60), "A ramp of 60 updates breaks late, so longer runs may break at a lower lr."),
        (
            UNBROKEN,
            "No break is visible on 2 ramps of 300 updates from lr 0.0001 to 0.1: the loss fell at lr 0.0004 and did "
            "not rise again. The runs have to show which lr is too large.",
        ),
        (replace(UNBROKEN, seeds=RAMP.seeds[:1] + UNBROKEN.seeds[:1]), "fell at lr 0.0004 and rose on 1 of them only"),
        (
            replace(UNBROKEN, fall_lr=None, learned=False),
            "2 ramps of 300 updates from lr 0.0001 to 0.1 show nothing: the loss neither fell nor rose",
        ),
    ],
)
def test_where_the_ramps_break(ramp, sentence):
    assert sentence in ramp_sentence(ramp)


def test_the_rates_and_the_time(decided, undecided, shortened):
    assert grid_sentence(read_findings(decided)).startswith(
        "Mean final evaluation loss without / with warmup at 3 seeds: lr 0.001: 0.5"
    )
    found = read_findings(undecided)
    assert f"The next look needs compare.budget_minutes={found.plan.needed_minutes}." in budget_sentence(found)
    assert budget_sentence(replace(found, plan=replace(found.plan, run_seconds=None))) == ""
    assert needed_sentence(read_findings(decided)) == ""
    plan = read_findings(shortened).plan
    whole = f"A whole answer needs compare.budget_minutes={plan.needed_minutes} ({plan.needed_parts})."
    assert needed_sentence(read_findings(shortened)) == whole
    assert "A whole run takes" not in budget_sentence(read_findings(shortened))  # a second estimate of the same time
    assert "A whole run takes about 12 s; the stages took" in budget_sentence(found)


def test_seeds_are_a_range_if_the_best_rates_have_more(decided):
    found = read_findings(decided)
    assert choosing_seeds(found) == "3 seeds"
    fewer = replace(found.grid[0], values={0: 0.5})
    assert choosing_seeds(replace(found, grid=(fewer, *found.grid[1:]))) == "1 to 3 seeds"


def test_failures_without_warmup_below_the_break_are_explained(decided):
    """The ramps of `decided` break at a rate that is larger than 0.0041."""
    found = read_findings(decided)
    assert cold_sentence(found) == ""

    def failing(*starts: str):
        """Runs with these starts fail at lr 0.0041."""
        grid = [replace(row, failed=wilson(row.lr > 0.004 and row.start in starts, 3)) for row in found.grid]
        return replace(found, grid=tuple(grid), ramp=replace(RAMP, lr=0.0054))

    broken = failing("without")
    assert cold_sentence(broken) == " A ramp is itself a warmup: without one, runs failed at lr 0.0041 already."
    assert cold_sentence(failing("without", "with")) == ""  # seen on runs that were too short to learn
    assert cold_sentence(replace(broken, ramp=replace(RAMP, lr=0.003))) == ""
    assert cold_sentence(replace(broken, ramp=UNBROKEN)) == ""
