"""A chart for each column of numbers over warmup length."""

import numpy as np
import pytest
from fake_arms import failures, make_arm, metric
from report_files import data_rows

from warmup_lab.figures.column_charts import WILSON, draw_columns, mark_notes, vertical_range
from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.over_warmup import Column, metric_column
from warmup_lab.figures.palette import COLOURS
from warmup_lab.figures.seed_dots import SeedValues

LOSS = metric_column("eval_loss")


@pytest.fixture
def layout():
    """Lengths 0, 10 and 50 at two learning rates; of the larger rate without warmup no run learned."""
    return make_layout(
        [
            make_arm(0, metrics={"eval_loss": metric(0.5, 0.4, 0.6)}),
            make_arm(10, metrics={"eval_loss": metric(0.3)}, failed=failures(1, 6), num_learned=5),
            make_arm(50, metrics={"eval_loss": metric(0.2, 0.1, 0.3)}),
            make_arm(0, lr=1e-2, metrics={"eval_loss": metric(None)}, failed=failures(6, 6), num_learned=0),
            make_arm(50, lr=1e-2),
        ]
    )


def test_range_holds_all_means_and_cuts_wide_intervals():
    """Spread of the means 1, so intervals count up to 1.5 beyond them: from -0.5, but not below 0, to 3.5."""
    rows = [{"mean": 1.0, "low": -50.0, "high": 52.0}, {"mean": 2.0, "low": 1.9, "high": 2.1}, {"mean": None}]
    assert vertical_range(rows) == pytest.approx([-0.21, 3.71])


def test_range_holds_the_dots_inside_the_outer_fences():
    """Quartiles 1 and 2, so the fences are at -2 and 5: a dot at 4 counts, one at 40 does not. Margin 6 % of 3.5."""
    rows = [{"mean": 1.5, "low": 1.0, "high": 2.0}]
    low, high = vertical_range(rows, [0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 40.0])
    assert np.quantile([0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 40.0], [0.25, 0.75]).tolist() == [1.0, 2.0]
    assert (low, high) == pytest.approx((0.5 - 0.21, 4.0 + 0.21))


def test_range_without_numbers_or_spread_is_not_empty():
    assert vertical_range([{"mean": None}]) == pytest.approx([-0.06, 1.06])
    low, high = vertical_range([{"mean": 0.0, "low": 0.0, "high": 0.0}])
    assert low < 0 < high


def test_cells_name_column_and_panel():
    arms = [
        make_arm(10, scheduler=f"s{kind}", lr=10.0**-rate, metrics={"eval_loss": metric(0.5)})
        for rate in range(3)
        for kind in range(2)
    ]
    rows = draw_columns([LOSS, metric_column("excess")], make_layout(arms))
    assert [[cell.subtitle for cell in row] for row in rows] == [
        ["Final evaluation loss · s0"],
        ["Final evaluation loss · s1"],
    ], "a column without numbers is left out"


def test_nothing_is_drawn_without_numbers():
    assert draw_columns([LOSS], make_layout([make_arm(10)])) == []


def test_column_can_add_to_its_charts(layout):
    column = Column("Title", "axis", LOSS.read, decorate=lambda chart: chart.properties(height=7))
    ((cell,),) = draw_columns([column], layout)
    assert cell.spec["height"] == 7


def digits(arms):
    """The digits of the chart of `excess`, as the arm, the number and the side of the marker."""
    ((cell,),) = draw_columns([metric_column("excess")], make_layout(arms))
    drawn = {layer["transform"][0]["filter"] for layer in cell.spec["layer"] if layer["mark"]["type"] == "text"}
    rows = [row for row in data_rows(cell.spec) if row.get("few_at")]
    assert drawn == {f"datum.few_at == '{row['few_at']}'" for row in rows}, "a layer for each side that is used"
    return cell, {(row["arm"], row["few"], row["few_at"]) for row in rows}


def arm_of_few(lr, mean, num_runs, **changes):
    return make_arm(10, lr=lr, metrics={"excess": {"num_runs": num_runs, "mean": mean, "interval": None}}, **changes)


