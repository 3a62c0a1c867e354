"""The figure of loss traces."""

import numpy as np
import pandas as pd
import pytest
from fake_arms import failures, make_arm

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.traces import (
    MAX_POINTS,
    families_of,
    finite_traces,
    median_over_seeds,
    points_per_line,
    rate_table,
    thinned,
    trace_table,
    traces_figure,
)

COLD, WARM = make_arm(0, name="cold", total_steps=4), make_arm(2, name="warm", total_steps=4)
RUNS = pd.DataFrame(
    [
        ("a", "cold", 1, "completed"),
        ("b", "cold", 0, "diverged"),
        ("c", "warm", 0, "completed"),
        ("d", "warm", 1, "error"),
        ("e", "warm", 2, "diverged"),
    ],
    columns=["run_id", "arm", "seed", "status"],
)
FINAL = "Final loss: the median over seeds and the last 10 % of updates."
FALLING = np.array([4.0, 3.0, 2.0, 1.0])
TRACES = {
    "a": {"loss": np.array([3.0, 5.0, 2.0, 1.0]), "lr": FALLING},
    "b": {"loss": np.array([1.0, 1e300, np.nan]), "lr": FALLING[:3]},
    "c": {"loss": np.array([2.0, 2.0, 2.0, 2.0]), "lr": np.array([0.0, 0.5, 1.0, 0.5])},
    "d": {"loss": np.array([9.0]), "lr": np.array([9.0])},
    "e": {"loss": np.array([np.nan]), "lr": np.array([0.0])},
}


@pytest.fixture
def layout():
    return make_layout([COLD, WARM])


@pytest.fixture
def by_arm():
    return finite_traces(RUNS, TRACES)


def test_errors_and_losses_that_are_not_finite_are_left_out(by_arm):
    assert {arm: list(seeds) for arm, seeds in by_arm.items()} == {"cold": [0, 1], "warm": [0]}
    assert by_arm["cold"][0]["loss"].tolist() == [1.0, 1e6]
    assert by_arm["cold"][0]["lr"].tolist() == [4.0, 3.0]


def test_a_family_differs_only_in_warmup(by_arm):
    layout = make_layout([COLD, WARM, make_arm(0, name="other", lr=1.0), make_arm(2, name="without traces")])
    families = families_of(by_arm | {"other": by_arm["warm"]}, layout)
    assert {family: [arm["name"] for arm in arms] for family, arms in families.items()} == {
        "warmuplinear 4 updates, lr 0.001": ["cold", "warm"],
        "warmuplinear 100 updates, lr 1": ["other"],
    }


def test_trace_table_has_single_runs_and_their_median(by_arm, layout):
    rows = trace_table(layout.arms, by_arm, layout, num_points=10)
    assert [(row["line"], row["seed"], row["step"], row["loss"]) for row in rows] == [
        ("0 updates of warmup (0 %)", 0, [0, 1], [1.0, 1e6]),
        ("0 updates of warmup (0 %)", 1, [0, 1, 2, 3], [3.0, 5.0, 2.0, 1.0]),
        ("0 updates of warmup (0 %)", None, [0, 1, 2, 3], [2.0, 500_000.0, 2.0, 1.0]),
        ("2 updates of warmup (50 %)", 0, [0, 1, 2, 3], [2.0, 2.0, 2.0, 2.0]),
        ("2 updates of warmup (50 %)", None, [0, 1, 2, 3], [2.0, 2.0, 2.0, 2.0]),
    ]


def test_at_most_eight_seeds_are_drawn_and_all_are_in_the_median(layout):
    seeds = {seed: {"loss": np.full(4, float(seed)), "lr": FALLING} for seed in range(21)}
    rows = trace_table(layout.arms[:1], {"cold": seeds}, layout, num_points=10)
    assert [row["seed"] for row in rows] == [*range(8), None]
    assert rows[-1]["loss"] == [10.0] * 4


def test_rate_table_has_the_end_of_the_warmup(by_arm, layout):
    rows = rate_table(layout.arms, by_arm, layout, num_points=2)
    assert [(row["step"], row["lr"]) for row in rows] == [([0, 3], [4.0, 1.0]), ([0, 2, 3], [0.0, 1.0, 0.5])]


def test_thinning_keeps_every_spike_and_the_ends_of_short_lines():
    loss = np.random.default_rng(0).normal(size=1000)
    loss[[3, 500]] = 9.0, -9.0
    kept = thinned(loss, 100)
    assert len(kept) <= 100
    assert {3, 500} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(thinned(loss[:50], 100), np.arange(50))


