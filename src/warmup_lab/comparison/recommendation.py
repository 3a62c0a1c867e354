"""The recommendation of a sweep: learning rate, warmup, how far they are decided, and the command to run next.

The choice is the best mean over all seeds, failed runs included. It is labelled as observed unless the tests of the
comparison made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.advised_arms import advised_arms
from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.choice_words import Grounds, chosen_text, varied_in
from warmup_lab.comparison.failure_advice import Remedy, remedy
from warmup_lab.comparison.more_seeds import looks_are_left, more_seeds
from warmup_lab.comparison.naming import schedule_name, several_lrs
from warmup_lab.comparison.next_command import (
    continue_command,
    longer_command,
    lr_grid_command,
    single_run_command,
    with_new_seeds_command,
)
from warmup_lab.comparison.numbers import capitalised
from warmup_lab.comparison.open_questions import (
    MIN_FOR_INTERVAL,
    alike_warmups,
    open_questions,
    preliminary_sentences,
    same_but_warmup_and_lr,
)
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.statistics import Floats, mean_interval
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Comparison
from warmup_lab.metrics import smaller_is_better, title_and_unit


def recommendation_section(
    sweep: Sweep, runs: pd.DataFrame, found: Comparison, jitter: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The section `recommendation` of `comparison.json`.

    - `lr`, `lr_tried`, `lr_at_edge` (`smallest`, `largest` or None) and `warmup` (`steps`, `percent`, and the schedule
      as `name`): what to use. lr and warmup are None where nothing tried can be recommended.
    - `arm`, `seeds`, `metric`, `title`, `mean`, `interval` and `failed`: the arm behind it, all its seeds counted.
      The interval is None below 3 seeds.
    - `decided`: every choice was made by a test; `warmup_decided`: that of the warmup was; `effect_shown`: a trend
      shows that the length matters, but others may be as good. `sentence` says what was chosen and how, `basis` only
      how, `unsure` what is open.
    - `num_candidates`: how many combinations there were to choose from.
    - `next_command`: what to run next, for a shell; `next_note` what it would show, '' if that is said elsewhere.
    - `train_command`: trains one model with what `experiment=recommend` has found so far. None in other sweeps, and
      where `next_command` does that.

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
    best_of = partial(
        table.best_mean, metric=metric, smaller_is_better=smaller_is_better(metric), failure_margin=found.failure_margin
    )
    if jitter is not None:
        return _of_jitter(sweep, table, compared, best_of(rows), jitter["recommendation"]) | counted
    advised = advised_arms(found, table.arms, rows, best_of)
    best = best_of(advised.rows)
    alike = any(not found.are_equivalent(row, best) for row in alike_warmups(table, compared, best))
    return _of_comparison(sweep, table, compared, best, Grounds(found, advised, alike, len(rows), metric)) | counted


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
        "setting": arm.setting[-1] if arm.setting else "",
        "seeds": int(values.size),
        "mean": float(values.mean()) if values.size else None,
        "interval": mean_interval(values) if values.size >= MIN_FOR_INTERVAL else None,
        "failed": summary.failed.to_dict() | {"share": summary.failed.share if summary.failed.total else None},
    }


def _lrs_tried(table: RunTable, arm: Arm) -> list[float]:
    """The learning rates of the arms of the same kind with a finished run, rising."""
    same = [
        row
        for row, other in enumerate(table.arms)
        if same_but_warmup_and_lr(other) == same_but_warmup_and_lr(arm) and table.finished[row].any()
    ]
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
        "sentence": sentence, "basis": sentence, "unsure": preliminary_sentences(found), "next_command": sweep.command,
        "next_note": "",
        "train_command": None,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------- comparisons


def _of_comparison(sweep: Sweep, table: RunTable, compared: Floats, best: int, grounds: Grounds) -> dict[str, Any]:
    facts, arm, found = _facts(table, compared, best), table.arms[best], grounds.found
    swept, varied = several_lrs(other.lr for other in table.arms), varied_in(table.arms)
    preliminary = preliminary_sentences(found)
    if table.mostly_failed(best):
        return facts | _nothing_usable(sweep, facts, arm, found)
    decided = grounds.decide_warmup and not swept and not any(varied)
    basis = capitalised(grounds.sentence(swept=swept, varied=varied))
    note, updates = "", _needed_updates(found, facts["failed"]["share"])
    if preliminary:
        command = sweep.command
    elif looks_are_left(found):
        command = continue_command(sweep)
    elif updates:
        command = longer_command(sweep, updates)
    elif facts["lr_at_edge"] and arm.lr:
        factors = (0.25, 0.5, 1.0) if facts["lr_at_edge"] == "smallest" else (1.0, 2.0, 4.0)
        command = lr_grid_command(sweep, arm, [arm.lr * factor for factor in factors])
    elif decided:
        command = single_run_command(sweep, arm)
    elif grounds.num_candidates == 1 and arm.lr:
        command = lr_grid_command(sweep, arm, [arm.lr / 4, arm.lr, arm.lr * 4])
    else:
        own = {other.name for other in table.arms if (other.lr, other.setting) == (arm.lr, arm.setting)}
        more = more_seeds(found, own)
        command = with_new_seeds_command(sweep, arm, more.num_seeds)
        at = f"at lr {arm.lr:g}" if swept else "with this setting"
        note = more.sentence(at) if swept or varied[1] else ""  # otherwise the headline has it
    sentence = f"{'Preliminary: ' if preliminary else 'Use '}{chosen_text(arm, varied)}. {basis}."
    if grounds.num_candidates == 1 and not preliminary:
        basis = f"Only {chosen_text(arm, varied)} was tried, so there is nothing to compare it with"
        sentence = f"{basis}."
    return facts | {
        "decided": decided,
        "warmup_decided": grounds.decide_warmup,
        "effect_shown": grounds.show_effect,
        "num_candidates": grounds.num_candidates,
        "sentence": sentence,
        "basis": f"{basis}.",
        "unsure": [*preliminary, *open_questions(facts | {"metric": grounds.metric}, table, compared, best)],
        "next_command": command,
        "next_note": note,
        "train_command": None,
    }


def _needed_updates(found: Comparison, share: float) -> int | None:
    """The number of updates to try next, if the best arm fails more than the margin and more updates would help."""
    advice = remedy(found.arms)
    is_advised = advice is not None and advice.action == "train_longer" and share > found.failure_margin
    return advice.updates if advice is not None and is_advised else None


def _nothing_usable(sweep: Sweep, facts: Mapping[str, Any], arm: Arm, found: Comparison) -> dict[str, Any]:
    """The keys that differ where most runs failed even with the best combination."""
    failed, advice = facts["failed"], remedy(found.arms)
    assert advice is not None
    order = _order(advice, facts)
    num_failed, total = (sum(getattr(one.failed, name) for one in found.arms) for name in ("count", "total"))
    best = f"even with the best combination, {arm.name}, {failed['count']} of {failed['total']} runs failed"
    sentence = f"Nothing tried is usable: {f'all {total} runs failed' if num_failed == total else best}."
    if not found.headline.startswith(f"{order}:"):
        sentence += f" {order} ({advice.why})."
    if advice.action == "lower_lr":
        command = lr_grid_command(sweep, arm, [facts["lr_tried"][0] / 4, facts["lr_tried"][0] / 2])
    else:
        command = longer_command(sweep, advice.updates)
    return {
        "lr": None, "lr_at_edge": None, "warmup": None, "arm": None, "decided": False,
        "sentence": sentence, "basis": sentence,
        "unsure": preliminary_sentences(found), "next_command": command, "next_note": "",
        "train_command": None,
    }  # fmt: skip


def _order(advice: Remedy, facts: Mapping[str, Any]) -> str:
    """What to change, with a larger lr as another way where the largest that was tried failed least."""
    if advice.action == "train_longer" and facts["lr_at_edge"] == "largest" and "learning rate" not in advice.text:
        return f"{advice.text}, or try a larger learning rate than {facts['lr']:g}"
    return advice.text


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
        "basis": advice["lr_reason"],
        "unsure": unsure,
        "next_command": single_run_command(sweep, arm),
        "next_note": "",
        "train_command": None,
    }
