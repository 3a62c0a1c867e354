"""Colours, dashes and markers of lines, and the theme that the page and the picture files share."""

from __future__ import annotations

from typing import Any

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe and Ito's palette, distinguishable with any colour vision. Dashes and markers repeat the distinction."""
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 1], [1, 3], [10, 4]]
MARKERS = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]

INK, GREY, WHITE = "#111827", "#6b7280", "#ffffff"
"""Text, secondary lines, and the inside of hollow markers. The page replaces them where its background is dark."""
ON_LIGHT, ON_DARK = "#101820", "#fdfdfd"
"""Text on the cells of a heatmap, whose colours are the same on any background."""
HEAT = ["#e8f1f8", "#56a3d0", "#0b4f7d"]
MISSING = "#d1d5db"
ACCENT = "#c2410c"

CONFIG: dict[str, Any] = {
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "labelColor": "#374151",
        "titleColor": INK, "gridColor": "#e5e7eb", "domainColor": "#9ca3af", "tickColor": "#9ca3af",
        "titlePadding": 8,
    },
    "title": {"fontSize": 13, "fontWeight": 600, "anchor": "start", "color": INK, "offset": 8},
}  # fmt: skip
"""Vega-Lite's `config`."""


def style(index: int) -> tuple[str, list[int], str]:
    """Colour, dash and marker of line `index`. The first 49 lines all look different."""
    shifted = (index + index // len(COLOURS)) % len(COLOURS)
    return COLOURS[index % len(COLOURS)], DASHES[shifted], MARKERS[shifted]