def test_median_is_over_the_runs_that_reached_the_update():
    median = median_over_seeds([np.array([1.0, 5.0, 9.0]), np.array([3.0, 7.0]), np.array([2.0])])
    assert median.tolist() == [2.0, 6.0, 9.0]


def test_many_lines_have_few_points_each():
    assert points_per_line(1) == MAX_POINTS
    assert points_per_line(1000) == 60
    assert points_per_line(10_000) == 40
    assert all(points_per_line(lines) % 2 == 0 for lines in (1, 7, 333, 10_000))


def test_figure_has_a_panel_per_family(layout):
    figure = traces_figure(RUNS, TRACES, layout)
    assert [[(cell.title, cell.subtitle) for cell in panel] for panel in figure.rows] == [
        [("Lowest final loss with no warmup: 1", "Training loss · warmuplinear"), ("Learning rate", "")]
    ]
    assert figure.stacked
    assert figure.lines == layout.warmup_lines


def title_of(*arms, ends):
    traces = {name: {"loss": np.full(4, loss), "lr": FALLING} for name, loss in ends.items()}
    runs = pd.DataFrame({"run_id": list(ends), "arm": list(ends), "seed": 0, "status": "completed"})
    return traces_figure(runs, traces, make_layout(list(arms))).rows[0][0].title


def test_a_tie_has_no_winner():
    third = make_arm(4, name="hot", total_steps=4)
    title = title_of(COLD, WARM, ends={"cold": 0.6931, "warm": 0.6929})
    assert title == "The same final loss with each warmup: 0.693"
    title = title_of(COLD, WARM, third, ends={"cold": 0.3, "warm": 0.3, "hot": 0.4})
    assert title == "Lowest final loss with no warmup or 2 updates of warmup (50 %): 0.3"


def test_no_arm_is_lowest_where_every_run_failed():
    arms = [arm | {"failed": failures(6, 6)} for arm in (COLD, WARM)]
    assert title_of(*arms, ends={"cold": 0.69, "warm": 0.72}) == "No run learned; lowest final loss: 0.69"


def test_arms_of_which_no_run_counts_yet_have_not_failed():
    arms = [arm | {"failed": failures(0, 0)} for arm in (COLD, WARM)]
    assert title_of(*arms, ends={"cold": 0.3, "warm": 0.4}) == "Lowest final loss with no warmup: 0.3"


def test_families_beyond_the_twelfth_are_named_as_left_out():
    arms = [make_arm(0, name=f"arm{i}", lr=float(i + 1)) for i in range(14)]
    runs = pd.DataFrame({"run_id": "a", "arm": [arm["name"] for arm in arms], "seed": 0, "status": "completed"})
    figure = traces_figure(runs, TRACES, make_layout(arms))
    assert len(figure.rows) == 12
    assert "The first 12 of 14 sets of arms are drawn." in figure.note


def test_single_runs_have_no_median_in_the_caption():
    """Nothing here is thinned, above the frame or cut short."""
    losses = {run: TRACES[run] | {"loss": FALLING} for run in "ac"}
    runs = RUNS[RUNS["run_id"].isin(["a", "c"])]
    assert traces_figure(runs, losses, make_layout([COLD, WARM])).caption == f"{FINAL} A line is a single run."


def test_the_caption_says_which_lines_end_early(layout):
    assert traces_figure(RUNS, TRACES, layout).caption == (
        f"{FINAL} Thin lines: single runs. Thick lines: the median over all seeds at each update. The line of a "
        "run that diverged ends early."
    )


def test_schedule_without_warmup_is_beside_the_one_with():
    arms = [make_arm(0, scheduler="constantlr"), make_arm(10, scheduler="warmupconstant")]
    by_arm = {arm["name"]: {} for arm in arms}
    assert list(families_of(by_arm, make_layout(arms))) == ["warmupconstant"]
    own = make_arm(0, scheduler="warmupconstant")
    families = families_of(by_arm | {own["name"]: {}}, make_layout([*arms, own]))
    assert {name: len(found) for name, found in families.items()} == {"constantlr": 1, "warmupconstant": 2}


def test_ramp_is_named_by_the_rate_that_it_reaches():
    arms = [make_arm(0, scheduler="exponentialramp", lr=0.1), make_arm(0, scheduler="constantlr")]
    assert make_layout(arms).arms[0]["family"] == "exponentialramp, lr up to 0.1"


def test_figure_without_traces_is_empty(layout):
    figure = traces_figure(RUNS, {}, layout)
    assert (figure.rows, figure.lines) == ([], [])
