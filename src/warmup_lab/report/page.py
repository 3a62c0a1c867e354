"""`report.html`: one file that opens offline and asks no other host for anything; for phones and paper, too."""

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

from warmup_lab.comparison.lr_jitter import fraction
from warmup_lab.figures import CONFIG, Figure, as_spec, short_percent, style
from warmup_lab.metrics import metric_words, oscillation, paired
from warmup_lab.system import read_arrays, write_arrays

_LABELS = ("Formula", "Why", "Unit", "Range", "Source", "Sees", "Blind spot")
_MARKERS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "square": "M-4-4h8v8h-8z",
    "triangle-up": "M0-5L5 4H-5z",
    "diamond": "M0-6L5 0 0 6-5 0z",
    "cross": "M-1.7-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
    "triangle-down": "M0 5L5-4H-5z",
    "triangle-right": "M5 0L-4-5V5z",
}


def render_page(comparison: dict[str, Any], figures: Iterable[Figure], directory: str) -> str:
    """The report's page."""
    shown = {figure.name: _describe(figure) for figure in figures if figure.rows}
    specs = {
        identity(figure.name, row, column): as_spec(cell)
        for figure in figures
        for row, cells in enumerate(figure.rows)
        for column, cell in enumerate(cells)
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "number": number,
        "signed": signed,
        "percent": percent,
        "short_percent": short_percent,
        "fraction": fraction,
        "code": _with_code,
    }
    return environment.get_template("report.html.jinja").render(
        c=comparison, figures=shown, directory=directory, definitions=definitions(), words=metric_words,
        specs=_script(specs), config=_script(CONFIG), bundle=Markup(_bundle()),
    )  # fmt: skip


def identity(figure: str, row: int, column: int) -> str:
    """The id of a chart's place in the page."""
    return f"{figure}-{row}-{column}"


def _describe(figure: Figure) -> dict[str, Any]:
    rows = [
        [{"id": identity(figure.name, row, column), "title": cell.title} for column, cell in enumerate(cells)]
        for row, cells in enumerate(figure.rows)
    ]
    return {
        "title": figure.title,
        "note": figure.note,
        "rows": rows,
        "stacked": figure.stacked,
        "legend": _legend(figure),
    }


def _legend(figure: Figure) -> list[dict[str, str]]:
    """Each line's name and look, where there are several."""
    looks = [(line, *style(index)) for index, line in enumerate(figure.lines)]
    return [
        {
            "name": line,
            "colour": colour,
            "dash": " ".join(map(str, dash)),
            "marker": "" if figure.stacked else _MARKERS[shape],
        }
        for line, colour, dash, shape in looks
        if len(looks) > 1
    ]


def _script(value: Any) -> Markup:
    """JSON for a `<script>` element, which no text in it can close."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028"))


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, once a page; it defines `vegaEmbed`.

    Putting it together takes up to two seconds and comes to the same at every version of the library, so it is kept.
    """
    import vl_convert

    name = Path("vega") / f"{metadata.version('vl-convert-python')}.npz"
    kept = read_arrays(name)
    if kept is None:
        script: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub lacks the default
        kept = {"utf8": np.frombuffer(script.encode(), dtype=np.uint8)}
        write_arrays(name, kept)
    return kept["utf8"].tobytes().decode().replace("</script", "<\\/script")


# ------------------------------------------------------------------------------------------ numbers as text


def number(value: float | None) -> str:
    """Four digits; `none` where there is no number.

    >>> number(0.123456), number(360), number(None)
    ('0.1235', '360', 'none')
    """
    return "none" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    return "none" if value is None else f"{value:+.3g}"


def percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


def _with_code(text: str) -> Markup:
    """Text with its backquotes as `<code>`, and l_t as l with an index."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\b([a-z]|EMA)_(?:\{([^}]+)\}|(\w)\b)", r"\1<sub>\2\3</sub>", coded))


# ---------------------------------------------------------------------------------------------- definitions


def definitions() -> list[dict[str, Any]]:
    """How each measure of oscillation is defined: the words of its own docstring."""
    functions: dict[str, Callable[..., Any]] = {
        **oscillation.METRICS,
        "overshoot_rate": oscillation.overshoot_rate,
        "excess": paired.excess,
        "updates_to_target": paired.updates_to_target,
        "matched/roughness": paired.roughness_at_matched_loss,
    }
    return [
        {"name": name, "title": metric_words(name)[0], **_definition(function)} for name, function in functions.items()
    ]


def _definition(function: Callable[..., Any]) -> dict[str, Any]:
    """The words of a docstring and its labelled parts (`Formula: ...`), without the examples."""
    text = " ".join((inspect.getdoc(function) or "").partition(">>>")[0].split())
    words, *rest = re.split(rf"\b({'|'.join(_LABELS)}): ", text)
    return {"words": words.strip(), "parts": list(zip(rest[::2], (part.strip() for part in rest[1::2]), strict=True))}
