"""Charts, made from tables only; each is drawn by Altair for the report, and as PNG or SVG without a browser.

`python -m warmup_lab.figures scheduler=warmupcosine warmup_ratio=0.1` draws the schedule that a command would use;
`make schedules` draws all of them, as they stand in `docs/`.
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
from warmup_lab.warmups import AUTOMATIC, WARMUPS, warmup_title

if TYPE_CHECKING:
    import altair as alt

    from warmup_lab.plan import Plan

    AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe & Ito's palette, which people of any colour vision can tell apart; dashes carry the same difference."""
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 1], [1, 3], [10, 4]]
_MAX_PIXELS = 8e6
_BARS = " ▁▂▃▄▅▆▇█"


def schedule_table(plans: dict[str, Plan]) -> pd.DataFrame:
    """`step`, `lr`, `schedule` and `warmup_steps`, a row an update of each plan."""
    return pd.concat(
        pd.DataFrame(
            {
                "step": range(plan.total_steps),
                "lr": [plan.config.optimizer.lr * plan.multiplier(step) for step in range(plan.total_steps)],
                "schedule": name,
                "warmup_steps": plan.warmup_steps,
            }
        )
        for name, plan in plans.items()
    )


def schedule_chart(table: pd.DataFrame, title: str = "") -> AnyChart:
    """Learning rate over updates: one panel a schedule, all on the same axes; a dotted line ends the warmup."""
    import altair as alt

    names = list(dict.fromkeys(table["schedule"]))
    x = alt.X("step:Q", title="update", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=4))
    y = alt.Y("lr:Q", title="learning rate", axis=alt.Axis(format=".1e", tickCount=4))
    line = alt.Chart().mark_line(strokeWidth=2.5, color=COLOURS[0]).encode(x=x, y=y)
    end = alt.Chart().mark_rule(strokeDash=[2, 3], color="#6b7280").encode(x=x)
    end = end.transform_filter("datum.step == datum.warmup_steps && datum.step > 0")
    layers: Any = alt.layer(end, line, data=table)
    if len(names) == 1:
        single: alt.LayerChart = layers.properties(width=560, height=260, title=names[0])
        return single
    expression = "split(datum.label, ', ')"  # two lines where options are named
    header = alt.Header(labelExpr=expression, labelFontSize=12, labelFontWeight="bold", labelLineHeight=14)
    panel = alt.Facet("schedule:N", title=None, sort=names, header=header)
    columns: alt.FacetChart = layers.properties(width=205, height=84).facet(panel, columns=4, title=title)
    return columns


def small_chart(table: pd.DataFrame) -> alt.Chart:
    """A schedule as a picture for a table: no axes, from 0 to the peak."""
    import altair as alt

    peak = float(table["lr"].max())
    hidden = alt.Scale(nice=False, domain=[0, peak])
    picture: alt.Chart = (
        alt.Chart(table)
        .mark_area(line={"color": COLOURS[0], "strokeWidth": 2}, color=COLOURS[0], fillOpacity=0.15)
        .encode(x=alt.X("step:Q", axis=None, scale=alt.Scale(nice=False)), y=alt.Y("lr:Q", axis=None, scale=hidden))
        .properties(width=130, height=42)
        .configure_view(stroke=None)
    )
    return picture


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
    overrides = "as for train.py; scheduler=all draws all of them, scheduler.warmup=all all shapes of warmup"
    parser.add_argument("overrides", nargs="*", help=overrides)
    parser.add_argument("--out", type=Path, nargs="+", default=[Path("schedule.png")], help="PNG or SVG to write")
    parser.add_argument("--each", type=Path, help="folder for a small SVG of every schedule beside it")
    options = parser.parse_args(arguments)
    try:
        groups = _plan_groups(options.overrides)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for plans in groups.values():
        for name, plan in plans.items():
            bars = text_bars([plan.multiplier(step) for step in range(plan.total_steps)])
            print(f"{name}, {plan.total_steps} updates, peak lr {plan.config.optimizer.lr:g}\n{bars}")
    chart = _one_above_the_other(groups)
    for path in options.out:
        save_chart(chart, path)
    if options.each:
        options.each.mkdir(parents=True, exist_ok=True)
        for plans in groups.values():
            for name, plan in plans.items():
                save_chart(small_chart(schedule_table({name: plan})), options.each / f"{_file_name(name)}.svg")
    print(f"drawn in {', '.join(map(str, options.out))}")
    return 0


