"""The recommendation of a sweep: learning rate, warmup, how far they are decided, and the command to run next.

The choice is the best mean over all seeds, failed runs included. It is labelled as observed unless the tests of the
comparison made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.advised_arms import AdvisedArms, advised_arms
from warmup_lab.comparison.arms import WITHOUT_WARMUP, Arm
from warmup_lab.comparison.naming import schedule_name, several_lrs
from warmup_lab.comparison.next_command import lr_grid_command, single_run_command, with_new_seeds_command
from warmup_lab.comparison.numbers import percent_text
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, Floats, mean_interval, num_seeds_to_show
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Comparison
from warmup_lab.metrics import smaller_is_better, title_and_unit

MIN_FOR_INTERVAL = 3
"""Fewest runs for which an interval is shown: with 2, it says little more than that the spread is unknown."""
_USUAL_SEEDS, _MOST_SEEDS = 12, 60
"""Seeds of a confirmation without a stated margin, and the largest number with one."""


def recommendation_section(
    sweep: Sweep, runs: pd.DataFrame, found: Comparison, jitter: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The section `recommendation` of `comparison.json`.

    - `lr`, `lr_tried`, `lr_at_edge` (`smallest`, `largest` or None) and `warmup` (`steps`, `percent`, and the schedule
      as `name`): what to use. lr and warmup are None where nothing tried can be recommended.
    - `arm`, `seeds`, `metric`, `title`, `mean`, `interval` and `failed`: the arm behind it, all its seeds counted.
      The interval is None below 3 seeds.
    - `decided`: every choice was made by a test. `sentence` says what was chosen and how, `unsure` what is open.
    - `next_command`: what to run next, for a shell.

    A sweep of ramps recommends the lr and the warmup of its section `jitter`. The metric is the primary one, or the
    final evaluation loss if that is an oscillation, which would choose an lr at which nothing is learned.
    """
    metric = found.metric if metric_kind(found.metric) != "rank" else "eval_loss"
    if metric not in runs:
        runs = runs.assign(**{metric: np.nan})
    table = read_runs(runs, metric)
    compared = table.compared(metric, smaller_is_better=smaller_is_better(metric))
    counted = {"metric": metric, "title": title_and_unit(metric)[0]}
    rows = [row for row in range(len(table.arms)) if np.isfinite(compared[row]).any()]
    if jitter is not None:
        rows = _rows_of_jitter(table, jitter["recommendation"])
    if not rows:
        return _nothing(sweep, found, counted, jitter)
    advised = AdvisedArms(rows) if jitter is not None else advised_arms(found, table.arms, rows)
    sign = 1.0 if smaller_is_better(metric) else -1.0
    best = min(advised.rows, key=lambda row: (_mostly_failed(table, row), sign * np.nanmean(compared[row])))
    if jitter is not None:
        return _of_jitter(sweep, table, compared, best, jitter["recommendation"]) | counted
    return _of_comparison(sweep, table, compared, best, _Open(found, advised.basis, len(rows))) | counted


def _mostly_failed(table: RunTable, row: int) -> bool:
    """Whether more than half of the runs failed. Such an arm is no choice, even if others overfit."""
    failed = table.summary(row).failed
    return bool(failed.total) and failed.share > 0.5


@dataclass(frozen=True)
class _Open:
    """What a sentence needs to say how far a choice is decided."""

    found: Comparison
    basis: str
    num_candidates: int


def _facts(table: RunTable, compared: Floats, row: int) -> dict[str, Any]:
    """The keys that describe one arm."""
    arm, summary = table.arms[row], table.summary(row)
    values = compared[row][np.isfinite(compared[row])]
    tried = _lrs_tried(table, arm)
    edge = "smallest" if arm.lr == tried[0] else "largest" if arm.lr == tried[-1] else None
    return {
        "lr": arm.lr,
        "lr_tried": tried,
        "lr_at_edge": edge if len(tried) > 1 else None,
        "warmup": {
            "steps": arm.warmup_steps,
            "percent": summary.warmup_percent,
            "name": schedule_name(arm.scheduler, arm.warmup),
        },
        "arm": arm.name,
        "seeds": int(values.size),
        "mean": float(values.mean()) if values.size else None,
        "interval": mean_interval(values) if values.size >= MIN_FOR_INTERVAL else None,
        "failed": summary.failed.to_dict() | {"share": summary.failed.share if summary.failed.total else None},
    }


