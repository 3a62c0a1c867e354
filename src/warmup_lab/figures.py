"""Charts, made from tables only; each is drawn by Altair for the report, and as PNG or SVG without a browser.

`python -m warmup_lab.figures scheduler=warmupcosine warmup_ratio=0.1` draws the schedule that a command would use.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from warmup_lab.composition import compose
from warmup_lab.files import atomic_path
from warmup_lab.schedules import SCHEDULES, has_warmup
from warmup_lab.schema import ConfigError

if TYPE_CHECKING:
    import altair as alt

    from warmup_lab.plan import Plan

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe & Ito's palette, which people of any colour vision can tell apart; dashes carry the same difference."""
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 1], [1, 3], [10, 4]]
_MAX_PIXELS = 8e6
_BARS = " ▁▂▃▄▅▆▇█"


def schedule_table(plans: dict[str, Plan]) -> pd.DataFrame:
    """`step`, `lr` and `schedule`, a row an update of each plan."""
    return pd.concat(
        pd.DataFrame(
            {
                "step": range(plan.total_steps),
                "lr": [plan.config.optimizer.lr * plan.multiplier(step) for step in range(plan.total_steps)],
                "schedule": name,
            }
        )
        for name, plan in plans.items()
    )


def schedule_chart(table: pd.DataFrame) -> alt.Chart | alt.FacetChart:
    """Learning rate over updates: one panel a schedule, all on the same axes."""
    import altair as alt

    names = list(dict.fromkeys(table["schedule"]))
    lines: alt.Chart = (
        alt.Chart(table)
        .mark_line(strokeWidth=2.5, color=COLOURS[0])
        .encode(
            x=alt.X("step:Q", title="update", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=4)),
            y=alt.Y("lr:Q", title="learning rate", axis=alt.Axis(format=".1e", tickCount=4)),
        )
    )
    if len(names) == 1:
        return lines.properties(width=560, height=260, title=names[0])
    panel = alt.Facet("schedule:N", title=None, sort=names, header=alt.Header(labelFontSize=12, labelFontWeight="bold"))
    return lines.properties(width=250, height=120).facet(panel, columns=3)


def save_chart(chart: alt.Chart | alt.FacetChart, path: Path) -> None:
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


def text_bars(multiplier_values: list[float], width: int = 72) -> str:
    """The schedule as one line of block characters, `width` of them at most.

    >>> text_bars([0.0, 0.5, 1.0, 0.5, 0.0])
    ' ▄█▄ '
    """
    count = min(width, len(multiplier_values))
    sampled = [multiplier_values[i * (len(multiplier_values) - 1) // max(1, count - 1)] for i in range(count)]
    return "".join(_BARS[round(value * (len(_BARS) - 1))] for value in sampled)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warmup_lab.figures",
        description="Draws the schedule that train.py with these overrides would use; trains nothing.",
    )
    parser.add_argument("overrides", nargs="*", help="as for train.py; scheduler=all draws all of them")
    parser.add_argument("--out", type=Path, default=Path("schedule.png"), help="PNG or SVG to write")
    options = parser.parse_args(arguments)
    try:
        plans = _plans(options.overrides)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, plan in plans.items():
        bars = text_bars([plan.multiplier(step) for step in range(plan.total_steps)])
        print(f"{name}, {plan.total_steps} updates, peak lr {plan.config.optimizer.lr:g}\n{bars}")
    save_chart(schedule_chart(schedule_table(plans)), options.out)
    print(f"drawn in {options.out}")
    return 0


def _plans(overrides: list[str]) -> dict[str, Plan]:
    rest = [override for override in overrides if override != "scheduler=all"]
    if len(rest) == len(overrides):
        plan = compose(rest)
        return {f"{plan.config.scheduler.name}, {plan.warmup_steps} updates of warmup": plan}
    return {name: compose([*_fitting(rest, name), f"scheduler={name}", *_SHOWN.get(name, ())]) for name in SCHEDULES}


_SHOWN = {"warmupcosinewithhardrestarts": ("scheduler.num_cycles=3",)}  # with 1 it is warmupcosine


def _fitting(overrides: list[str], name: str) -> list[str]:
    """What of the overrides a schedule can take: one without warmup refuses to be asked for some."""
    return [override for override in overrides if has_warmup(name) or not override.startswith("warmup_")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
