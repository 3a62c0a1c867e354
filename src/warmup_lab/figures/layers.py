"""The figures of the layer probe: a row per layer, over the updates or over the learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.figure import Cell, Figure
from warmup_lab.figures.layout import Layout, unique
from warmup_lab.figures.probes import (
    ProbeColumn,
    draw_over_lr,
    draw_over_updates,
    probe_families,
    probe_table,
    value_range,
)

_MAX_LAYERS = 5
COLUMNS = (
    ProbeColumn("grad_norm", "Gradient norm", "L2 norm"),
    ProbeColumn("update_ratio", "Update over weights", "|change| / |w|"),
    ProbeColumn("cka", "Similarity to the start", "linear CKA", log=False, bounded=True),
)


def layer_names(traces: Iterable[Trace]) -> list[str]:
    """The layers that were probed, from the input to the output."""
    return unique(name.partition("/")[2] for trace in traces for name in trace if name.startswith("cka/"))


def evenly_chosen(names: list[str], num: int = _MAX_LAYERS) -> list[str]:
    """At most `num` of the names, evenly spaced, with the first and the last.

    >>> evenly_chosen(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(len(names), num)).astype(int))]


def layers_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout, *, over_lr: bool = False) -> Figure:
    """Gradient norm, relative update and similarity to the start. Empty if the layer probe did not run."""
    draw = draw_over_lr if over_lr else draw_over_updates
    names = layer_names(traces.values())
    shown = evenly_chosen(names)
    families = probe_families(runs, traces, layout) if names else {}
    rows: list[list[Cell]] = []
    for family, lines in families.items():
        tables = {
            (column.name, layer): probe_table(lines, f"{column.name}/{layer}") for column in COLUMNS for layer in shown
        }
        limits = {
            column.name: value_range([tables[column.name, layer] for layer in shown], column) for column in COLUMNS
        }
        suffix = f" · {family}" if len(families) > 1 else ""
        rows += [
            [
                Cell(f"{column.title}: {layer}{suffix}", draw(table, column, layout, limits[column.name]))
                for column in COLUMNS
                for table in [tables[column.name, layer]]
                if not table.empty
            ]
            for layer in shown
        ]
    rows = [row for row in rows if row]
    where = (
        "over the learning rate of the update, joined in the order of the updates" if over_lr else "over the updates"
    )
    left_out = f" {len(shown)} of {len(names)} layers are drawn." if len(names) > len(shown) else ""
    note = f"Each layer {where}: the median over seeds. All charts of a measure have the same scale.{left_out}"
    name, title = ("layers_lr", "Layers, over the learning rate") if over_lr else ("layers", "Layers, over the updates")
    return Figure(name, title, note, rows, layout.warmup_lines if rows else [])
