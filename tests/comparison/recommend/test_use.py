"""Which arm a recommendation uses."""

from dataclasses import replace

import pytest

from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.use import used, warmup_percent
from warmup_lab.comparison.statistics import wilson


def changed(sweep, effect, failed_with=0, failed_without=0):
    found = read_findings(sweep)
    sides = {
        "with": replace(found.confirmation.sides["with"], failed=wilson(failed_with, 6)),
        "without": replace(found.confirmation.sides["without"], failed=wilson(failed_without, 6)),
    }
    return used(replace(found, confirmation=replace(found.confirmation, effect=effect, sides=sides)))


@pytest.mark.parametrize(("effect", "steps"), [("needed", 12), ("harmful", 0), ("same", 0), ("small", 0)])
def test_what_is_shown_decides(effect, steps, decided):
    assert changed(decided, effect).warmup_steps == steps


def test_fewer_failures_decide_what_is_open(decided):
    assert changed(decided, "undecided", failed_with=2, failed_without=1).start == "without"
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


def test_the_better_mean_decides_what_is_open_with_equal_failures(decided):
    found = read_findings(decided)
    for with_, without, start in ((0.3, 0.2, "without"), (0.2, 0.3, "with")):
        sides = {
            "with": replace(found.confirmation.sides["with"], mean=with_),
            "without": replace(found.confirmation.sides["without"], mean=without),
        }
        confirmation = replace(found.confirmation, effect="undecided", sides=sides)
        assert used(replace(found, confirmation=confirmation)).start == start
        accuracy = replace(found.question, smaller_is_better=False)
        assert used(replace(found, confirmation=confirmation, question=accuracy)).start != start


def test_the_warmup_of_shortened_runs_is_that_of_a_whole_run(shortened):
    use = used(read_findings(shortened))
    assert (use.start, use.run_warmup_steps, use.warmup_steps) == ("with", 6, 12)


@pytest.mark.parametrize(("steps", "total", "percent"), [(3, 27, 10), (36, 360, 10), (2, 27, 200 / 27), (0, 5, 0)])
def test_a_warmup_of_ten_percent_is_called_so_where_it_is_rounded_up(steps, total, percent):
    """Seen: `3 updates of warmup (11 %)` beside an arm `10 %`."""
    assert warmup_percent(steps, total) == pytest.approx(percent)
