"""The rule of each claim: confirmed, refuted or undecided.

They are the rules that the studies' pages state before the runs. Every seed counts: a run that failed to learn counts
as guessing (`comparison.outcomes.compared_values`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from warmup_lab.comparison import log_lr50, p_text
from warmup_lab.comparison.lr_range import Lr50Ratio, lr50_ratio
from warmup_lab.comparison.outcomes import compared_values
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.statistics import ALPHA, holm, mean_interval, paired_test
from warmup_lab.comparison.trends import trend_test
from warmup_lab.comparison.verdicts import Question

Floats = NDArray[np.float64]
Tables = Sequence[pd.DataFrame]

EFFECT = 1.25
"""A ratio of lr50 below this is too small to matter."""
NATS = 0.1
"""Difference of the final evaluation loss, in nats, that does not matter."""
ACCURACY = 0.02
"""Difference of the final accuracy that does not matter."""
DECAY_NATS = 0.05
"""As `NATS`, for two decays."""
GIADAM_LEAST = 0.8
"""GI-Adam needs no warmup if its lr50 without one is more than this share of that with 10 %."""
CHOOSING_SEEDS = {"decay_to_zero": 8, "untuned_warmup": 20}
"""The first seeds of these studies choose the learning rates, the others judge."""


@dataclass(frozen=True)
class Finding:
    """One row of docs/claims.md."""

    tested: str
    """On what, such as `TREC, bert_tiny`."""
    num_runs: int
    estimate: str
    """With its 95 % interval."""
    verdict: str


# -------------------------------------------------------------------------------------------------- 10 % is the best


def ten_percent_pretrained(tables: Tables) -> list[Finding]:
    """As `_ten_percent`, on accuracy."""
    (runs,) = tables
    return [_ten_percent(runs, "eval_accuracy", ACCURACY, "TREC, pretrained MiniLM, lr 2e-4")]


def ten_percent_scratch(tables: Tables) -> list[Finding]:
    """As `_ten_percent`, on the evaluation loss, for each learning rate."""
    (runs,) = tables
    return [
        _ten_percent(part, "eval_loss", NATS, f"TREC, bert_tiny from random weights, lr {lr:g}")
        for lr, part in runs.groupby("lr")
    ]


def _ten_percent(runs: pd.DataFrame, metric: str, margin: float, tested: str) -> Finding:
    """Confirmed if no length is better by the margin, refuted if one is better than 10 %, Holm over the lengths.

    Each one-sided bound must be below the margin, so the bounds need no adjustment.
    """
    sign = -1.0 if metric == "eval_loss" else 1.0
    values = _by_seed(runs, metric, "warmup_asked")
    lengths = [length for length in values if length != "10 %"]
    better_by = {length: sign * (values[length] - values["10 %"]).to_numpy() for length in lengths}
    bounds = [_one_sided(found)[1] for found in better_by.values()]
    adjusted = holm([paired_test(found, np.zeros_like(found)).p_value for found in better_by.values()])
    is_beaten = any(
        p is not None and p < ALPHA and found.mean() > 0 for p, found in zip(adjusted, better_by.values(), strict=True)
    )
    best = max(better_by, key=lambda length: float(better_by[length].mean()))
    unit = "accuracy" if metric == "eval_accuracy" else "nats"
    return Finding(
        tested,
        len(runs),
        f"largest gain over 10 %: {_mean_text(better_by[best])} {unit}, with {best}",
        "confirmed" if max(bounds) < margin else "refuted" if is_beaten else "undecided",
    )


# ------------------------------------------------------------------------------------------------ usable learning rates


def usable_lr_grows(tables: Tables) -> list[Finding]:
    """Confirmed by an upward trend of lr50 (Holm over the tables); refuted if 50 % over 0 is shown below 1.25."""
    found = [(_lr50_trend(runs), _ratio(runs, "50 %", "0 %")) for runs in tables]
    adjusted = holm([p for (_, p), _ in found])
    rows = []
    for name, runs, ((z, _), ratio), p in zip(("clipped", "not clipped"), tables, found, adjusted, strict=True):
        assert p is not None
        assert ratio.interval is not None
        is_up = z > 0 and p < ALPHA
        verdict = "confirmed" if is_up else "refuted" if ratio.interval[1] < EFFECT else "undecided"
        estimate = f"lr50 with 50 % over 0 %: {_interval(ratio.ratio, ratio.interval)}; trend p = {p_text(p)}"
        rows.append(Finding(f"TREC, bert_tiny, {name}", len(runs), estimate, verdict))
    return rows


def published_edges(tables: Tables) -> list[Finding]:
    """One seed, so it is described: the largest learning rate that learned, with the longest warmup over none."""
    (runs,) = tables
    learned = runs[~runs["failed_to_learn"].astype(bool) & (runs["status"] != "diverged")]
    edges = learned.groupby(["optimizer", "warmup_steps"])["lr"].max().unstack()
    ratios = edges.iloc[:, -1] / edges.iloc[:, 0]
    estimate = "largest lr that learned, 1 % over 0 %: " + ", ".join(
        f"{name} {ratios[name]:.3g}" for name in ratios.index
    )
    return [Finding("the authors' runs: WideResNet, CIFAR-10, 1 seed", len(runs), estimate, "described, no test")]


def bias_correction_matters(tables: Tables) -> list[Finding]:
    """`_ratio_of_ratios` of 10 % and 0 %, without bias correction over with it."""
    (runs,) = tables
    off, on = (
        runs[runs["setting"].str.contains(f"bias_correction={value}", case=False)] for value in ("false", "true")
    )
    return [_ratio_of_ratios(off, on, "TREC, bert_tiny, AdamW with and without")]


def post_layer_norm_matters(tables: Tables) -> list[Finding]:
    """`_ratio_of_ratios` of 10 % and 0 %, post-LN over pre-LN."""
    post, pre = tables
    return [_ratio_of_ratios(post, pre, "TREC, 12 layers of width 128, post-LN and pre-LN")]


def _ratio_of_ratios(first: pd.DataFrame, second: pd.DataFrame, tested: str) -> Finding:
    """R = (lr50 with 10 % over 0 % in `first`) / (the same in `second`): confirmed above 1, refuted below 1.25."""
    log_r = (_log_lr50(first, "10 %") - _log_lr50(first, "0 %")) - (
        _log_lr50(second, "10 %") - _log_lr50(second, "0 %")
    )
    interval = _log_interval(log_r)
    is_below = _one_sided(log_r)[1] < np.log(EFFECT)
    return Finding(
        tested,
        len(first) + len(second),
        f"R = {_interval(float(np.exp(log_r.mean())), interval)}",
        "confirmed" if interval[0] > 1 else "refuted" if is_below else "undecided",
    )


def giadam_needs_no_warmup(tables: Tables) -> list[Finding]:
    """Confirmed if GI-Adam's lr50 without warmup is shown above 0.8 times that with 10 %, and above AdamW's without."""
    own, adamw, _ = tables
    cold = _log_lr50(own, "0 %")
    to_warmed, to_adamw = cold - _log_lr50(own, "10 %"), cold - _log_lr50(adamw, "0 %")
    (low, high), gain = _one_sided(to_warmed), _log_interval(to_adamw)
    is_enough, is_gain = low > np.log(GIADAM_LEAST), gain[0] > 1
    is_refuted = high < np.log(GIADAM_LEAST) or gain[1] < 1
    return [
        Finding(
            "TREC, bert_tiny, beta2 = 0.99",
            sum(len(runs) for runs in tables),
            f"lr50 without warmup: {_interval(float(np.exp(to_warmed.mean())), _log_interval(to_warmed))} times that "
            f"of GI-Adam with 10 %, {_interval(float(np.exp(to_adamw.mean())), gain)} times that of AdamW",
            "confirmed" if is_enough and is_gain else "refuted" if is_refuted else "undecided",
        )
    ]


# ---------------------------------------------------------------------------------------------------------- final loss


def shape_does_not_matter(tables: Tables) -> list[Finding]:
    """Confirmed if every shape is equivalent to linear; refuted if one differs by more than the margin, by test."""
    (runs,) = tables
    found = compare(runs, Question("eval_loss", margin=NATS))
    others = [verdict for verdict in found.verdicts if verdict.test is not None]
    tests = [(verdict, verdict.test) for verdict in others if verdict.test is not None]
    is_beyond = any(
        verdict.p_holm is not None and verdict.p_holm < ALPHA and abs(test.difference or 0.0) > NATS
        for verdict, test in tests
    )
    is_as_good = all(verdict.value in ("equivalent", "different_within_margin") for verdict in others)
    verdict = "confirmed" if is_as_good else "refuted" if is_beyond else "undecided"
    widest = max((test for _, test in tests), key=lambda test: abs(test.difference or 0.0))
    assert widest.interval_95 is not None
    estimate = f"largest difference {_interval(widest.difference or 0.0, widest.interval_95, '+.3f')} nats"
    return [Finding("TREC, bert_tiny, 5 shapes", len(runs), estimate, verdict)]


def sensitivity_falls(tables: Tables) -> list[Finding]:
    """Confirmed if the sensitivity with 30 % minus that with 0 % is below 0; refuted if within 0.1 nats or above 0."""
    (runs,) = tables
    difference = _sensitivity(runs, "30 %") - _sensitivity(runs, "0 %")
    test = paired_test(difference, np.zeros_like(difference), margin=NATS)
    assert test.interval_95 is not None
    assert test.p_equivalent is not None
    is_refuted = test.p_equivalent < ALPHA or test.interval_95[0] > 0
    return [
        Finding(
            "TREC, bert_tiny, lr 1e-4 to 1e-2",
            len(runs),
            f"30 % minus 0 %: {_mean_text(difference)} nats",
            "confirmed" if test.interval_95[1] < 0 else "refuted" if is_refuted else "undecided",
        )
    ]


def _sensitivity(runs: pd.DataFrame, length: str) -> Floats:
    """Mean loss over the grid minus the loss at the rate whose mean over seeds is lowest, for each seed, in nats."""
    part = runs[runs["warmup_asked"] == length]
    losses = _by_seed(part, "eval_loss", "lr").clip(upper=float(part["guess_loss"].iloc[0]))
    return np.asarray(losses.mean(axis=1) - losses[losses.mean().idxmin()])


def untuned_equals_radam(tables: Tables) -> list[Finding]:
    """Confirmed if both untuned warmups are within 0.1 nats of RAdam; refuted if one is worse by more than that."""
    untuned, radam, _ = tables
    other = _at_chosen_lr(radam, CHOOSING_SEEDS["untuned_warmup"])
    worse_by = {
        name: _at_chosen_lr(part, CHOOSING_SEEDS["untuned_warmup"]) - other for name, part in untuned.groupby("warmup")
    }
    is_equal = all(_is_within(found, NATS) for found in worse_by.values())
    is_worse = any(_t_interval(found)[0] > NATS for found in worse_by.values())
    texts = [f"{str(name).removeprefix('untuned_')} {_mean_text(found)}" for name, found in worse_by.items()]
    return [
        Finding(
            "TREC, bert_tiny, beta2 = 0.99, 600 updates",
            sum(len(runs) for runs in tables),
            f"minus RAdam: {', '.join(texts)} nats",
            "confirmed" if is_equal else "refuted" if is_worse else "undecided",
        )
    ]


def linear_to_zero_is_better(tables: Tables) -> list[Finding]:
    """Confirmed if linear minus cosine is below 0; refuted if within 0.05 nats or above 0."""
    linear, cosine = (_at_chosen_lr(runs, CHOOSING_SEEDS["decay_to_zero"]) for runs in tables)
    difference = linear - cosine
    low, high = _t_interval(difference)
    is_refuted = _is_within(difference, DECAY_NATS) or low > 0
    return [
        Finding(
            "TREC, bert_tiny",
            sum(len(runs) for runs in tables),
            f"linear to zero minus cosine to 10 %: {_mean_text(difference)} nats",
            "confirmed" if high < 0 else "refuted" if is_refuted else "undecided",
        )
    ]


def _at_chosen_lr(runs: pd.DataFrame, num_choosing: int) -> Floats:
    """Losses of the judging seeds, at the learning rate with the lowest mean loss over the choosing ones."""
    losses = _by_seed(runs, "eval_loss", "lr")
    best = losses.iloc[:num_choosing].mean().idxmin()
    return np.asarray(losses[best].iloc[num_choosing:])


# -------------------------------------------------------------------------------------------------------------- shared


def _by_seed(runs: pd.DataFrame, metric: str, column: str) -> pd.DataFrame:
    """The metric with failed runs as guessing: a row for each seed, in their order, and a column for each `column`."""
    failed = (runs["failed_to_learn"].astype(bool) | (runs["status"] == "diverged")).to_numpy()
    guess = runs["guess_loss"].to_numpy(float), runs["guess_accuracy"].to_numpy(float)
    values = compared_values(
        metric, runs[metric].to_numpy(float), failed, guess, smaller_is_better=metric == "eval_loss"
    )
    wide = runs.assign(value=values).pivot(index="seed", columns=column, values="value").sort_index()
    if wide.isna().any(axis=None):
        raise ValueError(f"{metric}: some seed lacks a run at some {column}")
    return wide


def _learned(runs: pd.DataFrame, length: str) -> tuple[NDArray[np.bool_], list[float]]:
    """Whether the runs with a length of the warmup learned, `(lrs, seeds)`, and their learning rates."""
    part = runs[runs["warmup_asked"] == length]
    failed = part["failed_to_learn"].astype(bool) | (part["status"] == "diverged")
    table = (~failed).groupby([part["lr"], part["seed"]]).first().unstack()
    return table.to_numpy(dtype=bool), [float(lr) for lr in table.index]


def _log_lr50(runs: pd.DataFrame, length: str) -> Floats:
    return log_lr50(*_learned(runs, length))


def _ratio(runs: pd.DataFrame, length: str, other: str) -> Lr50Ratio:
    (first, lrs), (second, _) = _learned(runs, length), _learned(runs, other)
    return lr50_ratio(first, second, lrs)


def _lr50_trend(runs: pd.DataFrame) -> tuple[float, float]:
    """z and p of the trend of lr50 over 0, 10 and 50 %."""
    found = trend_test(np.stack([_log_lr50(runs, length) for length in ("0 %", "10 %", "50 %")])[None])
    return (0.0, 1.0) if found is None else (found.z, found.p_value)


def _one_sided(values: Floats) -> tuple[float, float]:
    """The lower and the upper one-sided 95 % bound of the mean, each by itself."""
    middle, error = float(values.mean()), float(stats.sem(values))
    reach = error * float(stats.t.isf(ALPHA, len(values) - 1))
    return middle - reach, middle + reach


def _is_within(values: Floats, margin: float) -> bool:
    """Whether the mean is shown to be within the margin of 0 (two one-sided tests at 5 %)."""
    p = paired_test(values, np.zeros_like(values), margin=margin).p_equivalent
    return p is not None and p < ALPHA


def _t_interval(values: Floats) -> tuple[float, float]:
    """The two-sided 95 % t-interval of the mean."""
    found = mean_interval(values)
    assert found is not None
    return found


def _log_interval(logs: Floats) -> tuple[float, float]:
    """The two-sided 95 % t-interval of the geometric mean, from logarithms."""
    low, high = _t_interval(logs)
    return float(np.exp(low)), float(np.exp(high))


def _mean_text(values: Floats) -> str:
    return _interval(float(values.mean()), _t_interval(values), "+.3f")


def _interval(value: float, interval: tuple[float, float], form: str = ".2f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"
