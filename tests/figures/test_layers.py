"""The figures of the layer probe."""

import numpy as np
import pandas as pd
import pytest
from fake_arms import make_arm
from report_files import data_rows

from warmup_lab.figures.layers import evenly_chosen, layer_names, layers_figure
from warmup_lab.figures.layout import make_layout

RUNS = pd.DataFrame([("a", "arm", 0, "completed")], columns=["run_id", "arm", "seed", "status"])
LR = np.array([0.0, 1.0, 2.0])


def trace_of(num_layers):
    """Layer i has the gradient norm 10 ** i."""
    columns = {f"{name}/layer{i}": np.ones(3) for i in range(num_layers) for name in ("update_ratio", "cka")}
    columns |= {f"grad_norm/layer{i}": np.full(3, 10.0**i) for i in range(num_layers)}
    return {"loss": np.ones(3), "lr": LR} | columns


def figure_of(num_layers, **options):
    return layers_figure(RUNS, {"a": trace_of(num_layers)}, make_layout([make_arm(0, name="arm")]), **options)


def test_layers_are_in_the_order_of_the_trace():
    assert layer_names([{"loss": LR, "cka/b": LR, "cka/a": LR, "grad_norm/c": LR}, {"cka/b": LR}]) == ["b", "a"]


def test_layers_are_chosen_evenly_with_the_first_and_the_last():
    assert evenly_chosen(list("abcdefg"), 3) == ["a", "d", "g"]
    assert evenly_chosen(list("ab"), 3) == ["a", "b"]
    assert evenly_chosen([]) == []


def test_a_row_per_layer_with_three_columns():
    figure = figure_of(2)
    assert [[cell.title for cell in row] for row in figure.rows] == [
        ["Gradient norm: layer0", "Update over weights: layer0", "Similarity to the start: layer0"],
        ["Gradient norm: layer1", "Update over weights: layer1", "Similarity to the start: layer1"],
    ]


def test_five_of_seven_layers_are_drawn():
    figure = figure_of(7)
    assert [row[0].title for row in figure.rows] == [f"Gradient norm: layer{i}" for i in (0, 1, 3, 4, 6)]
    assert "5 of 7 layers are drawn." in figure.note


def test_all_charts_of_a_column_have_one_scale():
    """Values from 1 to 10, with a factor of 1.4 on each side."""
    scales = [row[0].spec["layer"][0]["encoding"]["y"]["scale"]["domain"] for row in figure_of(2).rows]
    assert scales == [pytest.approx([1 / 1.4, 14.0])] * 2


@pytest.mark.parametrize(("over_lr", "x"), [(False, [0.0, 1.0, 2.0]), (True, [1.0, 2.0])])
def test_values_are_over_the_updates_or_the_rate(over_lr, x):
    figure = figure_of(1, over_lr=over_lr)
    (row,) = data_rows(figure.rows[0][0].spec)
    assert row["x"] == x
    assert figure.name == ("layers_lr" if over_lr else "layers")


def test_figure_without_layers_is_empty():
    assert figure_of(0).rows == []
