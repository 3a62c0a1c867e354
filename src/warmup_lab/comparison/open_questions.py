"""What a recommendation leaves open: values at the edge of the grid, and others that the seeds cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from warmup_lab.comparison.arms import WITHOUT_WARMUP, Arm
from warmup_lab.comparison.numbers import percent_text
from warmup_lab.comparison.run_table import RunTable
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.statistics import Floats, mean_interval
from warmup_lab.comparison.verdicts import Comparison

MIN_FOR_INTERVAL = 3
"""Fewest runs for which an interval is shown: with 2, it says little more than that the spread is unknown."""


def same_but_warmup_and_lr(arm: Arm) -> tuple[object, ...]:
    """Equal for two arms that differ only in the warmup and the learning rate."""
    scheduler = arm.scheduler.lower()
    return WITHOUT_WARMUP.get(scheduler, scheduler), arm.total_steps, arm.setting


def open_questions(facts: Mapping[str, Any], table: RunTable, compared: Floats, best: int) -> list[str]:
    """A sentence for each; `facts` are the keys of the recommendation that describe the arm `best`."""
    return [
        *_failures(facts),
        *_guessing(facts, table, best),
        *_edges(facts, table),
        *_alike_sentences(table, compared, best),
    ]


def _failures(facts: Mapping[str, Any]) -> list[str]:
    failed = facts["failed"]
    return [f"{failed['count']} of {count(failed['total'], 'run')} with it failed to learn."] if failed["count"] else []


def _guessing(facts: Mapping[str, Any], table: RunTable, best: int) -> list[str]:
    """Where the evaluation loss is no better than that of guessing."""
    guess = table.guess_loss[best][np.isfinite(table.guess_loss[best])]
    if facts["metric"] != "eval_loss" or not guess.size or facts["mean"] is None or facts["mean"] < guess.mean():
        return []
    return [
        f"Its evaluation loss, {facts['mean']:.3g}, is no better than guessing ({guess.mean():.3g}): the runs "
        "overfit or learned nothing that generalizes. Judge by compare.metric=eval_accuracy, or use more data."
    ]


def percent_of(arm: Arm) -> float:
    """Length of the warmup in percent of the run."""
    return 100 * arm.warmup_steps / arm.total_steps


def preliminary_sentences(found: Comparison) -> list[str]:
    total, missing = sum(arm.num_runs for arm in found.arms), sum(arm.num_unfinished for arm in found.arms)
    return [f"Preliminary: {total - missing} of {count(total, 'run')} ended."] if missing else []


def _edges(facts: Mapping[str, Any], table: RunTable) -> list[str]:
    """Where the choice is the last value that was tried, so that a better one may lie beyond."""
    found = []
    if facts["lr_at_edge"]:
        other = "smaller" if facts["lr_at_edge"] == "smallest" else "larger"
        found.append(f"lr {facts['lr']:g} is the {facts['lr_at_edge']} that was tried; a {other} one may be better.")
    percent, tried = facts["warmup"]["percent"], {percent_of(arm) for arm in table.arms}
    if len(tried) > 1 and math.isclose(percent, max(tried)) and percent < 100:
        found.append(f"{percent_text(percent)} is the longest warmup that was tried; a longer one may be better.")
    return found


def _alike_sentences(table: RunTable, compared: Floats, best: int) -> list[str]:
    """Which other learning rates, and which other warmups, are not shown to be worse than the best."""
    arm, num_seeds = table.arms[best], int(np.isfinite(compared[best]).sum())
    same = _same_kind(table, best)
    lrs = [row for row in same if table.arms[row].same_but_lr == arm.same_but_lr]
    warmups = [row for row in same if table.arms[row].lr == arm.lr]
    if num_seeds < MIN_FOR_INTERVAL:
        few = f"{count(num_seeds, 'seed')}: the differences may be chance."
        return [few] if lrs or warmups else []
    alike_lrs = sorted({f"{table.arms[row].lr:g}" for row in _alike(compared, best, lrs)}, key=float)
    others = sorted((table.arms[row] for row in _alike(compared, best, warmups)), key=percent_of)
    lengths = dict.fromkeys(_warmup_text(other, arm) for other in others)
    alike = [f"lr {_listed(alike_lrs)}"] if alike_lrs else []
    alike += [f"{_listed([*lengths])} warmup"] if lengths else []
    if not alike:
        return []
    interval = "the 95 % interval of each paired difference includes 0"
    return [f"Not shown to be better than {' or '.join(alike)}: at {num_seeds} seeds, {interval}."]


def alike_warmups(table: RunTable, compared: Floats, best: int) -> list[int]:
    """The rows that differ from the best only in the warmup, and that the seeds do not tell apart, or are too few."""
    own = [row for row in _same_kind(table, best) if table.arms[row].lr == table.arms[best].lr]
    known = [row for row in own if np.isfinite(compared[row] - compared[best]).sum() >= MIN_FOR_INTERVAL]
    return [*_alike(compared, best, known), *(row for row in own if row not in known)]


def _same_kind(table: RunTable, best: int) -> list[int]:
    """The other rows that differ from the best in the warmup and the learning rate at most."""
    kind = same_but_warmup_and_lr(table.arms[best])
    return [row for row, arm in enumerate(table.arms) if row != best and same_but_warmup_and_lr(arm) == kind]


def _warmup_text(other: Arm, best: Arm) -> str:
    """`10 %`, with the shape where that differs from the best one's."""
    shape = f" {other.warmup}" if other.warmup_steps and other.warmup != best.warmup else ""
    return f"{percent_text(percent_of(other))}{shape}"


def _alike(compared: Floats, best: int, rows: Sequence[int]) -> list[int]:
    """The rows whose paired difference from `best` has a 95 % t-interval that includes 0."""
    alike = []
    for row in rows:
        differences = compared[row] - compared[best]
        differences = differences[np.isfinite(differences)]
        interval = mean_interval(differences) if differences.size >= MIN_FOR_INTERVAL else None
        if interval is not None and interval[0] <= 0 <= interval[1]:
            alike.append(row)
    return alike


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
