"""The figure of `lr_jitter`."""

import pytest
from fake_arms import failures
from report_files import data_rows

from warmup_lab.figures.lr_jitter import (
    curve_rows,
    failure_table,
    jitter_figure,
    loss_range,
    lr50_table,
    rate_labels,
)


def curve(seed, lr, share, loss):
    return {"seed": seed, "lr": lr, "share": share, "loss": loss, "low": 0.0, "high": 1.0, "overshoots": 1, "probed": 2}


CURVES = [curve(None, 0.1, 0.0, 2.0), curve(None, 1.0, 0.5, 9.0), curve(0, 0.1, None, 2.0), curve(0, 1.0, 0.5, None)]
TRIALS = [
    {"lr": 0.5, "start": "cold", "multiple": 0.5, "share": 0.8, "survived": failures(4, 5, 0.4, 0.9)},
    {"lr": 0.5, "start": "warmed", "multiple": 0.5, "share": 1.0, "survived": failures(5, 5, 0.6, 1.0)},
    {"lr": 2.0, "start": "cold", "multiple": 2.0, "share": 0.0, "survived": failures(0, 5, 0.0, 0.4)},
]
SECTION = {
    "curves": CURVES,
    "trials": TRIALS,
    "ramps": [{"seed": 0, "lr": 0.9}, {"seed": 1, "lr": None}],
    "jitter_lr": {"median": 1.0},
    "gain": {"lr50": {"cold": {"lr50": 1.0, "interval": [0.7, 1.4]}, "warmed": {"lr50": 1.2, "interval": [1.0, 1.5]}}},
}


def test_curves_are_pooled_or_of_single_seeds():
    assert curve_rows(CURVES, "share", pooled=True) == CURVES[:2]
    assert curve_rows(CURVES, "share", pooled=False) == CURVES[3:]
    assert curve_rows(CURVES, "loss", pooled=False) == CURVES[2:3]


def test_loss_is_drawn_up_to_two_and_a_half_times_its_start():
    assert loss_range(CURVES) == [0.0, 5.0]
    assert loss_range([curve(None, 0.1, 0.0, 2.0), curve(None, 1.0, 0.0, -1.0)]) == [-1.0, 2.0]


def test_failures_of_cold_and_warmed_runs_are_side_by_side():
    table = failure_table(TRIALS)
    assert [row["x"] for row in table] == pytest.approx([0.5 / 1.06, 0.5 * 1.06, 2.0 / 1.06])
    assert [(row["line"], row["share"], row["low"], row["high"], row["runs"]) for row in table] == [
        ("cold start", pytest.approx(0.2), pytest.approx(0.1), 0.6, "1 of 5"),
        ("through a warmup", 0.0, 0.0, 0.4, "0 of 5"),
        ("cold start", 1.0, 0.6, 1.0, "5 of 5"),
    ]


def test_lr50_is_marked_with_its_interval():
    assert lr50_table(SECTION["gain"]["lr50"]) == [
        {"line": "cold start", "lr50": 1.0, "low": 0.7, "high": 1.4, "y": 0.53},
        {"line": "through a warmup", "lr50": 1.2, "low": 1.0, "high": 1.5, "y": 0.47},
    ]
    assert lr50_table({}) == lr50_table({"cold": {"lr50": 1.0, "interval": None}}) == []


def test_labels_give_the_lr_and_its_multiple_at_halves_and_doubles():
    between = {"lr": 0.7, "start": "cold", "multiple": 2**-0.5}
    assert rate_labels([*TRIALS, between]) == {0.5: ["0.5", "1/2"], 2.0: ["2", "2x"]}
    assert rate_labels([between]) == {0.7: ["0.7"]}


def test_figure_has_failures_first_then_overshoot_and_loss():
    (cells,) = jitter_figure(SECTION).rows
    assert [(cell.title, cell.subtitle) for cell in cells] == [
        ("Half of the runs fail at lr 1 cold, 1.2 warmed", "Runs that diverged or failed to learn at a constant lr"),
        ("Updates overshoot from lr 1 on", "Updates that raised the loss on their own batch, along the ramps"),
        ("The loss is lowest at lr 0.1", "Training loss along the ramps"),
    ]
    assert lr50_table(SECTION["gain"]["lr50"])[0] in data_rows(cells[0].spec)
    rows = data_rows(cells[1].spec)
    assert {"lr": 0.9, "seed": 0, "foot": 0.0} in rows
    assert {"lr": 1.0, "text": "jitter from lr 1"} in rows


def test_figure_without_trials_has_only_the_ramps():
    (cells,) = jitter_figure(SECTION | {"trials": [], "jitter_lr": {"median": None}}).rows
    assert len(cells) == 2
    assert not any("text" in row for row in data_rows(cells[0].spec))


def test_the_caption_names_only_what_is_drawn():
    whole = jitter_figure(SECTION)
    for mark in ("Vertical lines", "Diamonds:", "overshoot:", "Ticks", "Dashed line"):
        assert mark in whole.caption
    assert len(whole.lines) == 2
    ramps = [{"seed": 0, "lr": None}]
    silent = jitter_figure(SECTION | {"trials": [], "jitter_lr": {"median": None}, "ramps": ramps})
    assert silent.caption == (
        "Dark line of the overshoot: all seeds, with the 95 % Wilson interval as a band. Thin lines: single seeds. "
        "Dark line of the loss: the median over the seeds."
    )
    assert silent.lines == []
    undecided = jitter_figure(SECTION | {"gain": {"lr50": {}}})
    assert "Vertical lines" in undecided.caption
    assert "Diamonds" not in undecided.caption


def test_charts_of_ramps_have_nothing_from_the_legend():
    (failures_chart, *ramps) = jitter_figure(SECTION).rows[0]
    assert (failures_chart.has_lines, [cell.has_lines for cell in ramps]) == (True, [False, False])


def test_figure_without_ramps_is_empty():
    assert jitter_figure(None).rows == []
