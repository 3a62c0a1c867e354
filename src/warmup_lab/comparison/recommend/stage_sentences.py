"""The wording of what each stage of a recommendation found, and of the time."""

from __future__ import annotations

from collections.abc import Iterable

from warmup_lab.comparison import count
from warmup_lab.comparison.recommend.choice import GridRow
from warmup_lab.comparison.recommend.findings import Findings
from warmup_lab.comparison.recommend.ramp import RampResult
from warmup_lab.metrics import title_and_unit


def ramp_sentence(ramp: RampResult) -> str:
    """Where the loss breaks on the ramps, or that no break is visible."""
    span = f"lr {ramp.start_lr:.2g} to {ramp.end_lr:.2g}"
    ramps = f"{count(len(ramp.seeds), 'ramp')} of {ramp.updates} updates from {span}"
    if ramp.lr is not None:
        assert ramp.low is not None
        assert ramp.high is not None
        spread = f" ({ramp.low:.2g} to {ramp.high:.2g})" if ramp.low != ramp.high else ""
        doubt = ""
        if ramp.early:
            doubt = " That is in the first quarter of the ramp, so the break may be at a lower lr."
        elif not ramp.learned:
            doubt = " Nothing had been learned by then, so the break may be at a lower lr."
        elif ramp.is_short:
            doubt = f" A ramp of {ramp.updates} updates breaks late, so longer runs may break at a lower lr."
        return f"The loss breaks at lr {ramp.lr:.2g}{spread} on {ramps}.{doubt}"
    if ramp.fall_lr is None and not ramp.learned:
        return f"{ramps[:1].upper()}{ramps[1:]} show nothing: the loss neither fell nor rose, so they were too short."
    broke = f"rose on {ramp.num_broken} of them only" if ramp.num_broken else "did not rise again"
    fell = f"fell at lr {ramp.fall_lr:.2g}" if ramp.fall_lr is not None else "fell"
    return f"No break is visible on {ramps}: the loss {fell} and {broke}. The runs have to show which lr is too large."


def cold_sentence(found: Findings) -> str:
    """Where runs failed more often without warmup below the lr at which the ramps break; empty if nowhere."""
    limit = found.ramp.lr if found.ramp is not None else None
    failed = {(row.lr, row.start): row.failed.count for row in found.grid}
    cold = [
        lr for (lr, start), number in failed.items() if start == "without" and number > failed.get((lr, "with"), number)
    ]
    if limit is None or not cold or min(cold) >= limit:
        return ""
    return f" A ramp is itself a warmup: without one, runs failed at lr {min(cold):.2g} already."


def grid_sentence(found: Findings) -> str:
    """Which rates were tried, and what was best."""
    choice = found.choice
    assert choice is not None
    title = title_and_unit(choice.metric)[0]
    cells = {(row.lr, row.start): _cell(row) for row in found.grid}
    parts = [f"lr {lr:.2g}: {cells.get((lr, 'without'), '-')} / {cells.get((lr, 'with'), '-')}" for lr in choice.lrs]
    return f"Mean {title} without / with warmup at {choosing_seeds(found)}: {'; '.join(parts)}."


def _cell(row: GridRow) -> str:
    if row.mean is None:
        return "-"
    failed = f" ({row.failed.count} of {row.failed.total} failed)" if row.failed.count else ""
    return f"{row.mean:.3g}{failed}"


def num_choosing(found: Findings) -> int:
    """Seeds at the chosen rate."""
    return max((len(row.values) for row in found.grid if found.choice and row.lr == found.choice.lr), default=0)


def choosing_seeds(found: Findings) -> str:
    """`3 seeds`, or `1 to 2 seeds` if the best rates have more than the others."""
    counts = sorted({len(row.values) for row in found.grid if row.values})
    return count(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def budget_sentence(found: Findings) -> str:
    """How long it took and what more needs; empty without a measured time."""
    plan = found.plan
    if plan.run_seconds is None:
        return ""
    text = f"The stages took {duration(plan.wall_seconds)}"
    if plan.needed_parts is None:  # they name the time of a run, as estimated before the last stage
        text = f"A whole run takes about {duration(plan.run_seconds)}; the{text[3:]}"
    if plan.budget_minutes is not None:
        text += f" of compare.budget_minutes={plan.budget_minutes:g}"
    return f"{text}. {needed_sentence(found)}".rstrip()


def needed_sentence(found: Findings) -> str:
    """The budget that the next part needs; empty if it is not the budget that is missing."""
    plan = found.plan
    if plan.needed_minutes is None:
        return ""
    what = "A whole answer" if plan.needed_for == "recommendation" else "The next look"
    parts = f" ({plan.needed_parts})" if plan.needed_parts else ""
    return f"{what} needs compare.budget_minutes={plan.needed_minutes}{parts}."


def duration(seconds: float) -> str:
    """One unit, about two digits.

    >>> duration(0.0123), duration(0.42), duration(42), duration(720), duration(8000)
    ('12 ms', '0.42 s', '42 s', '12 min', '2.2 h')
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def listed(lrs: Iterable[float]) -> str:
    """`0.001, 0.002`."""
    return ", ".join(f"{lr:.3g}" for lr in lrs)
