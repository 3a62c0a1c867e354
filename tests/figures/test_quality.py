"""The figure of final quality."""

import pytest
from fake_arms import make_arm, metric
from report_files import data_rows

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.over_warmup import warmup_table
from warmup_lab.figures.quality import difference_from_reference, quality_columns, quality_figure, seen_differences

PRIMARY = {"metric": "eval_loss", "title": "final evaluation loss", "unit": "nats", "margin": 0.02}
ARMS = [
    make_arm(0, metrics={"eval_loss": metric(0.5, num_pairs=6, difference=0.2, difference_interval=[0.1, 0.3])}),
    make_arm(10, verdict={"value": "reference"}, metrics={"eval_loss": metric(0.3)}),
]


def test_difference_is_zero_for_the_reference():
    of_learned = "Differences are paired by seed, where both arms learned."
    shown = {"mean": 0.2, "low": 0.1, "high": 0.3, "few": 0, "note": of_learned}
    assert difference_from_reference("eval_loss", ARMS[0]) == shown
    assert difference_from_reference("eval_loss", ARMS[1]) == {"mean": 0.0, "low": None, "high": None, "few": None}


def test_difference_counts_all_seeds_if_known():
    of_all = {
        "mean_of_all": 0.6,
        "num_pairs_of_all": 6,
        "difference_of_all": 0.25,
        "difference_interval_of_all": [0.2, 0.3],
    }
    arm = make_arm(0, metrics={"eval_loss": metric(0.5, difference=0.2, difference_interval=[0.1, 0.3], **of_all)})
    of_all = "Differences are paired by seed, over all seeds; a run that failed to learn counts as guessing."
    shown = {"mean": 0.25, "low": 0.2, "high": 0.3, "few": 0, "note": of_all}
    assert difference_from_reference("eval_loss", arm) == shown


def test_reference_without_runs_has_no_difference():
    arm = make_arm(10, verdict={"value": "reference"}, metrics={"eval_loss": metric(None)})
    assert difference_from_reference("eval_loss", arm)["mean"] is None


def test_columns_are_the_difference_the_primary_metric_and_the_scores():
    titles = [column.title for column in quality_columns(PRIMARY)]
    assert titles == ["Final evaluation loss, minus the reference", "Final evaluation loss", "Final accuracy"]
    primary = {"metric": "excess", "title": "excess oscillation over the reference", "unit": "nats", "margin": None}
    assert [column.title for column in quality_columns(primary)][1:] == [
        "Excess oscillation over the reference",
        "Final evaluation loss",
        "Final accuracy",
    ]


def test_table_of_differences():
    table = warmup_table(make_layout(ARMS), quality_columns(PRIMARY)[0].read)
    assert [(row["mean"], row["low"], row["high"]) for row in table] == [(0.2, 0.1, 0.3), (0.0, None, None)]


@pytest.mark.parametrize(("margin", "num_layers"), [(0.02, 3), (None, 2)])
def test_margin_is_a_band_around_the_reference(margin, num_layers):
    figure = quality_figure(PRIMARY | {"margin": margin}, make_layout(ARMS))
    spec = figure.rows[0][0].spec
    assert len(spec["layer"]) == num_layers
    (bounds,) = [row for row in data_rows(spec) if "zero" in row]
    assert bounds == {"zero": 0, "low": -(margin or 0), "high": margin or 0}
    assert ("band" in figure.caption) == bool(margin)


@pytest.mark.parametrize(
    ("means", "text"),
    [
        ((-0.034, 0.28, 0.0, None), "From -0.034 to +0.28 nats"),
        ((0.28,), "+0.28 nats"),
        ((0.0, 0.28), "From 0 to +0.28 nats"),
        ((None,), "No pair of runs"),
        ((0.0, None), "Only the reference has results"),
    ],
)
def test_title_says_how_large_the_differences_are(means, text):
    assert seen_differences([{"mean": mean} for mean in means], "nats") == text
