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
