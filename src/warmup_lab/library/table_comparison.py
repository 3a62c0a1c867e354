"""The comparison of a user's own table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from warmup_lab.comparison import (
    Comparison,
    LrLine,
    Question,
    Verdict,
    preliminary_sentence,
    usable_lr,
    verdict_sentence,
)
from warmup_lab.comparison import compare as compare_arms
from warmup_lab.library.factor import Value, read_factor, value_text
from warmup_lab.library.own_table import OwnTable, read_own_table
from warmup_lab.library.table_columns import RunColumns, check_columns, check_direction, factor_and_lr, is_lr
from warmup_lab.library.table_result import TableArm, TableComparison, TableLevel, TableTrend
from warmup_lab.library.wording import headline_of

if TYPE_CHECKING:
    import pandas as pd

_FINE = 1_000_000
"""Length of a run by which a share is written as a length."""


def compare(  # noqa: PLR0913 - each keyword is a column, or a number that the comparison needs
    table: pd.DataFrame,
    *,
    metric: str,
    by: str | Sequence[str],
    seed: str,
    failed: str | None = None,
    entropy: float | str | None = None,
    majority_accuracy: float | str | None = None,
    higher_is_better: bool = False,
    reference: Value = None,
    margin: float | None = None,
) -> TableComparison:
    """What can be concluded from a table of runs, one row a run, by the rules of `docs/statistics.md`.

    Runs are paired by seed. All runs count: one without a finite metric failed, and so did one that `failed` marks. A
    loss that failed counts as the smaller of its value and `entropy`, an accuracy as `majority_accuracy`; in the
    metrics of `oscillation`, a failed run ranks worst.

    Args:
        table: Columns of any names. A run that was not made has no row. A column `status` as that of `load_runs` is
            read: runs that ended in an error are left out, and while some run is unfinished there is no verdict.
        metric: The column that is compared. Oscillation metrics (`roughness`, `whole/roughness`, ...) are compared by
            ranks, all others by t-tests.
        by: The columns that tell arms apart. The first that is no learning rate is compared: its values, within equal
            values of the other columns. If it has numbers, it also gets the trend test. Where a column of learning
            rates (`lr`, `learning_rate`, ...) is named as well and some run failed, the learning rates at which half
            of the runs fail are compared.
        seed: The column that pairs runs: equal seeds mean equal initial weights and data order. A test needs 6 seeds.
        failed: A column that is true for runs that failed to learn.
        entropy: The loss of guessing, in the unit of the metric: a number, or a column. For classification it is H, the
            entropy of the training labels in nats, log(C) for C balanced classes.
        majority_accuracy: The accuracy of always answering with the most frequent label: a number, or a column.
        higher_is_better: Whether larger values of the metric are better.
        reference: The value of the compared column that the others are compared with. By default the one that is about
            10 % of warmup, if the column is called `warmup_ratio` or `warmup_percent`, or `warmup_steps` beside a
            column `total_steps`.
        margin: The largest difference of the metric that does not matter. Without it, nothing is called equivalent.

    Raises:
        ValueError: a column is missing or unfit, an arm has two runs at one seed, or something that the comparison
            needs is missing; the message names it.
    """
    columns = [by] if isinstance(by, str) else list(by)
    check_columns(table, columns, [metric, seed, failed])
    check_direction(metric, higher_is_better)
    column, lr_column = factor_and_lr(table, columns)
    factor = read_factor(table, column, reference)
    given = RunColumns(metric, seed, failed, entropy, majority_accuracy, higher_is_better)
    own = read_own_table(table, given, columns, factor, lr_column)
    coded = compare_arms(own.runs, Question(own.metric, not higher_is_better, margin))
    return _result(coded, own, metric)


def _result(coded: Comparison, own: OwnTable, metric: str) -> TableComparison:
    """The result in the values of the table, from the comparison of their codes."""
    factor, column = own.factor, own.factor.column
    values = [factor.value_of(round(level.warmup_percent * factor.total / 100)) for level in coded.levels]
    found = _decoded(coded, own, metric, values)
    return TableComparison(
        metric=metric,
        higher_is_better=not found.smaller_is_better,
        margin=found.margin,
        column=column,
        reference=factor.reference,
        headline=headline_of(found, factor, values),
        arms=tuple(
            TableArm(arm.name, own.arms[arm.name], arm.num_runs, arm.failed, arm.mean, arm.interval)
            for arm in found.arms
        ),
        verdicts=found.verdicts,
        trends=tuple(
            TableTrend(column, trend.of, trend.z, trend.p_value, trend.p_adjusted, trend.num_seeds)
            for trend in found.trends
        ),
        levels=tuple(
            TableLevel(value, level.failed, level.mean, level.lr50)
            for value, level in zip(values, found.levels, strict=True)
        ),
        preliminary=found.preliminary,
        lr_lines=tuple(
            replace(line, differs_in=column) if line.differs_in == "warmup" else line for line in found.lr_lines
        ),
    )


def _decoded(coded: Comparison, own: OwnTable, metric: str, values: Sequence[Value]) -> Comparison:
    """The comparison in the words of the table: its metric, its values in place of their codes, names of lines."""
    factor = own.factor
    arms = coded.arms
    shares = dict(zip(factor.values, factor.shares or [0.0] * len(factor.values), strict=True))
    named = {arm.name: arm for arm in arms}
    lengths = {arm.name: shares[own.arms[arm.name][factor.column]] for arm in arms}
    return replace(
        coded,
        metric=metric,
        verdicts=tuple(_reworded(verdict, named, own, metric) for verdict in coded.verdicts),
        arms=tuple(
            replace(
                arm,
                warmup_steps=round(_FINE * lengths[arm.name]),
                total_steps=_FINE,
                warmup_percent=100 * lengths[arm.name],
            )
            for arm in arms
        ),
        levels=tuple(
            replace(level, warmup_percent=100 * shares[value] if factor.shares else level.warmup_percent)
            for level, value in zip(coded.levels, values, strict=True)
        ),
        lr_lines=_named_lines(coded, own),
    )


def _reworded(verdict: Verdict, arms: dict[str, Any], own: OwnTable, metric: str) -> Verdict:
    """The verdict with the user's metric in its sentence."""
    factor, is_reference = own.factor, own.arms[verdict.arm][own.factor.column] == own.factor.reference
    if verdict.value == "no_reference" or (verdict.value == "reference" and not is_reference):
        reason = f"no arm that differs from it only in {factor.column} has {factor.label(factor.reference)}"
        sentence = f"{verdict.arm} has no reference: {reason}."
        return replace(verdict, reference=None, value="no_reference", sentence=sentence, reason=reason)
    if verdict.value == "reference":
        return verdict
    assert verdict.reference is not None
    word = preliminary_sentence if verdict.value == "preliminary" else verdict_sentence
    sentence = word(verdict, arms[verdict.arm], arms[verdict.reference], metric)
    return replace(verdict, sentence=sentence)


