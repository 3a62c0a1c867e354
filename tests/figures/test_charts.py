"""Shared parts of charts."""

import re
from itertools import pairwise

import altair as alt
import numpy as np
import pytest
import vl_convert

from warmup_lab.figures.charts import (
    chart_of,
    line_chart,
    line_scales,
    log_ticks,
    lr_axis,
    lr_mark,
    number_axis,
    rounded,
    share_axis,
    update_axis,
)
from warmup_lab.figures.palette import COLOURS, CONFIG, MARKERS


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


def test_rows_are_not_copied_by_charts_around_them():
    """Copies of the rows took a sixth of the time of a small report's figures, and more of a large one's."""
    row = {"x": 1}
    chart = chart_of([row]).encode(x=alt.X("x:Q"))
    layered = alt.layer(alt.layer(chart.mark_point(), chart.mark_line()), chart.mark_rule())
    ((kept,),) = layered.to_dict()["datasets"].values()
    assert kept is row


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


def test_ticks_of_a_narrow_range_of_rates_are_its_ends():
    assert log_ticks(0.0011, 0.0019) == [0.0011, 0.0019]


def texts_of(chart, width):
    """Anchor, x, y and text of each visible text of a chart of 100 pixels in height, in the order of x."""
    svg = vl_convert.vegalite_to_svg(chart.properties(width=width, height=100).to_dict() | {"config": CONFIG})
    pattern = r'<text[^>]*text-anchor="(\w+)" transform="translate\(([\d.-]+),([\d.-]+)\)"([^>]*)>([^<]+)</text>'
    found = [(anchor, float(x), float(y), text) for anchor, x, y, rest, text in re.findall(pattern, svg)
             if 'opacity="0"' not in rest]  # fmt: skip
    return sorted(found, key=lambda one: one[1])


def tick_labels(lrs, width, ticks=()):
    """Place and text of the labels of the axis."""
    points = alt.Chart(alt.InlineData(values=[{"lr": lrs[0]}])).mark_point().encode(x=lr_axis("lr", lrs, ticks=ticks))
    return [(x, text) for _, x, _, text in texts_of(points, width) if text != "learning rate"]


@pytest.mark.parametrize("width", [150, 200, 330])
@pytest.mark.parametrize("ticks", [(), [0.000875 * 2 ** (n / 2) for n in range(7)]])
def test_labels_of_rates_do_not_touch_on_narrow_charts(width, ticks):
    labels = tick_labels(ticks or [1e-4, 0.1], width, ticks)
    assert len(labels) > 1
    for (left, text), (right, after) in pairwise(labels):
        assert right - left > 6 * (len(text) + len(after)) / 2, "type of 11 pixels is about 6 pixels wide"


def test_round_rates_that_are_left_out_are_every_second_one():
    """Vega's own choice for these rates is 0.0001, 0.0002, 0.0004, 0.0008, 0.002, 0.004, 0.007, 0.02, 0.04, 0.07."""
    rates = ["0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1"]
    assert [text for _, text in tick_labels([1e-4, 0.1], 600)] == rates
    assert [text for _, text in tick_labels([1e-4, 0.1], 200)] == rates[::2]


@pytest.mark.parametrize(("lr", "anchor"), [(1e-4, "start"), (3e-3, "middle"), (0.1, "end")])
def test_label_of_a_mark_is_above_the_frame_and_within_its_width(lr, anchor):
    lrs = [1e-4, 0.1]
    chart = alt.LayerChart(layer=lr_mark(lr, "break", lr_axis("lr", lrs), lrs, "#000000"))
    ((own, x, y, _),) = [one for one in texts_of(chart, 250) if one[3] == "break"]
    assert (own, y < 0, 0 < x < 250) == (anchor, True, True)
