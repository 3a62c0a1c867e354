"""The figures of loss oscillation over warmup length: the main measures, and the others in detail."""

from __future__ import annotations

from warmup_lab.figures.column_charts import draw_columns
from warmup_lab.figures.failures import failure_rate, seen_failures
from warmup_lab.figures.figure import Figure
from warmup_lab.figures.layout import Layout
from warmup_lab.figures.over_warmup import Column, metric_column
from warmup_lab.figures.seed_dots import NO_SEEDS, SeedValues
from warmup_lab.metrics import ROUGHNESS

DETAILS = ("early/roughness", "late/roughness", "whole/max_rise", "whole/spike_rate", "excess", "updates_to_target")


def oscillation_columns(seeds: SeedValues = NO_SEEDS) -> list[Column]:
    """Roughness of the whole run and at matched loss, with the failure rate beside it."""
    rate = Column("Failure rate", "share of runs", failure_rate, seen_failures, share=True)
    return [metric_column(ROUGHNESS[0], seeds), rate, metric_column(ROUGHNESS[1], seeds)]


def oscillation_figure(layout: Layout, seeds: SeedValues = NO_SEEDS) -> Figure:
    measured = any(ROUGHNESS[0] in arm["metrics"] for arm in layout.arms)  # not by logs without one row per update
    rows = draw_columns(oscillation_columns(seeds), layout) if measured else []
    return Figure("oscillation", "Oscillation versus warmup length", "", rows, layout.lines)


def detail_figure(layout: Layout, seeds: SeedValues = NO_SEEDS) -> Figure:
    """The other measures of oscillation."""
    rows = draw_columns([metric_column(metric, seeds) for metric in DETAILS], layout)
    return Figure("oscillation_detail", "Other measures of oscillation", "", rows, layout.lines)
