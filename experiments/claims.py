"""The claims that the studies test, and the rule of each: confirmed, refuted or undecided.

The rules are those that each study's page states before its runs. `evidence.py` writes the table of docs/claims.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from warmup_lab.comparison import log_lr50, p_text
from warmup_lab.comparison.lr_range import Lr50Ratio, lr50_ratio
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.statistics import ALPHA, holm
from warmup_lab.comparison.trends import trend_test
from warmup_lab.comparison.verdicts import Question

EFFECT = 1.25
"""A ratio of lr50 below this is too small to matter."""
SHAPE_MARGIN = 0.1
"""Difference of the final evaluation loss, in nats, that does not matter."""


@dataclass(frozen=True)
class Claim:
    """One row of docs/claims.md."""

    study: str
    """Folder in experiments/."""
    source: str
    says: str
    tables: tuple[str, ...]
    """Tables of runs in the study's folder. The claim is left out until all are there."""
    judge: Callable[[list[pd.DataFrame]], list[tuple[str, str, str]]]
    """Tables of runs -> (what was tested, estimate, verdict), one for each verdict."""


def claims_table(experiments: Path) -> str:
    """The table of all claims whose results are there."""
    rows = ["| claim | tested on | runs | estimate [95 %] | verdict at this scale |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        paths = [experiments / claim.study / table for table in claim.tables]
        if all(path.exists() for path in paths):
            tables = [pd.read_csv(path) for path in paths]
            for (tested, estimate, verdict), runs in zip(claim.judge(tables), tables, strict=True):
                says = f"{claim.says} ({claim.source})"
                page = f"[{tested}](../experiments/{claim.study}/README.md)"
                rows.append(f"| {says} | {page} | {len(runs)} | {estimate} | **{verdict}** |")
    return "\n".join(rows) + "\n"


# ------------------------------------------------------------------------------------------------- rules


def usable_lr_grows(tables: list[pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Confirmed by an upward trend of lr50 (Holm over the tables); refuted if 50 % against 0 is shown below 1.25."""
    found = [(_lr50_trend(runs), _ratio(runs, "50 %", "0 %")) for runs in tables]
    adjusted = holm([p for (_, p), _ in found])
    rows = []
    for name, ((z, _), ratio), p in zip(("clipped", "not clipped"), found, adjusted, strict=True):
        assert p is not None
        assert ratio.interval is not None
        is_up = z > 0 and p < ALPHA
        verdict = "confirmed" if is_up else "refuted" if ratio.interval[1] < EFFECT else "undecided"
        estimate = f"lr50 with 50 % over 0 %: {_interval(ratio.ratio, ratio.interval)}; trend p = {p_text(p)}"
        rows.append((f"TREC, bert_tiny, {name}", estimate, verdict))
    return rows


def bias_correction_matters(tables: list[pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Confirmed if R is above 1, refuted if it is shown below 1.25; R as on the study's page."""
    (runs,) = tables
    off, on = (
        runs[runs["setting"].str.contains(f"bias_correction={value}", case=False)] for value in ("false", "true")
    )
    logs = np.array(
        [_log_lr50(part, length) for part, length in ((off, "10 %"), (off, "0 %"), (on, "10 %"), (on, "0 %"))]
    )
    log_r = logs[0] - logs[1] - logs[2] + logs[3]
    middle, error = float(log_r.mean()), float(stats.sem(log_r))
    low, high = (middle + error * t for t in stats.t.interval(1 - ALPHA, len(log_r) - 1))
    upper = middle + error * float(stats.t.isf(ALPHA, len(log_r) - 1))
    verdict = "confirmed" if low > 0 else "refuted" if upper < np.log(EFFECT) else "undecided"
    estimate = f"R = {_interval(float(np.exp(middle)), (float(np.exp(low)), float(np.exp(high))))}"
    return [("TREC, bert_tiny, AdamW with and without", estimate, verdict)]


def shape_does_not_matter(tables: list[pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Confirmed if every shape is equivalent to linear; refuted if one differs by more than the margin, by test."""
    (runs,) = tables
    found = compare(runs, Question("eval_loss", margin=SHAPE_MARGIN))
    others = [verdict for verdict in found.verdicts if verdict.test is not None]
    tests = [(verdict, verdict.test) for verdict in others if verdict.test is not None]
    is_beyond = any(
        verdict.p_holm is not None and verdict.p_holm < ALPHA and abs(test.difference or 0.0) > SHAPE_MARGIN
        for verdict, test in tests
    )
    is_as_good = all(verdict.value in ("equivalent", "different_within_margin") for verdict in others)
    verdict = "confirmed" if is_as_good else "refuted" if is_beyond else "undecided"
    widest = max((test for _, test in tests), key=lambda test: abs(test.difference or 0.0))
    assert widest.interval_95 is not None
    estimate = f"largest difference {_interval(widest.difference or 0.0, widest.interval_95, '+.3f')} nats"
    return [("TREC, bert_tiny, 5 shapes", estimate, verdict)]


def _learned(runs: pd.DataFrame, length: str) -> tuple[NDArray[np.bool_], list[float]]:
    """Whether the runs with a length of the warmup learned, `(lrs, seeds)`, and their learning rates."""
    part = runs[runs["warmup_asked"] == length]
    failed = part["failed_to_learn"].astype(bool) | (part["status"] == "diverged")
    table = (~failed).groupby([part["lr"], part["seed"]]).first().unstack()
    return table.to_numpy(dtype=bool), [float(lr) for lr in table.index]


def _log_lr50(runs: pd.DataFrame, length: str) -> NDArray[np.float64]:
    return log_lr50(*_learned(runs, length))


def _ratio(runs: pd.DataFrame, length: str, other: str) -> Lr50Ratio:
    (first, lrs), (second, _) = _learned(runs, length), _learned(runs, other)
    return lr50_ratio(first, second, lrs)


def _lr50_trend(runs: pd.DataFrame) -> tuple[float, float]:
    """z and p of the trend of lr50 over 0, 10 and 50 %."""
    found = trend_test(np.stack([_log_lr50(runs, length) for length in ("0 %", "10 %", "50 %")])[None])
    return (0.0, 1.0) if found is None else (found.z, found.p_value)


def _interval(value: float, interval: tuple[float, float], form: str = ".2f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"


CLAIMS = (
    Claim(
        "usable_lr",
        "Kalra & Barkeshli 2024",
        "The usable learning rate grows with the length of the warmup",
        ("results.csv", "results_unclipped.csv"),
        usable_lr_grows,
    ),
    Claim(
        "bias_correction",
        "Mosbach et al. 2021",
        "Without bias correction, warmup matters more",
        ("results.csv",),
        bias_correction_matters,
    ),
    Claim(
        "warmup_shapes",
        "the rule of equal T_eff",
        "At equal T_eff, the shape of the warmup does not matter",
        ("results.csv",),
        shape_does_not_matter,
    ),
)
"""In the order of docs/claims.md."""
