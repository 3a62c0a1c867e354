"""Which arms of a sweep with planned looks still need seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from warmup_lab.comparison.evidence import Design, make_design
from warmup_lab.comparison.naming import arm_names
from warmup_lab.comparison.paired_metrics import reference_arms
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.question import comparable_runs, stated_question
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.statistics import ALPHA
from warmup_lab.comparison.table import read_sweep
from warmup_lab.comparison.verdicts import Comparison, Question


@dataclass(frozen=True)
class LookDecision:
    """What one look decides."""

    open_arms: frozenset[str]
    """`arm_id` of each arm that needs the seeds of the next look."""
    num_undecided: int
    """Arms whose own verdict is `inconclusive`."""
    has_tests: bool
    """Whether any arm is compared with another. If not, no number of seeds decides anything."""


def decide_look(directory: Path) -> LookDecision:
    """The decision at the seeds of the current job list of a sweep with `compare.looks`.

    Raises:
        ConfigError: `directory` holds no sweep, or `compare.metric` or `compare.reference` is unknown.
    """
    sweep = read_sweep(directory)
    question = stated_question(sweep)
    runs = comparable_runs(sweep, question, reference_arms(sweep.runs, question.reference))
    decision = decide(runs, question)
    names = arm_names(sweep.jobs)
    ids = frozenset(arm_id for arm_id, name in names.items() if name in decision.open_arms)
    return LookDecision(ids, decision.num_undecided, decision.has_tests)


def decide(runs: pd.DataFrame, question: Question) -> LookDecision:
    """As `decide_look`, for a table of runs (see `read_runs`); `open_arms` are names of arms.

    An arm needs more seeds

    - while its verdict is `inconclusive`, or it is the reference of such an arm;
    - while a trend that it enters is open, unless the trend is over two lengths that are compared anyway, or all its
      arms are references or `both_fail`;
    - while the lr50 of its line, or of a line that is compared with it, is open.

    Open means tested and not rejected. All of these tests need every arm at a seed. So an arm that got no seeds at an
    earlier look gets none later, and a test that it enters needs none.
    """
    return decision_of(compare(runs, question), runs, question)


def decision_of(found: Comparison, runs: pd.DataFrame, question: Question) -> LookDecision:
    """As `decide`, from the comparison `found` of these runs."""
    table = read_runs(runs, None)
    design = make_design(table.arms, question.reference)
    going = {row for row in range(len(table.arms)) if table.present[row].all()}
    wanted = [*_undecided_pairs(found, design), _arms_of_open_trend(found, design), *_open_lines(found, table)]
    rows = {row for group in wanted if going.issuperset(group) for row in group}
    names = frozenset(name for row in rows for name in (table.arms[row].name, *table.arms[row].aliases))
    num_undecided = sum(verdict.value == "inconclusive" for verdict in found.verdicts)
    return LookDecision(names, num_undecided, bool(design.pairs or design.strata or design.contrasts))


def _undecided_pairs(found: Comparison, design: Design) -> list[tuple[int, int]]:
    """Every undecided arm with its reference."""
    return [pair for pair in design.pairs if found.verdicts[pair[0]].value == "inconclusive"]


def _arms_of_open_trend(found: Comparison, design: Design) -> list[int]:
    """The arms that enter trends, if some trend is open and more seeds can decide it."""
    rows, values = design.rows_of_trends, {found.verdicts[row].value for row in design.rows_of_trends}
    is_open = any(trend.p_adjusted >= ALPHA for trend in found.trends)
    all_fail = values - {"reference"} == {"both_fail"}
    # Over two lengths, a trend asks what the verdicts answer, and at 6 seeds its smallest p is 2 / 2^6 = 0.03.
    asks_more = "no_reference" in values or any(len(rows) > 2 for rows in (*design.strata, *design.line_strata))
    return rows if is_open and asks_more and not all_fail else []


def _open_lines(found: Comparison, table: RunTable) -> list[list[int]]:
    """The arms of every two lines whose lr50 is compared and not shown to differ."""
    rows = {arm.name: row for row, arm in enumerate(table.arms)}
    lines = {line.name: line for line in found.lr_lines}
    return [
        [rows[name] for one in (line, lines[line.reference]) for name in one.arms]
        for line in lines.values()
        if line.reference in lines and line.p_adjusted is not None and line.p_adjusted >= ALPHA
    ]
