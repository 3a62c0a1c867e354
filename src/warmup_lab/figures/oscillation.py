"""The figures of loss oscillation over warmup length: the main measures, and the others in detail."""

from __future__ import annotations

from warmup_lab.figures.failures import failure_rate
from warmup_lab.figures.figure import Figure
from warmup_lab.figures.layout import Layout
from warmup_lab.figures.over_warmup import Column, draw_columns, metric_column

_DETAILS = ("early/roughness", "late/roughness", "whole/max_rise", "whole/spike_rate", "excess", "updates_to_target")


def oscillation_columns() -> list[Column]:
    """Roughness of the whole run and at matched loss, with the failure rate beside it."""
    return [
        metric_column("whole/roughness"),
        Column("Failure rate", "share of runs", failure_rate, share=True),
        metric_column("matched/roughness"),
    ]


def oscillation_figure(layout: Layout) -> Figure:
    note = (
        "Mean over the runs that learned, with its 95 % t-interval. Failure rates have 95 % Wilson intervals. "
        "Hollow marker: some runs of the arm failed to learn. Cross: no run learned, so there is no mean; this does "
        "not mean a calm loss. Intervals are cut at the edge of the chart."
    )
    rows = draw_columns(oscillation_columns(), layout)
    return Figure("oscillation", "Oscillation versus warmup length", note, rows, layout.lines)


def detail_figure(layout: Layout) -> Figure:
    """The other measures of oscillation."""
    note = "Mean over the runs that learned, with its 95 % t-interval. Hollow marker: some runs of the arm failed."
    rows = draw_columns([metric_column(metric) for metric in _DETAILS], layout)
    return Figure("oscillation_detail", "Other measures of oscillation", note, rows, layout.lines)
