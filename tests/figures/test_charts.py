"""Shared parts of charts."""

import numpy as np

from warmup_lab.figures.charts import line_chart, line_scales, rounded, share_axis, update_axis
from warmup_lab.figures.palette import COLOURS, MARKERS


def test_rounding_by_hand():
    assert rounded(np.array([0.123456789, 1234567.0, 2.0])) == [0.12346, 1234600.0, 2.0]
    assert rounded(np.array([0.123456789]), 2) == [0.12]


def test_scales_give_each_line_its_style():
    colour, _, shape = (scale.to_dict()["scale"] for scale in line_scales(["a", "b"]))
    assert colour == {"domain": ["a", "b"], "range": COLOURS[:2]}
    assert shape["range"] == MARKERS[:2]


def test_update_axis_reaches_the_last_update():
    assert update_axis("step", 99).to_dict()["scale"]["domain"] == [0, 99]
    assert update_axis("step", 0).to_dict()["scale"]["domain"] == [0, 1]


def test_share_axis_is_in_percent():
    axis = share_axis("share", "share of runs").to_dict()
    assert axis["scale"]["domain"] == [0, 1]
    assert axis["axis"]["format"] == "%"


def test_rows_of_lines_are_flattened_by_vega():
    chart = line_chart([{"line": "a", "x": [1, 2], "y": [3, 4]}], "x", "y").mark_line().to_dict()
    assert chart["transform"] == [{"flatten": ["x", "y"]}]
