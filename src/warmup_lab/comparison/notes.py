"""What a reader must know before the headline: what changed after results were seen, and what the report leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.coverage import Coverage
from warmup_lab.comparison.seed_batches import AddedSeeds
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.statistics import ALPHA
from warmup_lab.comparison.sweep_log import FILE_NAME, Statement, SweepLog, stated_keys
from warmup_lab.comparison.table import Sweep
from warmup_lab.runs import is_finished

Note = dict[str, str | None]
"""`text`, and a `command` that belongs to it or None."""
_COMPUTE = ("torch", "transformers", "numpy", "processor", "warmup_lab")
"""Versions that can change what a run computes."""
_MAX_ARMS = 6
"""Named for each combination of versions."""


def statements_of(sweep: Sweep, log: SweepLog) -> list[Statement]:
    """What was stated over time; last what the report uses, also if `sweep.json` was edited since."""
    starts, current = list(log.starts), stated_keys(sweep.compare)
    if starts and starts[-1].stated != current:
        shown = len(log.shown)
        starts.append(Statement(None, current, shown, shown))
    return starts


def stated_in_advance(statements: Sequence[Statement]) -> bool | None:
    """Whether no result had finished when any part of the question was stated. None if no log says when."""
    return not any(one.finished for one in statements) if statements else None


def report_notes(sweep: Sweep, log: SweepLog, covered: Coverage, added: AddedSeeds | None) -> list[Note]:
    """The notes on the whole sweep, the most important one first."""
    notes = [*_changes(statements_of(sweep, log)), *_of_log(log), *_coverage(covered)]
    notes += [_added(added)] if added else []
    mixed = mixed_versions(sweep.versions)
    return [*notes, *([_mixed(mixed, sweep)] if mixed else [])]


def mixed_versions(versions: dict[str, str]) -> dict[str, list[str]]:
    """The packages, and the processor, of which the runs used several versions."""
    several = {name: versions[name].split(", ") for name in _COMPUTE if name in versions}
    return {name: found for name, found in several.items() if len(found) > 1}


def _changes(statements: Sequence[Statement]) -> list[Note]:
    """One note for each key that was changed after the first result had finished."""
    notes: list[Note] = []
    for key in statements[0].stated if statements else ():
        values = [one.stated[key] for one in statements]
        late = [
            (one, value)
            for one, before, value in zip(statements[1:], values, values[1:], strict=False)
            if value != before and one.finished
        ]
        if late:
            steps = ", then ".join(f"{_value(value)} {_when(one)}" for one, value in late)
            lead = f"Not stated in advance: compare.{key} was first {_value(values[0])}, then {steps}."
            notes.append({"text": lead, "command": None})
    return notes


def _when(one: Statement) -> str:
    shown = f" and a report had shown {'them' if one.shown == one.finished else one.shown}" if one.shown else ""
    if one.time is None:
        return f"(sweep.json was edited after a report had shown {count(one.finished, 'run')})"
    time = datetime.fromisoformat(one.time).strftime("%Y-%m-%d %H:%M")
    return f"from {time} UTC on, when {count(one.finished, 'run')} had finished{shown}"


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def _of_log(log: SweepLog) -> list[Note]:
    notes: list[Note] = []
    if log.num_unreadable:
        lines = count(log.num_unreadable, "line")
        text = f"{lines} of {FILE_NAME} cannot be read, so earlier changes of the question may be missing here."
        notes.append({"text": text, "command": None})
    if log.starts and log.starts[0].finished:
        runs = count(log.starts[0].finished, "run")
        text = f"The question was first recorded when {runs} had finished, so it is not known to be stated in advance."
        notes.append({"text": text, "command": None})
    return notes


def _coverage(found: Coverage) -> list[Note]:
    notes: list[Note] = []
    if found.others:
        total = found.finished + found.others
        text = f"This report covers {found.finished} of the {count(total, 'finished run')} in its folder."
        if found.command:
            more = f", which also trains {count(found.added_runs, 'more run')}" if found.added_runs else ""
            text += f" To cover all{more}:"
        elif found.differs_in:
            text += f" No single command covers all, because the runs differ in {', '.join(found.differs_in)}."
        notes.append({"text": text, "command": found.command})
    if found.replaced:
        runs, has, is_ = count(found.replaced, "run"), *(("has", "is") if found.replaced == 1 else ("have", "are"))
        text = (
            f"{runs} in the folder {has} the settings of a run of this report, but other data or model files, and "
            f"{is_} left out."
        )
        notes.append({"text": text, "command": None})
    return notes


def _added(added: AddedSeeds) -> Note:
    judged, others = _seeds(added.judged), _seeds(added.others)
    pooled = f"All {count(len(added.judged + added.others), 'seed')} together are exploratory."
    why = "which decided" if added.decided else f"as {others} had been judged before"
    text = f"Seeds were added without planned looks, so the verdicts are of {judged} alone, {why}.{_earlier(added)}"
    return {"text": f"{text} {pooled}", "command": None}


def _earlier(added: AddedSeeds) -> str:
    """The batches of seeds that were judged before these, and how often one of so many decides by chance."""
    if not added.earlier:
        return ""
    batches, num = " and ".join(_seeds(batch) for batch in added.earlier), len(added.earlier) + 1
    before = f" Before, {batches} decided nothing." * added.decided
    share = 100 * (1 - (1 - ALPHA) ** num)
    return (
        f"{before} Each batch is tested at {100 * ALPHA:g} %: where nothing differs, one of {num} batches claims a "
        f"difference in {share:.0f} % of sweeps."
    )


def _seeds(seeds: Sequence[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"seeds {ordered[0]} to {ordered[-1]}"
    return f"seeds {', '.join(map(str, ordered))}"


def _mixed(mixed: dict[str, list[str]], sweep: Sweep) -> Note:
    parts = "; ".join(f"{name} {', '.join(found)}" for name, found in mixed.items())
    text = (
        f"The runs used mixed versions: {parts}. {_over_arms(mixed, sweep)} To train all runs with the installed "
        "versions, add force=true to the sweep's command."
    )
    return {"text": text, "command": None}


def _over_arms(mixed: Iterable[str], sweep: Sweep) -> str:
    """Whether arms differ in the versions of `mixed` packages: then a difference between arms may come from them."""
    runs = sweep.runs[sweep.runs["status"].map(is_finished).astype(bool)]
    used = {run: ", ".join(_used(own, mixed)) for run, own in sweep.run_versions.items()}
    runs = runs.assign(versions=runs["run_id"].map(used)).dropna(subset="versions")
    if runs["arm"].nunique() < 2:
        return "A difference between runs may come from that."
    if (runs.groupby("seed")["versions"].nunique() == 1).all():
        return "All arms of a seed used the same ones, so no difference at a seed comes from them."
    counts = pd.crosstab(runs["arm"], runs["versions"])
    shares = counts.div(counts.sum(axis=1), axis=0)
    if np.allclose(shares, shares.iloc[0]):
        return "They are spread evenly over the arms: they add noise, but favour none."
    arms = "; ".join(f"{versions}: {_runs_by_arm(counts, str(versions))}" for versions in counts)
    return f"Arms differ in them, so a difference between arms may come from that. {arms}."


def _used(own: Mapping[str, str], mixed: Iterable[str]) -> Iterator[str]:
    """Of one run: `torch 2.13.0`, or `torch 2.12.0 then 2.13.0` if it was resumed with another version."""
    for name in mixed:
        if name in own:
            yield f"{name} {own[name].replace(', ', ' then ')}"


def _runs_by_arm(counts: pd.DataFrame, versions: str) -> str:
    """How many runs of each arm used these versions, the arms with the largest shares first."""
    total, own = counts.sum(axis=1), counts[versions][counts[versions] > 0]
    order = (own / total[own.index]).sort_values(ascending=False, kind="stable").index
    texts = [f"{own[arm]} of {count(int(total[arm]), 'run')} of {arm}" for arm in order[:_MAX_ARMS]]
    more = len(order) - len(texts)
    return ", ".join([*texts, *([f"and of {count(more, 'other arm')}"] if more else [])])
