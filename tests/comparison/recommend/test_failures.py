"""Why runs failed, and when more updates are advised."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, arm, table

from warmup_lab.comparison.recommend.choice import GridRow
from warmup_lab.comparison.recommend.failures import advised_updates, failing_from, failure_counts, lacks_updates
from warmup_lab.comparison.statistics import wilson

FLAT = np.full(100, GUESS_LOSS)
NONE = {"unstable": 0, "too_slow": 0, "stuck": 0, "too_short": 0}


def test_runs_of_few_updates_are_too_short_unless_their_loss_ends_above_guessing():
    runs = table(
        arm([0.7] * 5, name="a", total=27, failed_to_learn=[True] * 4 + [False], run_id=list("abcde"),
            status=["completed"] * 3 + ["diverged", "completed"]),
        arm([0.7] * 3, name="b", total=100, failed_to_learn=True, run_id=list("fgh")),
    )  # fmt: skip
    short = FLAT[:27]
    traces = {
        "a": short, "b": short * 1.04, "c": np.append(short[:-2], [1.06 * GUESS_LOSS] * 2), "d": short[:5], "e": short,
        "f": FLAT, "g": FLAT * (1 - 0.0003 * np.arange(100)), "h": FLAT + 0.2 * (np.arange(100) > 60),
    }  # fmt: skip
    sweep = SimpleNamespace(traces={run_id: {"loss": loss} for run_id, loss in traces.items()})
    found = failure_counts(runs, sweep)
    assert found == {"unstable": 3, "too_slow": 1, "stuck": 1, "too_short": 2}


def test_more_updates_help_where_most_failed_runs_did_not_become_unstable():
    assert lacks_updates(NONE | {"too_slow": 2, "unstable": 1})
    assert not lacks_updates(NONE | {"too_short": 1, "unstable": 1})
    assert not lacks_updates(NONE)


def test_as_many_updates_as_a_ramp_that_learned_or_four_times_as_many():
    assert advised_updates(27, 300) == 300
    assert advised_updates(513, 200) == 2052


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        # Runs of 1 seed at lr 1, 2 and 3, (without, with) warmup. The first case was seen: all failed runs were flat.
        ([(0, 0), (1, 0), (1, 1)], 2.0),
        ([(0, 0), (0, 0), (0, 1)], 3.0),
        ([(0, 0), (1, 0), (0, 0)], None),  # no failure at the largest lr
        ([(1, 1), (0, 0), (1, 1)], None),
        ([(1, 0), (1, 0), (1, 0)], None),  # no lr at which all learned
        ([(0, 0), (0, 0), (0, 0)], None),
    ],
)
def test_runs_that_fail_only_at_the_largest_rates(failed, expected):
    grid = [
        GridRow(float(lr), start, 36, f"{start} {lr}", wilson(number, 1), 0.5, {0: 0.5})
        for lr, pair in enumerate(failed, 1)
        for start, number in zip(("without", "with"), pair, strict=True)
    ]
    assert failing_from(grid) == expected
