"""The comparison of all arms: tests at every look, adjusted in families, then a verdict on each arm.

The rules, in the order in which they decide:

1. Failures. An arm that fails to learn more often than its reference, by test, gets that verdict.
2. The metric over all seeds, failed runs included: better or worse, by a paired test.
3. Equivalence within the margin, by TOST, if at least half of the runs of both arms learned and neither fails more
   often by as much as the failure margin. Two arms that mostly fail differ by 0: they would be "equivalent" otherwise.
4. Everything else is `both_fail` or `inconclusive`, which does not mean equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from warmup_lab.comparison.adjustment import NOTHING, Adjusted, Looks, adjust, look_paths, with_repeated_intervals
from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.evidence import Design, complete_seeds, evidence, has_usable_lr, make_design
from warmup_lab.comparison.headline import headline
from warmup_lab.comparison.lr_range import log_lr50, usable_lr
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.pairs_headline import Words
from warmup_lab.comparison.preliminary import (
    complete_blocks,
    counted_runs,
    next_look_note,
    preliminary_headline,
    preliminary_sentence,
    without_p,
)
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.sentences import (
    before_first_look,
    reason_undecided,
    undecided_sentence,
    untested_sentence,
    verdict_sentence,
)
from warmup_lab.comparison.statistics import ALPHA, Interval, PairedTest, excess_failures_bound, paired_test, wilson
from warmup_lab.comparison.verdicts import Comparison, Level, LookPath, LrLine, Question, Verdict, WarmupTrend


def compare(runs: pd.DataFrame, question: Question) -> Comparison:
    """Every arm of `runs`, a table with one row per run (see `read_runs`), against its reference.

    The last look without an `unfinished` run decides. If there is none, the `counted_runs` give estimates without a
    verdict; they need the rows in the order in which the runs started.

    ValueError names a column or an arm that does not fit.
    """
    table = read_runs(runs, question.metric)
    design = make_design(table.arms, question.reference)
    planned, reached = question.looks_at(len(table.seeds))
    complete = tuple(look for look in reached if not table.at(table.seeds[:look]).unfinished.any())
    preliminary = not complete and bool(table.unfinished.any())
    if preliminary:
        table = read_runs(counted_runs(runs), question.metric)
    tables = (table,) if preliminary else tuple(table.at(table.seeds[:look]) for look in complete)
    looks = Looks(planned, tables, tuple(evidence(seen, design, question) for seen in tables))
    adjusted = NOTHING if preliminary else adjust(looks, design, has_margin=question.margin is not None)
    used = tables[-1] if tables else table
    arms = tuple(used.summary(row) for row in range(len(table.arms)))
    found = Comparison(
        question.metric,
        question.smaller_is_better,
        question.margin,
        headline="",
        arms=arms,
        verdicts=tuple(_verdict(row, arms, design, looks, adjusted, question) for row in range(len(arms))),
        trends=_trends(looks, adjusted, design),
        levels=_levels(complete_blocks(used, design.strata) if preliminary else used, design, question),
        lr_lines=_lr_lines(used, looks, adjusted, design),
        looks=planned if question.looks else (),
        look=complete[-1] if complete else 0,
        failure_margin=question.failure_margin,
        path=() if preliminary else _path(looks, design, arms, question),
        preliminary=preliminary,
    )
    if preliminary:
        return with_headline(_estimates_alone(found))
    found = with_headline(found)
    return replace(found, headline=found.headline + next_look_note(table, found.look)) if complete else found


def with_headline(found: Comparison, words: Words | None = None) -> Comparison:
    """The comparison with the headline that follows from its numbers; `words` as for `headline`."""
    return replace(found, headline=preliminary_headline(found) if found.preliminary else headline(found, words))


def _estimates_alone(found: Comparison) -> Comparison:
    """Without p-values, and with levels only if each has runs."""
    lines = [replace(line, ratio=replace(line.ratio, p_value=None)) if line.ratio else line for line in found.lr_lines]
    levels = found.levels if all(level.failed.total for level in found.levels) else ()
    return replace(found, lr_lines=tuple(lines), levels=levels)


def _path(looks: Looks, design: Design, arms: Sequence[ArmSummary], question: Question) -> tuple[LookPath, ...]:
    if not question.looks:
        return ()
    return look_paths(looks, design, [arm.name for arm in arms], has_margin=question.margin is not None)


# --------------------------------------------------------------------------------------------- verdicts


def _verdict(
    row: int, arms: Sequence[ArmSummary], design: Design, looks: Looks, adjusted: Adjusted, question: Question
) -> Verdict:
    name, other = arms[row].name, design.references[row]
    if not isinstance(other, int):
        return Verdict(name, None, "no_reference", untested_sentence(name, other), other)
    if other == row:
        return Verdict(name, name, "reference", untested_sentence(name, None))
    if not looks.tests:
        waiting = before_first_look(looks.planned[0])
        early = Verdict(name, arms[other].name, "inconclusive", reason=waiting, test=PairedTest(0))
        return replace(early, sentence=undecided_sentence(early, waiting))
    # An arm that was decided early is judged on the seeds that it has, whatever its reference did later.
    own = looks.num_complete((row, other)) - 1
    table, test = looks.tables[own], with_repeated_intervals(looks.tests[own].metric[row], looks.planned, own)
    arm, reference = table.summary(row), table.summary(other)
    verdict = Verdict(
        arm.name,
        reference.name,
        value="",
        test=test,
        learned=paired_test(*table.pairs(row, other)) if metric_kind(question.metric) != "rank" else None,
        p_holm=adjusted.metric.get(row),
        p_equivalent_holm=adjusted.equivalent.get(row),
        p_failed_holm=adjusted.failures.get(row),
        excess_failures=_excess(arm, reference),
    )
    if looks.tables[-1].unfinished.any():
        verdict = replace(verdict, value="preliminary", test=without_p(test), learned=None)
        return replace(verdict, sentence=preliminary_sentence(verdict, arm, reference, question.metric))
    value = _value(verdict, arm, reference, question)
    reason = reason_undecided(verdict, arm, reference, question) if value == "inconclusive" else None
    verdict = replace(verdict, value=value, reason=reason)
    return replace(verdict, sentence=verdict_sentence(verdict, arm, reference, question.metric))


def _excess(arm: ArmSummary, other: ArmSummary) -> float:
    return excess_failures_bound(arm.failed.count, arm.failed.total, other.failed.count, other.failed.total)


def _value(verdict: Verdict, arm: ArmSummary, reference: ArmSummary, question: Question) -> str:
    """The value of the verdict, a key of `PHRASES`."""
    different = _rejects(verdict.p_holm)
    if _rejects(verdict.p_failed_holm):
        return "fails_more" if arm.failed.share > reference.failed.share else "fails_less"
    both_learn = min(mostly_learns(arm), mostly_learns(reference))
    if _rejects(verdict.p_equivalent_holm) and both_learn and fail_alike(arm, reference, question.failure_margin):
        return "different_within_margin" if different else "equivalent"
    if different and verdict.test is not None:
        return "better" if (verdict.test.direction < 0) == question.smaller_is_better else "worse"
    if arm.failed.total and reference.failed.total and not mostly_learns(arm) and not mostly_learns(reference):
        return "both_fail"
    return "inconclusive"


def mostly_learns(arm: ArmSummary) -> bool:
    """Whether at least half of the finished runs learned."""
    return arm.failed.total > 0 and 2 * arm.failed.count <= arm.failed.total


def fail_alike(arm: ArmSummary, other: ArmSummary, margin: float) -> bool:
    """Whether neither arm fails more often by as much as `margin`, at one-sided 95 %, or no run failed at all."""
    return fails_no_more(arm, other, margin) and fails_no_more(other, arm, margin)


def fails_no_more(arm: ArmSummary, other: ArmSummary, margin: float) -> bool:
    """Whether an arm does not fail more often by as much as `margin`, at one-sided 95 %, or no run of both failed."""
    return not (arm.failed.count or other.failed.count) or _excess(arm, other) < margin


def _rejects(p: float | None) -> bool:
    return p is not None and p < ALPHA


# -------------------------------------------------------------------------------- trends, levels and lr50


def _trends(looks: Looks, adjusted: Adjusted, design: Design) -> tuple[WarmupTrend, ...]:
    if not looks.tests:
        return ()
    last = looks.tests[looks.num_complete(design.rows_of_trends) - 1]
    of_failures = "lr50" if last.uses_lr50 else "failures"
    num_strata = len(design.line_strata if last.uses_lr50 else design.strata)
    found = (
        ("metric", last.metric_trend, adjusted.metric_trend, len(design.strata)),
        (of_failures, last.failure_trend, adjusted.failure_trend, num_strata),
    )
    return tuple(
        WarmupTrend(of, trend.z, trend.p_value, p, trend.num_seeds, strata)
        for of, trend, p, strata in found
        if trend is not None and p is not None
    )


def _levels(table: RunTable, design: Design, question: Question) -> tuple[Level, ...]:
    compared = table.compared(question.metric, smaller_is_better=question.smaller_is_better)
    is_number = metric_kind(question.metric) != "rank"
    levels = []
    for rows in zip(*design.strata, strict=True):
        own = list(dict.fromkeys(rows))  # shapes share the arm without warmup
        arm, values = table.arms[own[0]], compared[own]
        values = values[np.isfinite(values)]
        levels.append(
            Level(
                100 * arm.warmup_steps / arm.total_steps,
                wilson(int(table.failed[own].sum()), int(table.finished[own].sum())),
                float(values.mean()) if is_number and values.size else None,
            )
        )
    lr50 = _level_lr50(table, design)
    known = [lr50.get(level.warmup_percent, (None, None)) for level in levels]
    return tuple(replace(level, lr50=lr, lr_range=lrs) for level, (lr, lrs) in zip(levels, known, strict=True))


def _level_lr50(table: RunTable, design: Design) -> dict[float, tuple[float, Interval]]:
    """By length of the warmup in percent: lr50 and the range of rates behind it; empty without `has_usable_lr`."""
    if not has_usable_lr(table, design):
        return {}
    found = {}
    for numbers in zip(*design.line_strata, strict=True):
        logs = []
        lines = [design.lines[number] for number in numbers]
        lrs = min(line.lrs[0] for line in lines), max(line.lrs[-1] for line in lines)
        for line in lines:
            rows, seeds = list(line.rows), complete_seeds(table, [line])
            logs += log_lr50((table.finished[rows] & ~table.failed[rows])[:, seeds], line.lrs).tolist()
        if logs:
            arm = lines[0].arm
            found[100 * arm.warmup_steps / arm.total_steps] = float(np.exp(np.mean(logs))), lrs
    return found


def _lr_lines(table: RunTable, looks: Looks, adjusted: Adjusted, design: Design) -> tuple[LrLine, ...]:
    if not looks.tests or not looks.tests[-1].uses_lr50:
        return ()
    ratios = looks.tests[-1].lr50
    contrasts = {contrast.line: contrast for contrast in reversed(design.contrasts) if contrast in ratios}
    found = []
    for number, line in enumerate(design.lines):
        rows, seeds = list(line.rows), complete_seeds(table, [line])
        if not seeds.any():
            continue
        usable = usable_lr((table.finished[rows] & ~table.failed[rows])[:, seeds], line.lrs)
        names = tuple(table.arms[row].name for row in rows)
        own = LrLine(line.name, names, line.lrs, usable)
        if contrast := contrasts.get(number):
            p, ratio = adjusted.lr50.get(contrast), ratios[contrast]
            ratio = ratio.without_one if p is not None and p < ALPHA else ratio
            reference = design.lines[contrast.reference].name
            own = replace(own, reference=reference, differs_in=contrast.differs_in, ratio=ratio, p_adjusted=p)
        found.append(own)
    return tuple(found)