def _file_name(name: str) -> str:
    """`polynomial` for `polynomial, power=2.0`, and `warmup_polynomial` for the warmup `warmup polynomial, power=2`."""
    return name.partition(",")[0].replace(" ", "_")


def _one_above_the_other(groups: dict[str, dict[str, Plan]]) -> AnyChart:
    import altair as alt

    charts = [schedule_chart(schedule_table(plans), title) for title, plans in groups.items()]
    if len(charts) == 1:
        return charts[0]
    both: alt.VConcatChart = alt.vconcat(*charts, spacing=24).configure_title(fontSize=15, anchor="start")
    return both


def _plan_groups(overrides: list[str]) -> dict[str, dict[str, Plan]]:
    """Title -> name -> plan: one plan, all schedulers, all warmups, or both of these."""
    rest = [override for override in overrides if override not in (_ALL_SCHEDULERS, _ALL_WARMUPS)]
    groups: dict[str, dict[str, Plan]] = {}
    if _ALL_SCHEDULERS in overrides:
        groups["Schedulers, with the usual linear warmup"] = _schedulers(rest)
    if _ALL_WARMUPS in overrides:
        constant = [] if any(override.startswith("scheduler=") for override in rest) else ["scheduler=warmupconstant"]
        groups["Warmups, before a constant rate (dotted: where the warmup ends)"] = _warmups([*rest, *constant])
    if not groups:
        plan = compose(rest)
        shape = warmup_title(plan.shape)
        name = f"{plan.config.scheduler.name}, {plan.warmup_steps} updates of {f'{shape} ' if shape else ''}warmup"
        groups[""] = {name: plan}
    return groups


_ALL_SCHEDULERS, _ALL_WARMUPS = "scheduler=all", "scheduler.warmup=all"
_SHOWN = {  # with its defaults each is like another one
    "warmupcosinewithhardrestarts": ("scheduler.num_cycles=3",),
    "cosine": ("scheduler.num_cycles=1.5",),
    "polynomial": ("scheduler.power=2.0",),
}


def _schedulers(overrides: list[str]) -> dict[str, Plan]:
    """A plan a scheduler; one that has two names is drawn under the first."""
    first: dict[object, str] = {}
    for name, factory in SCHEDULES.items():
        first.setdefault(factory, name)
    return {
        ", ".join([name, *(shown.removeprefix("scheduler.") for shown in _SHOWN.get(name, ()))]): compose(
            [*_fitting(overrides, name), f"scheduler={name}", *_SHOWN.get(name, ())]
        )
        for name in first.values()
    }


def _warmups(overrides: list[str]) -> dict[str, Plan]:
    """A plan a shape of warmup, and one an automatic warmup, which takes no length."""
    without_length = [override for override in overrides if not override.startswith("warmup_")]
    shapes = {f"warmup {name}": [*overrides, f"scheduler.warmup={name}"] for name in WARMUPS}
    start = {"warmup start_factor, linear from 0.3": [*overrides, "scheduler.start_factor=0.3"]}
    automatic = {f"warmup {name}": [*without_length, f"scheduler.warmup={name}"] for name in AUTOMATIC}
    return {name: compose(asked) for name, asked in (shapes | start | automatic).items()}


def _fitting(overrides: list[str], name: str) -> list[str]:
    """What of the overrides a schedule can take: one without warmup refuses to be asked for some."""
    return [override for override in overrides if has_warmup(name) or not override.startswith("warmup_")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
