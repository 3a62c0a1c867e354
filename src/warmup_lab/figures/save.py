"""The palette, and charts as PNG and SVG files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.system import atomic_path

if TYPE_CHECKING:
    import altair as alt

if TYPE_CHECKING:
    AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe & Ito's palette, which people of any colour vision can tell apart; dashes carry the same difference."""
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 1], [1, 3], [10, 4]]
_MAX_PIXELS = 8e6


def save_chart(chart: AnyChart, path: Path) -> None:
    """The chart as PNG (at twice the size, for sharp screens) or SVG, by the path's suffix; no browser needed."""
    import altair as alt

    with alt.data_transformers.enable("default", max_rows=None), atomic_path(path) as temporary:
        chart.save(str(temporary), format="svg" if path.suffix == ".svg" else "png", scale_factor=2)


def save_both(spec: dict[str, Any], path: Path) -> None:
    """A Vega-Lite specification as SVG and, drawn from that, PNG: `path` with either suffix."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec)
    width, height = (float(size) for size in re.findall(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)[0])
    png = vl_convert.svg_to_png(svg, scale=min(2.0, (_MAX_PIXELS / (width * height)) ** 0.5))
    for suffix, content in ((".svg", svg.encode()), (".png", png)):
        with atomic_path(path.with_suffix(suffix)) as temporary:
            temporary.write_bytes(content)