def _kind(arm: Arm) -> tuple[object, ...]:
    """All but warmup and lr."""
    scheduler = arm.scheduler.lower()
    return WITHOUT_WARMUP.get(scheduler, scheduler), arm.total_steps, arm.setting


def _lrs_tried(table: RunTable, arm: Arm) -> list[float]:
    """The learning rates of the arms of the same kind with a finished run, rising."""
    same = [row for row, other in enumerate(table.arms) if _kind(other) == _kind(arm) and table.finished[row].any()]
    return sorted({lr for row in same if (lr := table.arms[row].lr) is not None}) or [arm.lr or math.nan]


def _nothing(
    sweep: Sweep, found: Comparison, counted: dict[str, Any], jitter: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The section without a recommendation."""
    ended = sum(arm.failed.total for arm in found.arms)
    sentence = "No learning rate can be recommended from the ramps." if jitter else "No run has ended yet."
    if jitter and found.preliminary:
        sentence = "Nothing is recommended before all runs have ended."
    elif ended and not jitter:
        sentence = f"No run has a {counted['title']}, so nothing can be recommended."
    return {
        "lr": None, "lr_tried": sorted({arm.lr for arm in found.arms if arm.lr is not None}), "lr_at_edge": None,
        "warmup": None, "arm": None, "seeds": 0, **counted, "mean": None, "interval": None,
        "failed": {"count": 0, "total": 0, "low": None, "high": None, "share": None}, "decided": False,
        "sentence": sentence, "unsure": _preliminary(found), "next_command": sweep.command,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------- comparisons


def _percent(arm: Arm) -> float:
    return 100 * arm.warmup_steps / arm.total_steps


def _of_comparison(sweep: Sweep, table: RunTable, compared: Floats, best: int, open_: _Open) -> dict[str, Any]:
    facts, arm = _facts(table, compared, best), table.arms[best]
    found = open_.found
    swept, varied = several_lrs(other.lr for other in table.arms), _varied(table.arms)
    preliminary = _preliminary(found)
    decided = bool(open_.basis) and not swept and not any(varied) and not preliminary
    unsure = [*preliminary, *_edges(facts, table), *_alike_sentences(table, compared, best)]
    if _mostly_failed(table, best):
        failed = facts["failed"]
        return facts | {
            "lr": None, "lr_at_edge": None, "warmup": None, "decided": False, "unsure": preliminary,
            "sentence": f"Nothing tried is usable: {failed['count']} of {failed['total']} runs failed even with the "
            f"best combination, {arm.name}. Try a lower learning rate.",
            "next_command": lr_grid_command(sweep, arm, [facts["lr_tried"][0] / 4, facts["lr_tried"][0] / 2]),
        }  # fmt: skip
    if preliminary:
        command = sweep.command
    elif facts["lr_at_edge"] and arm.lr:
        factors = (0.25, 0.5, 1.0) if facts["lr_at_edge"] == "smallest" else (1.0, 2.0, 4.0)
        command = lr_grid_command(sweep, arm, [arm.lr * factor for factor in factors])
    elif decided:
        command = single_run_command(sweep, arm)
    else:
        command = with_new_seeds_command(sweep, arm, _num_seeds(found))
    sentence = _sentence(arm, open_, swept=swept, varied=varied)
    return facts | {"decided": decided, "sentence": sentence, "unsure": unsure, "next_command": command}


def _varied(arms: Sequence[Arm]) -> tuple[bool, bool]:
    """Whether the schedule or the shape of the warmup was varied, and whether any other setting was."""
    schedules = {(_kind(arm)[0], arm.warmup) for arm in arms if arm.warmup_steps}
    return len(schedules) > 1, len({(arm.total_steps, arm.setting) for arm in arms}) > 1


def _sentence(arm: Arm, open_: _Open, *, swept: bool, varied: tuple[bool, bool]) -> str:
    share = percent_text(_percent(arm))
    warmup = f"{share} warmup ({count(arm.warmup_steps, 'update')})" if arm.warmup_steps else "no warmup"
    parts = (schedule_name(arm.scheduler, arm.warmup) * varied[0], arm.setting[-1] * varied[1])
    kind = "".join(f", {part}" for part in parts if part)
    lr = "" if arm.lr is None else f"lr {arm.lr:g} with "
    if _preliminary(open_.found):
        observed = f"the best observed so far of {count(open_.num_candidates, 'combination')}"
        only = "the only combination with results"
        return f"Preliminary: {lr}{warmup}{kind} is {observed if open_.num_candidates > 1 else only}."
    use = f"Use {lr}{warmup}{kind}"
    if not open_.basis:
        tried = f"the best observed of {count(open_.num_candidates, 'combination')}, not tested against the others"
        return f"{use}: {tried if open_.num_candidates > 1 else 'the only combination that was tried'}."
    others = ["learning rate"] * swept + ["schedule"] * varied[0] + ["setting"] * varied[1]
    observed = (
        f" The {' and the '.join(others)} {'are' if len(others) > 1 else 'is'} only the best observed, not tested."
    )
    return f"{use}: {open_.basis}.{observed if others else ''}"


def _preliminary(found: Comparison) -> list[str]:
    total, missing = sum(arm.num_runs for arm in found.arms), sum(arm.num_unfinished for arm in found.arms)
    return [f"Preliminary: {total - missing} of {count(total, 'run')} ended."] if missing else []


def _edges(facts: Mapping[str, Any], table: RunTable) -> list[str]:
    """Where the choice is the last value that was tried, so that a better one may lie beyond."""
    found = []
    if facts["lr_at_edge"]:
        other = "smaller" if facts["lr_at_edge"] == "smallest" else "larger"
        found.append(f"lr {facts['lr']:g} is the {facts['lr_at_edge']} that was tried; a {other} one may be better.")
    percent, tried = facts["warmup"]["percent"], {_percent(arm) for arm in table.arms}
    if len(tried) > 1 and math.isclose(percent, max(tried)) and percent < 100:
        found.append(f"{percent_text(percent)} is the longest warmup that was tried; a longer one may be better.")
    return found


def _alike_sentences(table: RunTable, compared: Floats, best: int) -> list[str]:
    """Which other learning rates, and which other warmups, the seeds cannot tell from the best."""
    arm, num_seeds = table.arms[best], int(np.isfinite(compared[best]).sum())
    same = [row for row, other in enumerate(table.arms) if row != best and _kind(other) == _kind(arm)]
    lrs = [row for row in same if table.arms[row].same_but_lr == arm.same_but_lr]
    warmups = [row for row in same if table.arms[row].lr == arm.lr]
    if num_seeds < MIN_FOR_INTERVAL:
        few = f"{count(num_seeds, 'seed')}: the differences may be chance."
        return [few] if lrs or warmups else []
    alike_lrs = sorted({f"{table.arms[row].lr:g}" for row in _alike(compared, best, lrs)}, key=float)
    shares = dict.fromkeys(_percent(table.arms[row]) for row in _alike(compared, best, warmups))
    alike = [f"lr {_listed(alike_lrs)}"] if alike_lrs else []
    alike += [f"{_listed([percent_text(share) for share in sorted(shares)])} warmup"] if shares else []
    why = f"at {num_seeds} seeds: the 95 % intervals of the paired differences include 0."
    return [f"Not told apart from {one} {why}" for one in alike]


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


def _num_seeds(found: Comparison) -> int:
    """Seeds of a confirmation: the last planned look, or what shows a difference of the margin, at most 60."""
    if found.looks and len(found.looks) > 1:
        return found.looks[-1]
    spreads = [verdict.test.spread for verdict in found.verdicts if verdict.test and verdict.test.spread]
    if found.margin is None or not spreads:
        return _USUAL_SEEDS
    needed = num_seeds_to_show(found.margin, max(spreads), level=ALPHA / 2)
    return max(MIN_PAIRS, min(needed, _MOST_SEEDS))


# ------------------------------------------------------------------------------------------------ ramps


def _rows_of_jitter(table: RunTable, advice: Mapping[str, Any]) -> list[int]:
    """The arms with the recommended constant lr and warmup."""
    return [
        row
        for row, arm in enumerate(table.arms)
        if arm.scheduler in ("constantlr", "warmupconstant")
        and (arm.lr, arm.warmup_steps) == (advice["lr"], advice["warmup_steps"])
    ]


def _of_jitter(sweep: Sweep, table: RunTable, compared: Floats, row: int, advice: Mapping[str, Any]) -> dict[str, Any]:
    arm = table.arms[row]
    facts = _facts(table, compared, row)
    unsure = ["The rate was chosen and observed on the same runs.", *advice["cautions"]]
    return facts | {
        "decided": False,
        "sentence": advice["lr_reason"],
        "unsure": unsure,
        "next_command": single_run_command(sweep, arm),
    }
