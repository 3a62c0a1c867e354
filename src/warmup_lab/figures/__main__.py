"""`python -m warmup_lab.figures` draws the schedule that a command would use, and trains nothing.

In the terminal, and with `--out` as a picture.

`scheduler=all` draws all schedulers and `scheduler.warmup=all` all warmup shapes; `make schedules` draws both for
`docs/`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_lab.cli import compose_plan
from warmup_lab.config import ConfigError
from warmup_lab.figures.figure import save_chart
from warmup_lab.figures.schedule import schedule_chart, schedule_table, small_chart, text_bars
from warmup_lab.schedules import AUTOMATIC_WARMUPS, SCHEDULES, WARMUPS, has_warmup, warmup_title

if TYPE_CHECKING:
    import altair as alt

    from warmup_lab.figures.charts import AnyChart
    from warmup_lab.plan import Plan

Compose = Callable[[list[str]], "Plan"]
_ALL_SCHEDULERS, _ALL_WARMUPS = "scheduler=all", "scheduler.warmup=all"
_OPTIONS = {  # with default options these schedules look like other ones
    "warmupcosinewithhardrestarts": ("scheduler.num_cycles=3",),
    "cosine": ("scheduler.num_cycles=1.5",),
    "polynomial": ("scheduler.power=2.0",),
}


def main(arguments: list[str], prog: str = "python -m warmup_lab.figures") -> int:
    options = _parse(arguments, prog)
    try:
        groups = _plan_groups(options.overrides, partial(compose_plan, config_dir=options.config_dir))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    plans = {name: plan for group in groups.values() for name, plan in group.items()}
    for name, plan in plans.items():
        bars = text_bars([plan.multiplier(step) for step in range(plan.total_steps)])
        print(f"{name}, {plan.total_steps} updates, peak lr {plan.config.optimizer.lr:g}\n{bars}")
    if options.out:
        chart = _stacked_chart(groups)
        for path in options.out:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_chart(chart, path)
    if options.each:
        options.each.mkdir(parents=True, exist_ok=True)
        for name, plan in plans.items():
            save_chart(small_chart(schedule_table({name: plan})), options.each / f"{_file_name(name)}.svg")
    saved = [*options.out, *([options.each] if options.each else [])]
    print(f"saved {', '.join(map(str, saved))}" if saved else "to save a picture: --out schedule.png, or .svg")
    return 0


def _parse(arguments: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Draw the learning-rate schedule of a training with these overrides. Nothing is trained.",
    )
    overrides = "as for a training; scheduler=all draws all schedulers, scheduler.warmup=all all warmup shapes"
    parser.add_argument("overrides", nargs="*", help=overrides)
    parser.add_argument("--config-dir", "-cd", type=Path, help="folder with more options, as for a training")
    out = "PNG or SVG files to write; without it, the schedule is only drawn in the terminal"
    parser.add_argument("--out", type=Path, nargs="+", default=[], help=out)
    parser.add_argument("--each", type=Path, help="folder for a small SVG of each schedule")
    return parser.parse_intermixed_args(arguments)


def _file_name(name: str) -> str:
    """`polynomial` for `polynomial, power=2.0`, and `warmup_polynomial` for the warmup `warmup polynomial, power=2`."""
    return name.partition(",")[0].replace(" ", "_")


def _stacked_chart(groups: dict[str, dict[str, Plan]]) -> AnyChart:
    import altair as alt

    charts = [schedule_chart(schedule_table(plans), title) for title, plans in groups.items()]
    if len(charts) == 1:
        return charts[0]
    stacked: alt.VConcatChart = alt.vconcat(*charts, spacing=24).configure_title(fontSize=15, anchor="start")
    return stacked


def _plan_groups(overrides: list[str], compose: Compose) -> dict[str, dict[str, Plan]]:
    """Title -> name -> plan: all schedulers, all warmups, both, or otherwise the one plan of the overrides."""
    rest = [override for override in overrides if override not in (_ALL_SCHEDULERS, _ALL_WARMUPS)]
    groups: dict[str, dict[str, Plan]] = {}
    if _ALL_SCHEDULERS in overrides:
        groups["Schedulers, with linear warmup"] = _schedulers(rest, compose)
    if _ALL_WARMUPS in overrides:
        constant = [] if any(override.startswith("scheduler=") for override in rest) else ["scheduler=warmupconstant"]
        groups["Warmups, followed by a constant rate (dotted line: end of warmup)"] = _warmups(
            [*rest, *constant], compose
        )
    if not groups:
        plan = compose(rest)
        shape = warmup_title(plan.shape)
        name = f"{plan.config.scheduler.name}, {plan.warmup_steps} updates of {f'{shape} ' if shape else ''}warmup"
        groups[""] = {name: plan}
    return groups


def _schedulers(overrides: list[str], compose: Compose) -> dict[str, Plan]:
    """A plan per scheduler. A scheduler with two names is drawn under its first."""
    first: dict[object, str] = {}
    for name, factory in SCHEDULES.items():
        first.setdefault(factory, name)
    return {
        ", ".join([name, *(option.removeprefix("scheduler.") for option in _OPTIONS.get(name, ()))]): compose(
            [*_accepted(overrides, name), f"scheduler={name}", *_OPTIONS.get(name, ())]
        )
        for name in first.values()
    }


def _warmups(overrides: list[str], compose: Compose) -> dict[str, Plan]:
    """A plan per warmup shape, and one per automatic warmup, which accepts no length."""
    without_length = [override for override in overrides if not override.startswith("warmup_")]
    shapes = {f"warmup {name}": [*overrides, f"scheduler.warmup={name}"] for name in WARMUPS}
    start = {"warmup start_factor, linear from 0.3": [*overrides, "scheduler.start_factor=0.3"]}
    automatic = {f"warmup {name}": [*without_length, f"scheduler.warmup={name}"] for name in AUTOMATIC_WARMUPS}
    return {name: compose(asked) for name, asked in (shapes | start | automatic).items()}


def _accepted(overrides: list[str], name: str) -> list[str]:
    """The overrides that a schedule accepts: one without warmup refuses a warmup length."""
    return [override for override in overrides if has_warmup(name) or not override.startswith("warmup_")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
