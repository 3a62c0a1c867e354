"""The figure of the usable learning rate."""

import numpy as np
import pytest
from fake_arms import failures, make_arm
from report_files import data_rows
from scipy.optimize import brentq

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.usable_lr import RIDGE, curve_table, logistic_fit, seen_lr50, usable_lr_figure, usable_lr_table

LRS = (1e-3, 1e-2)


def arms_of(warmup_steps, counts, **changes):
    return [
        make_arm(warmup_steps, lr=lr, failed=failures(count, 6, 0.1, 0.9), **changes)
        for lr, count in zip(LRS, counts, strict=True)
    ]


def line_of(arms, lr50, *, interval=(2e-3, 5e-3), reaches_low=True, reaches_high=True):
    """A row of the section `lr_lines` of `comparison.json`."""
    usable = {"lr50": lr50, "interval": interval, "reaches_low": reaches_low, "reaches_high": reaches_high}
    return {"name": "line", "arms": [arm["name"] for arm in arms], "lrs": list(LRS), "usable": usable}


COLD, WARM = arms_of(0, (3, 6)), arms_of(10, (0, 6))
LINES = [line_of(COLD, 1e-3, interval=None, reaches_low=False), line_of(WARM, 3e-3)]


@pytest.fixture
def table():
    return usable_lr_table(LINES, make_layout([*COLD, *WARM]))


def test_table_has_the_failures_at_each_lr(table):
    assert [row["line"] for row in table] == ["0 updates of warmup (0 %)", "10 updates of warmup (10 %)"]
    assert [row["lr"] for row in table] == [[1e-3, 1e-2]] * 2
    assert [row["share"] for row in table] == [[0.5, 1.0], [0.0, 1.0]]
    assert table[0]["runs"] == ["3 of 6", "6 of 6"]
    assert (table[0]["low"], table[0]["high"]) == ([0.1, 0.1], [0.9, 0.9])


def test_table_has_lr50_and_says_where_it_is_open(table):
    assert [(row["lr50"], row["lr50_low"], row["lr50_high"], row["open"]) for row in table] == [
        (1e-3, None, None, True),
        (3e-3, 2e-3, 5e-3, False),
    ]


def test_an_lr_without_finished_runs_is_left_out():
    arms = [*arms_of(0, (3, 6)), make_arm(0, lr=0.1, failed=failures(0, 0))]
    (row,) = usable_lr_table([line_of(arms, 1e-3)], make_layout(arms))
    assert row["lr"] == [1e-3, 1e-2]


def test_lines_of_several_kinds_share_a_panel_up_to_five_lines():
    arms, lines = [], []
    for number in range(6):
        own = arms_of(0, (3, 6), scheduler=f"s{number}")
        arms, lines = [*arms, *own], [*lines, line_of(own, 1e-3)]
    together = usable_lr_table(lines[:5], make_layout(arms[:10]))
    assert {row["panel"] for row in together} == {""}
    assert together[1]["line"] == "s1, 0 updates of warmup (0 %)"
    apart = usable_lr_table(lines, make_layout(arms))
    assert [row["panel"] for row in apart] == [f"s{number}" for number in range(6)]
    assert {row["line"] for row in apart} == {"0 updates of warmup (0 %)"}


def test_fit_of_complete_separation_solves_the_penalised_equations():
    """0 of 6 fail at x = -1/2 and 6 of 6 at x = 1/2: a = 0 by symmetry, and the gradient is 6 p(-b/2) - RIDGE b."""
    slope = brentq(lambda b: 6 / (1 + np.exp(b / 2)) - RIDGE * b, 0, 100)
    assert logistic_fit(LRS, [0, 6], [6, 6]) == pytest.approx((0, slope), abs=1e-4)


def test_fit_of_many_runs_is_the_logit_of_their_shares():
    """20 % and 80 % of 10,000 runs: logit(0.8) = ln 4 at x = 1/2, so the slope is 2 ln 4."""
    assert logistic_fit(LRS, [2000, 8000], [10_000, 10_000]) == pytest.approx((0, 2 * np.log(4)), abs=1e-3)


def test_fit_stays_finite_if_nothing_or_everything_fails():
    for failed in ([0, 0], [6, 6]):
        assert np.isfinite(logistic_fit(LRS, failed, [6, 6])).all()


def test_curve_rises_through_half_in_the_middle_of_the_grid(table):
    curve = curve_table(table)[1]
    shares, lrs = np.array(curve["share"]), np.array(curve["lr"])
    assert (np.diff(shares) > 0).all()
    assert np.exp(np.interp(0.5, shares, np.log(lrs))) == pytest.approx(10**-2.5, rel=0.01)


def test_figure_draws_points_curves_and_lr50():
    figure = usable_lr_figure(LINES, make_layout([*COLD, *WARM]))
    ((cell,),) = figure.rows
    rows = data_rows(cell.spec)
    marks = [row for row in rows if "lr50" in row]
    assert [(row["lr50"], row["low"], row["high"]) for row in marks] == [(1e-3, 1e-3, 1e-3), (3e-3, 2e-3, 5e-3)]
    assert [row["fill"] == "#ffffff" for row in marks] == [True, False], "hollow if open"
    assert [row["share"] for row in rows if "runs" in row] == [[0.5, 1.0], [0.0, 1.0]]
    assert figure.lines == ["0 updates of warmup (0 %)", "10 updates of warmup (10 %)"]


def test_figure_without_lr_lines_is_empty():
    assert usable_lr_figure([], make_layout([*COLD, *WARM])).rows == []


def test_title_says_where_half_of_the_runs_fail():
    low, high, beyond = ({"lr50": lr50, "open": lr50 > 0.005} for lr50 in (0.00182, 0.00335, 0.0057))
    assert seen_lr50([high, low]) == "Half of the runs fail at lr 0.0018 to 0.0034"
    assert seen_lr50([high]) == "Half of the runs fail at lr 0.0034"
    assert seen_lr50([low, beyond]) == "Half of the runs fail at lr 0.0018, or outside of the rates tried"
    assert seen_lr50([beyond]) == "The rates tried do not enclose that at which half of the runs fail"
