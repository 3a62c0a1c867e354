"""`Cell` and `Figure`, as JSON for the page, and charts as PNG and SVG files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import altair as alt

from warmup_lab.figures.charts import chart_of, line_scales
from warmup_lab.figures.convert import convert
from warmup_lab.figures.layout import unique
from warmup_lab.figures.palette import CONFIG, INK
from warmup_lab.system import atomic_path

if TYPE_CHECKING:
    from warmup_lab.figures.charts import AnyChart
    from warmup_lab.figures.layout import Row

_WIDE, _NARROW = 660, 330
"""Widths of a picture in pixels, for two columns of a paper and for one. Type of 11 pixels is then about 8 points."""
_PLOT_WIDTH = 250
_CAPTION_SIZE = 11
# Heatmaps of different numbers must not share a colour scale.
_OWN_COLOURS = {"resolve": {"scale": {"color": "independent"}}}


@dataclass(frozen=True)
class Cell:
    """One chart, with a title that says what is seen and a subtitle that says what is drawn."""

    title: str
    chart: AnyChart
    subtitle: str = ""
    notes: tuple[str, ...] = ()
    """Sentences of the caption that explain what is drawn here."""

    @cached_property
    def spec(self) -> Row:
        """The chart as JSON, which the page and the picture share."""
        return _without_file_keys(self.chart)

    @property
    def has_lines(self) -> bool:
        """Whether the chart has what the legend names: rows of data with the key `line`."""
        return any("line" in row for rows in self.spec["datasets"].values() for row in rows)


@dataclass(frozen=True)
class Figure:
    """Rows of charts with one legend and one file. In a `stacked` figure each row is drawn as a column."""

    name: str
    title: str
    note: str
    """What the caption says besides the notes of the charts."""
    rows: list[list[Cell]]
    lines: list[str]
    """Names in the legend. The legend is drawn only if there are several."""
    stacked: bool = False

    @property
    def num_data(self) -> int:
        """Rows of data in all charts."""
        return sum(len(data) for row in self.rows for cell in row for data in cell.spec["datasets"].values())

    @property
    def caption(self) -> str:
        """The caption of the whole figure."""
        return self.caption_of([cell for row in self.rows for cell in row])

    def caption_of(self, cells: Iterable[Cell]) -> str:
        """The caption of some charts: it names only what they have. A sentence of several charts is there once."""
        sentences = [*(note for cell in cells for note in cell.notes), self.note]
        return " ".join(sentence for sentence in unique(sentences) if sentence)


def notes_of(*parts: tuple[object, str]) -> tuple[str, ...]:
    """The sentences whose mark is drawn. A part is whether its mark is drawn, and the sentence."""
    return tuple(sentence for is_drawn, sentence in parts if is_drawn and sentence)


def as_spec(cell: Cell) -> Row:
    """The chart for the page: as wide as its container and without the title, which the page has."""
    fit = {"type": "fit-x", "contains": "padding"}
    look = {"width": "container", "autosize": fit, "background": "transparent"}
    return {"$schema": alt.SCHEMA_URL, **cell.spec, **look}


def as_picture(figure: Figure) -> Row:
    """The whole figure with its caption as one Vega-Lite specification, for PNG and SVG. It fits a paper's column."""
    # Joined as plain JSON, because Altair's own concatenation copies and checks all data again at every level.
    specs = [[cell.spec.copy() for cell in row] for row in figure.rows]
    datasets = {name: data for row in specs for spec in row for name, data in spec.pop("datasets").items()}
    picture = _picture(figure, specs)
    return picture | {"datasets": picture["datasets"] | datasets}


def picture_frame(figure: Figure, chart_ids: list[list[str]]) -> Row:
    """`as_picture` with `{"chart": id}` in place of each chart: the page has the charts, and puts them in."""
    return _picture(figure, [[{"chart": name} for name in row] for row in chart_ids])


