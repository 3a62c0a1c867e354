"""Which arm a recommendation uses."""

from dataclasses import replace

import pytest

from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.use import used
from warmup_lab.comparison.statistics import wilson


def changed(sweep, effect, failed_with=0, failed_without=0):
    found = read_findings(sweep)
    sides = {
        "with": replace(found.confirmation.sides["with"], failed=wilson(failed_with, 6)),
        "without": replace(found.confirmation.sides["without"], failed=wilson(failed_without, 6)),
    }
    return used(replace(found, confirmation=replace(found.confirmation, effect=effect, sides=sides)))


@pytest.mark.parametrize(("effect", "steps"), [("needed", 12), ("harmful", 0), ("same", 0), ("undecided", 12)])
def test_the_warmup_is_used_unless_it_is_shown_to_harm_or_not_to_matter(effect, steps, decided):
    assert changed(decided, effect).warmup_steps == steps


def test_fewer_failures_decide_what_is_open(decided):
    assert changed(decided, "undecided", failed_with=2, failed_without=1).start == "without"
    assert changed(decided, "undecided", failed_with=1, failed_without=1).start == "with"
    assert changed(decided, "needed", failed_with=2).start == "with"


def test_nothing_is_used_if_most_runs_fail(decided):
    assert changed(decided, "both_fail") is None
    found = read_findings(decided)
    assert used(replace(found, choice=replace(found.choice, all_failed=True))) is None
    assert used(replace(found, choice=None)) is None


def test_before_the_confirmation_the_best_of_the_grid(decided):
    found = read_findings(decided)
    use = used(replace(found, confirmation=None))
    assert (use.lr, use.start, use.seeds) == (found.choice.lr, found.choice.start, 3)


def before(sweep, difference, failed_with=0):
    """Before the confirmation, the chosen start is without warmup, and the warmup is worse by `difference`."""
    found = read_findings(sweep)
    lr, seeds = found.choice.lr, [0.3, 0.31, 0.32]
    values = {"without": seeds, "with": [value + one for value, one in zip(seeds, difference, strict=True)]}
    rows = [
        replace(row, values=dict(enumerate(values[row.start])), failed=wilson(failed_with * (row.start == "with"), 3))
        for row in found.grid
        if row.lr == lr
    ]
    return used(replace(found, confirmation=None, grid=tuple(rows), choice=replace(found.choice, start="without")))


def test_before_the_confirmation_the_warmup_is_kept_unless_the_seeds_are_better_without_it(decided):
    assert before(decided, [0.1, -0.05, 0.05]).start == "with"
    assert before(decided, [0.1, 0.11, 0.1]).start == "without"
    assert before(decided, [0.1, -0.05, 0.05], failed_with=1).start == "without"


def test_the_warmup_of_shortened_runs_is_that_of_a_whole_run(shortened):
    use = used(read_findings(shortened))
    assert (use.start, use.run_warmup_steps, use.warmup_steps) == ("with", 6, 12)