def _named_lines(coded: Comparison, own: OwnTable) -> tuple[LrLine, ...]:
    """The lines of learning rates, named by what their arms share. A table of learning rates alone is one line."""
    if own.lr_column is None:
        return _line_of_factor(coded, own)
    names = {
        line.name: " ".join(
            f"{column}={value_text(value)}"
            for column, value in own.arms[line.arms[0]].items()
            if column != own.lr_column
        )
        for line in coded.lr_lines
    }
    return tuple(
        replace(line, name=names[line.name], reference=None if line.reference is None else names[line.reference])
        for line in coded.lr_lines
    )


def _line_of_factor(coded: Comparison, own: OwnTable) -> tuple[LrLine, ...]:
    """lr50 where nothing but the learning rate was varied."""
    lrs = [own.arms[arm.name][own.factor.column] for arm in coded.arms]
    failed = own.runs.pivot(index="arm", columns="seed", values="failed_to_learn").dropna(axis="columns")
    if not is_lr(own.factor.column) or not failed.size or not failed.to_numpy(dtype=bool).any():
        return ()
    order = sorted(range(len(lrs)), key=lrs.__getitem__)
    names = tuple(coded.arms[row].name for row in order)
    usable = usable_lr(~failed.loc[list(names)].to_numpy(dtype=bool), [lrs[row] for row in order])
    return (LrLine(own.factor.column, names, tuple(lrs[row] for row in order), usable),)