def _picture(figure: Figure, specs: list[list[Row]]) -> Row:
    num_charts = sum(map(len, specs))
    width = _NARROW if num_charts == 1 else _WIDE
    rows = [
        [spec | {"title": _title(cell), "width": _PLOT_WIDTH} for spec, cell in zip(own, cells, strict=True)]
        for own, cells in zip(specs, figure.rows, strict=True)
    ]
    stacks = [{"vconcat": row, "spacing": 10} for row in rows]
    charts = stacks if figure.stacked else [spec for row in rows for spec in row]
    grid = {"concat": [one | _OWN_COLOURS for one in charts], "columns": 2, "spacing": 24} | _OWN_COLOURS
    legend = [_without_file_keys(_legend(figure, width))] if len(figure.lines) > 1 else []
    datasets = legend[0].pop("datasets") if legend else {}
    caption = {
        "text": _wrapped(f"{figure.title}. {figure.caption}", 2 * width // _CAPTION_SIZE), "orient": "bottom",
        "anchor": "start", "fontSize": _CAPTION_SIZE, "fontWeight": "normal", "lineHeight": 15, "offset": 14,
    }  # fmt: skip
    look = {"config": CONFIG, "background": "white", "padding": 8, "spacing": 14, "datasets": datasets}
    return {"$schema": alt.SCHEMA_URL, "title": caption, "vconcat": [*legend, grid], **look}


def _title(cell: Cell) -> Row:
    """The title and subtitle above a chart of a picture, in lines that fit."""
    title = {"text": _wrapped(cell.title, 40), "fontSize": 12, "lineHeight": 15, "anchor": "start", "frame": "group"}
    return title | ({"subtitle": _wrapped(cell.subtitle, 46), "subtitleLineHeight": 14} if cell.subtitle else {})


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters. Breaks neither `10 %` nor `1e-6` nor `t-interval`."""
    return wrap(re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text), width, break_on_hyphens=False)


def save_figure(figure: Figure, path: Path) -> None:
    """Writes `path` with the suffixes .svg and .png."""
    svg, png = convert(as_picture(figure))
    for suffix, content in ((".svg", svg.encode()), (".png", png)):
        with atomic_path(path.with_suffix(suffix)) as temporary:
            temporary.write_bytes(content)


def save_chart(chart: AnyChart, path: Path) -> None:
    """Writes one chart as SVG if `path` ends in .svg, otherwise as PNG at twice its size. No browser is needed."""
    with alt.data_transformers.enable("default", max_rows=None), atomic_path(path) as temporary:
        chart.save(str(temporary), format="svg" if path.suffix == ".svg" else "png", scale_factor=2)


def _without_file_keys(chart: AnyChart) -> Row:
    """The chart as JSON without the keys of a whole file."""
    spec: Row = chart.to_dict(validate=False)  # the check takes a sixth of a small report; the tests make it
    datasets = {name: list(rows) for name, rows in spec.get("datasets", {}).items()}  # those of `chart_of` are tuples
    return {key: value for key, value in spec.items() if key not in ("config", "$schema")} | {"datasets": datasets}


def _legend(figure: Figure, width: int) -> alt.LayerChart:
    """A swatch and a name for each line. Vega's own legend shows neither filled markers nor whole dashes."""
    rows: list[Row] = []
    x, y, widest = 0, 0, 0
    for line in figure.lines:
        entry = 66 + 6 * len(line)
        x, y = (x, y) if x + entry <= width else (0, y + 22)
        rows.append({"x": x, "middle": x + 18, "end": x + 36, "text": x + 44, "y": y, "line": line})
        x, widest = x + entry, max(widest, x + entry)
    colour, dash, shape = line_scales(figure.lines)
    base = chart_of(rows).encode(y=alt.Y("y:Q", scale=None, axis=None))
    swatch = base.encode(x=_pixels("x"), x2=alt.X2("end:Q"), color=colour, strokeDash=dash).mark_rule(strokeWidth=2)
    text = base.encode(x=_pixels("text"), text=alt.Text("line:N")).mark_text(align="left", fontSize=12, color=INK)
    marker = base.encode(x=_pixels("middle"), color=colour, shape=shape).mark_point(filled=True, size=70, opacity=1)
    return alt.LayerChart(layer=[swatch, text, *([] if figure.stacked else [marker])], width=widest, height=y + 10)


def _pixels(field: str) -> alt.X:
    return alt.X(f"{field}:Q", scale=None, axis=None)
