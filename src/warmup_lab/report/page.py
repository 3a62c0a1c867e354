"""`report.html`: one file for screens, phones and paper, which works offline and requests nothing from any host."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from warmup_lab.comparison import p_text
from warmup_lab.comparison.lr_jitter import fraction
from warmup_lab.figures import CONFIG, MIN_FOR_INTERVAL, Cell, Figure, as_spec, picture_frame, short_percent, style
from warmup_lab.metrics import oscillation, paired, title_and_unit
from warmup_lab.report.commands import report_command, run_command
from warmup_lab.report.first_figure import lead_figures
from warmup_lab.report.numbers import number, percent, signed
from warmup_lab.system import read_arrays, write_arrays

_LABELS = ("Formula", "Why", "Unit", "Range", "Source", "Sees", "Blind spot")
"""Labels of the parts of a metric's docstring."""
_MARKERS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "square": "M-4-4h8v8h-8z",
    "triangle-up": "M0-5L5 4H-5z",
    "diamond": "M0-6L5 0 0 6-5 0z",
    "cross": "M-1.7-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
    "triangle-down": "M0 5L5-4H-5z",
    "triangle-right": "M5 0L-4-5V5z",
}
"""SVG paths of the markers in legends."""


def render_page(
    comparison: dict[str, Any], figures: Iterable[Figure], directory: str, parallel: dict[str, Any] | None = None
) -> str:
    """The page. `comparison` is the content of `comparison.json` and `directory` the sweep's folder.

    `parallel` is the result of `parallel_coordinates`.
    """
    drawn = [figure for figure in figures if figure.rows]
    specs = {
        chart_id(figure, row, column): as_spec(cell)
        for figure in drawn
        for row, cells in enumerate(figure.rows)
        for column, cell in enumerate(cells)
    }
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            c=comparison,
            figures={figure.name: _template_figure(figure) for figure in drawn},
            leads=[name for name in lead_figures(comparison) if name in {figure.name for figure in drawn}],
            report_command=report_command(comparison, directory),
            run_command=run_command(comparison),
            definitions=definitions(),
            specs=_script(specs),
            pictures=_script({figure.name: picture_frame(figure, _chart_ids(figure)) for figure in drawn}),
            config=_script(CONFIG),
            parallel=_script(parallel),
            has_parallel=parallel is not None,
            study=_script(comparison["study"]),
            bundle=Markup(_vega_bundle()),
        )
    )


@cache
def page_environment() -> jinja2.Environment:
    """The templates of this package, with the filters that they use. They are compiled once a process."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.globals["known"] = lambda interval, num_runs: interval if num_runs >= MIN_FOR_INTERVAL else None
    environment.filters |= {
        "number": number,
        "signed": signed,
        "percent": percent,
        "p_value": p_text,
        "short_percent": short_percent,
        "fraction": fraction,
        "code": _with_code,
        "unbroken": _unbroken,
    }
    return environment


def chart_id(figure: Figure, row: int, column: int) -> str:
    """The id of a chart's element in the page."""
    return f"{figure.name}-{row}-{column}"


def _chart_ids(figure: Figure) -> list[list[str]]:
    return [[chart_id(figure, row, column) for column in range(len(cells))] for row, cells in enumerate(figure.rows)]


def _template_figure(figure: Figure) -> dict[str, Any]:
    """A figure as the template needs it: whole, or with its first chart, the lead, at the top of the page."""
    cells = [cell for row in figure.rows for cell in row]
    rows = [
        [{"id": name, "title": cell.title, "subtitle": cell.subtitle} for name, cell in zip(names, cells, strict=True)]
        for names, cells in zip(_chart_ids(figure), figure.rows, strict=True)
    ]
    return {
        "name": figure.name,
        "title": figure.title,
        "rows": rows,
        "num_charts": sum(map(len, rows)),
        "stacked": figure.stacked,
        "whole": _around(figure, cells),
        "lead": _around(figure, cells[:1]),
        "rest": _around(figure, cells[1:]),
    }


def _around(figure: Figure, cells: list[Cell]) -> dict[str, Any]:
    """Legend and caption of some charts of a figure: they name only what these charts have."""
    has_legend = len(figure.lines) > 1 and any(cell.has_lines for cell in cells)
    return {"legend": _legend(figure) if has_legend else [], "caption": figure.caption_of(cells)}


def _legend(figure: Figure) -> list[dict[str, str]]:
    """Name and style of each line."""
    return [
        {
            "name": line,
            "colour": colour,
            "dash": " ".join(map(str, dash)),
            "marker": "" if figure.stacked else _MARKERS[marker],
        }
        for index, line in enumerate(figure.lines)
        for colour, dash, marker in [style(index)]
    ]


def _script(value: Any) -> Markup:
    """JSON for a `<script>` element. No text in it can close the element."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def _with_code(text: str) -> Markup:
    """Text with backquoted parts as `<code>` and indices as `<sub>`: l_t becomes l with the index t."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\b([a-z]|EMA)_(?:\{([^}]+)\}|(\w)\b)", r"\1<sub>\2\3</sub>", coded))


def _unbroken(text: str) -> Markup:
    """Text in which numbers, such as `1e-6` and `10 %`, are not broken over two lines."""
    return Markup(re.sub(r"\b[\d.]+(?:e-\d+| %)", r'<span class="unbroken">\g<0></span>', str(escape(text))))


@cache
def _vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which defines `vegaEmbed`.

    Building it takes up to two seconds and depends only on the version of the library, so it is cached on disk.
    """
    import vl_convert

    name = Path("vega") / f"{metadata.version('vl-convert-python')}.npz"
    cached = read_arrays(name, ["utf8"])
    if cached is None:
        script: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub lacks the default
        cached = {"utf8": np.frombuffer(script.encode(), dtype=np.uint8)}
        write_arrays(name, cached)
    return cached["utf8"].tobytes().decode().replace("</script", "<\\/script")


# --- definitions


def definitions() -> list[dict[str, Any]]:
    """Name, title and definition of each oscillation metric, from the docstring of its function."""
    functions: dict[str, Callable[..., Any]] = {
        **oscillation.METRICS,
        "overshoot_rate": oscillation.overshoot_rate,
        "excess": paired.excess,
        "updates_to_target": paired.updates_to_target,
        "matched/roughness": paired.matched_roughness,
    }
    return [
        {"name": name, "title": title_and_unit(name)[0], **_definition(function)}
        for name, function in functions.items()
    ]


def _definition(function: Callable[..., Any]) -> dict[str, Any]:
    """A docstring without its examples: the `words` before the first label, and the labelled `parts`."""
    text = " ".join((inspect.getdoc(function) or "").partition(">>>")[0].split())
    words, *rest = re.split(rf"\b({'|'.join(_LABELS)}): ", text)
    return {"words": words.strip(), "parts": list(zip(rest[::2], (part.strip() for part in rest[1::2]), strict=True))}