def test_mean_of_a_single_run_has_its_number_beside_the_marker():
    alone = arm_of_few(1e-3, 0.2, 1, num_learned=1, failed=failures(5, 6))
    cell, found = digits([alone, make_arm(10, lr=1e-2, metrics={"excess": metric(0.1)})])
    assert [row[1:] for row in found] == [(1, "above")], "away from the other mean, which is below"
    assert cell.subtitle == "Excess oscillation over the reference"


def test_digits_of_means_that_meet_are_on_different_sides():
    """Four lines meet at one length. `2 runs` beside each marker would be drawn over the other three."""
    arms = [arm_of_few(10.0**-n, 0.2 + n / 1000, num_runs) for n, num_runs in enumerate((1, 2, 6, 6))]
    _, found = digits(arms)
    assert {row[1:] for row in found} == {(1, "below"), (2, "above")}


def test_number_of_runs_is_in_the_subtitle_if_all_means_have_it():
    cell, found = digits([arm_of_few(1e-3, 0.2, 2), arm_of_few(1e-2, 0.1, 2)])
    assert (cell.subtitle, found) == ("Excess oscillation over the reference · 2 runs each", set())
    assert cell.title == "Lowest with 10 % warmup, lr 0.01: 0.1"


def test_title_has_the_number_of_runs_where_it_differs():
    arms = [arm_of_few(1e-3, 0.2, 6), arm_of_few(1e-2, 0.1, 2)]
    assert digits(arms)[0].title == "Lowest with 10 % warmup, lr 0.01: 0.1 (2 runs)"


def test_every_seed_is_a_dot_and_a_failed_one_is_hollow(layout):
    name = layout.arms[1]["name"]
    seeds = SeedValues({"eval_loss": {name: {0: 0.3, 1: 0.25, 4: 0.6931}}}, {name: {4}})
    ((cell,),) = draw_columns([metric_column("eval_loss", seeds)], layout)
    (dots,) = [row for row in data_rows(cell.spec) if "dot_x" in row]
    assert (dots["arm"], dots["seed"], dots["y"]) == (name, [0, 1, 4], [0.3, 0.25, 0.6931])
    assert dots["fill"] == [COLOURS[0], COLOURS[0], "#ffffff"]
    assert np.mean(dots["dot_x"]) == pytest.approx(0.91), "around the mean of the arm"
    assert cell.spec["layer"][0]["encoding"]["y"]["scale"] == cell.spec["layer"][1]["encoding"]["y"]["scale"]


def note_row(**changes):
    return {"mean": 0.5, "low": 0.4, "high": 0.6, "few": 0, "fill": COLOURS[0], "cross": False, "note": ""} | changes


@pytest.mark.parametrize(
    ("changes", "dots", "words"),
    [
        ({}, [], ["Vertical lines: 95 % t-intervals."]),
        ({"low": None, "high": None}, [], []),
        ({"few_at": "above", "low": None, "high": None}, [], ["Digit"]),
        ({"low": -1.0}, [], ["Vertical lines", "Intervals and dots are cut"]),
        ({"fill": "#ffffff"}, [], ["Vertical lines", "Hollow marker"]),
        ({"mean": None, "cross": True, "fill": "#ffffff"}, [], ["Cross"]),
        ({"note": "A sentence."}, [], ["A sentence.", "Vertical lines"]),
        ({}, [{"y": [0.5], "fill": [COLOURS[0]]}], ["Vertical lines", "Dots: single seeds."]),
        ({}, [{"y": [0.5], "fill": ["#ffffff"]}], ["Vertical lines", "Dots: single seeds.", "Hollow dot"]),
    ],
)
def test_the_caption_names_only_the_marks_that_are_drawn(changes, dots, words):
    notes = mark_notes([note_row(**changes)], dots, [0.0, 1.0], share=False)
    assert len(notes) == len(words)
    assert all(note.startswith(word) for note, word in zip(notes, words, strict=True))


def test_shares_have_wilson_intervals():
    assert mark_notes([note_row()], [], [0.0, 1.0], share=True) == (WILSON,)
