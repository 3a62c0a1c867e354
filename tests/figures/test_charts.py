"""Shared parts of charts."""

import re

import altair as alt
import numpy as np
import pytest
import vl_convert

from warmup_lab.figures.charts import line_chart, line_scales, number_axis, rounded, share_axis, update_axis
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


@pytest.mark.parametrize(
    ("peak", "labels"),
    [
        (2e-3, ["0", "0.0005", "0.001", "0.0015", "0.002"]),  # two digits fewer, 0.0015 and 0.002 are both 2e-3
        (4e-5, ["0", "1e-5", "2e-5", "3e-5", "4e-5"]),
        (1000.0, ["0", "250", "500", "750", "1000"]),
        (4e6, ["0", "1e6", "2e6", "3e6", "4e6"]),
        (0.025, ["0", "0.00625", "0.0125", "0.01875", "0.025"]),
    ],
)
def test_tick_labels_are_exact_and_distinct(peak, labels):
    axis = number_axis(values=[peak * part / 4 for part in range(5)])
    y = alt.Y("y:Q", axis=axis, scale=alt.Scale(domain=[0, peak]))
    chart = alt.Chart(alt.InlineData(values=[{"y": peak}]), height=300).mark_point().encode(y=y)
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert re.findall(r"<text[^>]*>([^<y]+)</text>", svg) == labels
