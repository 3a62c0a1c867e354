"""Interrupted sweeps: which runs count before all have ended, and what is said about them.

A run that diverges ends before one that does not. So among the runs that have ended so far, too many have diverged.
Where some run diverged, a run therefore counts only after a run that started later has made all of its updates: by then
it would have ended too, diverged or not. So what counts depends on when a run started, not on its outcome.

Simulated, 48 runs, half of which diverge after a tenth of their updates, interrupted at any time: with 8 processes 61 %
of the runs that ended had diverged, and 50 % of the runs that count. With 1 process both shares are 51 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.numbers import interval_text
from warmup_lab.comparison.run_table import UNFINISHED, RunTable
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.statistics import PairedTest
from warmup_lab.comparison.verdicts import Comparison, Verdict

_STARTED_TOGETHER = ("task", "model", "optimizer", "total_steps")
"""Runs that differ in one of these may start in another order than that of the job list (`hydra/launcher=stacked`)."""


def counted_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of runs, in the order of the job list, in which only runs that count have a result.

    While some run is unfinished and some run of the same task, model, optimizer and number of updates diverged, a run
    becomes `unfinished` unless a later one of these runs is `completed`. Where no run diverged, all took equally long.
    """
    status = runs["status"].to_numpy(dtype=object)
    if not (status == UNFINISHED).any():
        return runs
    known = [name for name in _STARTED_TOGETHER if name in runs.columns]
    group = runs.groupby(known, dropna=False, sort=False).ngroup().to_numpy() if known else np.zeros(len(runs), int)
    counted, place = np.ones(len(runs), dtype=bool), np.arange(len(runs))
    for one in set(group):
        own = group == one
        if (own & (status == "diverged")).any():
            last = place[own & (status == "completed")].max(initial=-1)
            counted[own] = place[own] < last
    return runs.assign(status=np.where(counted | (status == "error"), status, UNFINISHED))


def judged_runs(runs: pd.DataFrame, found: Comparison) -> pd.DataFrame:
    """The runs behind `found`: those of the last complete look or, without planned looks, all that count."""
    if not (found.looks and found.look):
        return counted_runs(runs)
    return runs[runs["seed"].isin(np.unique(runs["seed"])[: found.look])]


def complete_blocks(table: RunTable, strata: Sequence[Sequence[int]]) -> RunTable:
    """The table in which an arm of `strata` has results only at seeds where all arms of its stratum have one.

    Rates of lengths of the warmup are pooled over strata: without this, a length with more runs at a high learning rate
    would seem to fail more. Strata that share an arm are one block.
    """
    blocks: list[set[int]] = []
    for rows in strata:
        joined = set(rows).union(*(block for block in blocks if block & set(rows)))
        blocks = [block for block in blocks if not block & joined] + [joined]
    finished = table.finished.copy()
    for block in map(sorted, blocks):
        finished[block] = table.finished[block].all(axis=0)
    return replace(table, finished=finished, failed=table.failed & finished, diverged=table.diverged & finished)


def without_p(test: PairedTest) -> PairedTest:
    """Estimate and intervals alone: a p-value before the planned number of seeds would be one more look."""
    return replace(test, p_value=None, p_equivalent=None)


# ------------------------------------------------------------------------------------------------ wording


def preliminary_headline(found: Comparison) -> str:
    """How many runs count, and one estimate. Which one depends on the number of its pairs, never on its size."""
    ended, total = sum(arm.failed.total for arm in found.arms), sum(arm.num_runs for arm in found.arms)
    until = f"the look at {found.looks[0]} seeds is complete" if found.looks else "all runs have ended"
    head = f"Preliminary, {ended} of {count(total, 'run')}: there is no verdict before {until}."
    paired = [verdict for verdict in found.verdicts if verdict.test is not None and verdict.test.num_pairs]
    if not paired:
        return f"{head} No two runs that are compared have ended yet."
    shown = max(paired, key=lambda verdict: verdict.test.num_pairs if verdict.test else 0)
    arm, reference = found.arm(shown.arm), found.arm(shown.reference)
    return f"{head} So far, {_estimate(shown, arm, reference, found.metric)}."


def preliminary_sentence(verdict: Verdict, arm: ArmSummary, reference: ArmSummary, metric: str) -> str:
    """The numbers of a pair before there is a verdict."""
    if verdict.test is None or not verdict.test.num_pairs:
        return f"{arm.name} and {reference.name} have not both ended at any seed yet."
    return f"Preliminary: {_estimate(verdict, arm, reference, metric)}."


def _estimate(verdict: Verdict, arm: ArmSummary, reference: ArmSummary, metric: str) -> str:
    """`X against Y: eval_loss +0.117 [0.043, 0.191] over 5 seeds; 1 of 5 runs failed to learn against 0 of 6`."""
    test = verdict.test
    assert test is not None
    parts = []
    if test.difference is not None:
        where = " where both learned" if test.rank_difference is not None else ""
        seeds = count(test.num_pairs, "seed") if test.rank_difference is None else ""
        over = f" over {seeds}" if seeds else ""
        parts.append(f"{metric} {test.difference:+.3g}{interval_text(test.interval_95, '+.3g')}{over}{where}")
    if arm.failed.count + reference.failed.count or not parts:
        failed = f"{arm.failed.count} of {arm.failed.total} runs failed to learn"
        parts.append(f"{failed} against {reference.failed.count} of {reference.failed.total}")
    return f"{arm.name} against {reference.name}: {'; '.join(parts)}"


def next_look_note(table: RunTable, look: int) -> str:
    """How far the runs after the last complete look are; '' if they have all ended."""
    later = np.arange(len(table.seeds)) >= look
    total, waiting = int(table.present[:, later].sum()), int(table.unfinished[:, later].sum())
    if not waiting:
        return ""
    ended = f"{total - waiting} of {count(total, 'run')}"
    return (
        f" This is the result of the look at {look} seeds; of the next look, {ended} have ended and do not count yet."
    )
