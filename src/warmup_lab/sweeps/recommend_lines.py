"""The lines that a recommendation prints between its stages: what is known, and what comes next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from warmup_lab.comparison import count
from warmup_lab.comparison.recommend import Stage, StoredPlan, duration
from warmup_lab.config import RunConfig
from warmup_lab.sweeps.recommend_plan import RampSize, Timing
from warmup_lab.system import shown_path


def say(*lines: str) -> None:
    """Prints lines on stderr, above the progress line."""
    sys.stderr.writelines(f"{line}\n" for line in lines)


def opening_line(config: RunConfig, directory: Path) -> str:
    """What is looked for, in which time, and where the results will be."""
    budget = config.compare.budget_minutes
    time = "without a time limit" if budget is None else f"in {budget:g} min (compare.budget_minutes)"
    return (
        f"looking for an lr and a warmup for task {config.task.title} and model {config.model.title}, {time}; "
        f"results are in {shown_path(directory)}"
    )


def other_recommendation_line(directory: Path) -> str:
    """The folder has the recommendation of another command."""
    return (
        f"{shown_path(directory)} has a recommendation with other data or settings. Its runs stay, and this one "
        "replaces its report; study=NAME keeps both"
    )


def timing_line(timing: Timing) -> str:
    """The measured time of an update and of a run."""
    run = f"a run of {timing.run_updates} updates about {duration(timing.run_seconds)}"
    return f"an update takes {duration(timing.update_seconds)}, {run}"


def ramp_line(size: RampSize, lrs: tuple[float, float], timing: Timing) -> str:
    """The ramps that come next; `lrs` is where they start and end."""
    seconds = timing.seconds(size.num_seeds, size.updates)
    ramps = f"{count(size.num_seeds, 'ramp')} of {size.updates} updates, lr {lrs[0]:.2g} to {lrs[1]:.2g}"
    return f"1 of 3: {ramps}, about {duration(seconds)}"


def needed_line(plan: StoredPlan, consequence: str) -> str:
    """The budget of a whole answer, where the present one is too small, and what is done instead."""
    return f"a whole answer needs compare.budget_minutes={plan.needed_minutes} ({plan.needed_parts}), so {consequence}"


def rates_line(lead: str, rates: Sequence[float], num_runs: int, seconds: float) -> str:
    """The rates that come next."""
    listed = ", ".join(f"{rate:g}" for rate in rates)
    return f"{lead} lr {listed} with and without warmup, {count(num_runs, 'run')}, about {duration(seconds)}"


def confirmation_line(lead: str, lr: float, num_seeds: int, seconds: float) -> str:
    """The confirmation that comes next."""
    return (
        f"{lead}; 3 of 3: confirming lr {lr:g} with and without warmup at {num_seeds} other seeds, "
        f"{2 * num_seeds} runs, about {duration(seconds)}"
    )


def stored_line(stage: Stage) -> str:
    """A stage that an earlier command planned; '' for the measurement of the time of an update."""
    rates, seeds = ", ".join(f"{rate:g}" for rate in stage.lrs), len(stage.seeds)
    what = {
        "ramp": f"1 of 3: {count(seeds, 'ramp')} of {stage.updates} updates",
        "grid": f"2 of 3: lr {rates} with and without warmup, {count(len(stage.run_ids), 'run')}",
        "confirm": f"3 of 3: confirming lr {rates} with and without warmup at {seeds} other seeds",
    }
    return f"{what[stage.kind]}, as planned before" if stage.kind in what else ""
