"""The figure of the layer probe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.charts import Cell, Figure
from warmup_lab.figures.layout import Layout, unique
from warmup_lab.figures.probes import _FAMILIES, _both_charts, _families, _limits_of, _lines, _series

_MAX_LAYERS = 5


def layers_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout, *, over_lr: bool = False) -> Figure:
    """A row a layer (five of them where there are more): gradient, relative update, similarity to the start."""
    families = _families(runs, traces, layout)
    names = unique(name.partition("/")[2] for trace in traces.values() for name in trace if name.startswith("cka/"))
    shown = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(len(names), _MAX_LAYERS)).astype(int))]
    rows = [
        [
            Cell(f"{look.title}: {layer}{suffix}", _both_charts(series, look, layout, limits)[over_lr])
            for family, look in _FAMILIES.items()
            for limits in [_limits_of(arms, family, shown, look)]
            for series in [_series(arms, f"{family}/{layer}")]
            if series
        ]
        for suffix, arms in families
        for layer in shown
    ]
    rows = [row for row in rows if row]
    left_out = f" {len(shown)} of {len(names)} layers are drawn." if len(names) > len(shown) else ""
    where = "over the learning rate of the update, in the order of the updates" if over_lr else "over the updates"
    note = f"Each layer {where}: the median over seeds. Every column of charts has one scale.{left_out}"
    name, title = ("layers_lr", "Layers, over the learning rate") if over_lr else ("layers", "Layers, over the updates")
    return Figure(name, title, note, rows, _lines(layout) if rows else [])
