"""The figures of oscillation over warmup length."""

from fake_arms import failures, make_arm, metric
from report_files import data_rows

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.oscillation import detail_figure, oscillation_columns, oscillation_figure
from warmup_lab.figures.over_warmup import warmup_table

ARMS = [
    make_arm(
        0, num_learned=4, failed=failures(2, 6, 0.1, 0.7),
        metrics={"whole/roughness": metric(0.4, 0.3, 0.5), "matched/roughness": metric(0.2, 0.1, 0.3)},
    ),
    make_arm(
        10, failed=failures(0, 6, 0.0, 0.4),
        metrics={"whole/roughness": metric(0.1, 0.05, 0.15), "matched/roughness": metric(0.1), "excess": metric(-0.1)},
    ),
]  # fmt: skip


def test_columns_are_roughness_failures_and_matched_roughness():
    layout = make_layout(ARMS)
    tables = {column.title: warmup_table(layout, column.read) for column in oscillation_columns()}
    assert {title: [row["mean"] for row in table] for title, table in tables.items()} == {
        "Roughness of the loss": [0.4, 0.1],
        "Failure rate": [2 / 6, 0.0],
        "Roughness of the loss at matched loss, minus that of the reference": [0.2, 0.1],
    }
    assert [(row["low"], row["high"]) for row in tables["Failure rate"]] == [(0.1, 0.7), (0.0, 0.4)]


def test_figure_draws_the_table():
    figure = oscillation_figure(make_layout(ARMS))
    (cells,) = figure.rows
    assert [row["mean"] for row in data_rows(cells[0].spec)] == [0.4, 0.1]
    assert cells[1].spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [-0.02, 1.02]
    assert figure.lines == ["warmuplinear"]


def test_details_are_the_other_measures():
    ((cell,),) = detail_figure(make_layout(ARMS)).rows
    assert (cell.title, cell.subtitle) == ("-0.1 with 10 % warmup", "Excess oscillation over the reference")
    assert [row["mean"] for row in data_rows(cell.spec)] == [-0.1]
