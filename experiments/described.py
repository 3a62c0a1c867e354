"""Describes runs of one seed: at which learning rates they learned. There are no tests and no intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from warmup_lab.comparison import count


def described(path: Path) -> str:
    """The number block of a table of runs with one seed.

    Columns that it needs: `optimizer`, `warmup_steps`, `warmup_asked`, `lr`, `seed`, `status`, `failed_to_learn`,
    `eval_accuracy`, `guess_accuracy`.
    """
    runs = pd.read_csv(path)
    failed = runs["failed_to_learn"].astype(bool) | (runs["status"] == "diverged")
    runs = runs.assign(failed=failed, line=runs["optimizer"] + ", " + runs["warmup_asked"])
    runs = runs.sort_values(["optimizer", "warmup_steps", "lr"], kind="stable")
    parts = [_source(path, runs), _edges(runs), _ratios(runs), _accuracies(runs)]
    return "\n\n".join(parts) + "\n"


def _source(path: Path, runs: pd.DataFrame) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    by_accuracy = runs["eval_accuracy"] < 1.5 * runs["guess_accuracy"]
    same = "the same runs" if (by_accuracy == runs["failed"]).all() else "other runs"
    return (
        f"{count(len(runs), 'run')} of {count(runs['seed'].nunique(), 'seed')}, {int(runs['failed'].sum())} of which "
        f"failed to learn. A final accuracy below 1.5 times that of guessing marks {same}. "
        f"(`{path.name}`, SHA-256 {digest})"
    )


def _edges(runs: pd.DataFrame) -> str:
    rows = [
        "| optimizer | warmup | largest lr that learned | smallest lr that failed | lrs tried |",
        "|---|---|---|---|---|",
    ]
    for _, part in runs.groupby("line", sort=False):
        learned, failed = _edge(part)
        first = part.iloc[0]
        tried = f"{len(part)}, {part['lr'].min():.3g} to {part['lr'].max():.3g}"
        rows.append(f"| {first['optimizer']} | {first['warmup_asked']} | {learned:.3g} | {failed:.3g} | {tried} |")
    return "\n".join(rows)


def _ratios(runs: pd.DataFrame) -> str:
    """How much larger the largest lr that learned is with the longest warmup than with none.

    The edge itself lies between two learning rates of the grid, so the ratio of two edges is known between bounds.
    """
    texts = []
    for optimizer, part in runs.groupby("optimizer", sort=False):
        steps = part["warmup_steps"]
        (cold, cold_failed), (warm, warm_failed) = (_edge(part[steps == end]) for end in (steps.min(), steps.max()))
        low, high = warm / cold_failed, warm_failed / cold
        texts.append(f"{optimizer} {warm / cold:.3g} ({low:.3g} to {high:.3g})")
    longest = runs["warmup_asked"].iloc[int(runs["warmup_steps"].to_numpy().argmax())]
    return f"Largest lr that learned, with {longest} of warmup over 0 % (bounds given by the grid): {', '.join(texts)}."


def _edge(part: pd.DataFrame) -> tuple[float, float]:
    """The largest lr that learned, and the smallest that failed, of runs that differ only in lr."""
    learned, failed = part.loc[~part["failed"], "lr"].max(), part.loc[part["failed"], "lr"].min()
    if not learned < failed:
        line = part["line"].iloc[0]
        raise ValueError(f"{line}: the runs that failed are not those at the largest learning rates")
    return float(learned), float(failed)


def _accuracies(runs: pd.DataFrame) -> str:
    """Test accuracy over lr and lines, up to the first lr at which no run learned."""
    lines = list(runs["line"].unique())
    rates = sorted(runs["lr"].unique())
    shown = rates[: 2 + rates.index(runs.loc[~runs["failed"], "lr"].max())]
    rows = [f"| lr | {' | '.join(lines)} |", f"|---|{'---|' * len(lines)}"]
    for lr in shown:
        at_lr = {line: (bad, accuracy) for line, bad, accuracy in _columns(runs[runs["lr"] == lr])}
        cells = [_cell(*at_lr[line]) if line in at_lr else "" for line in lines]
        rows.append(f"| {lr:.3g} | {' | '.join(cells)} |")
    return "Accuracy on the test images at the end:\n\n" + "\n".join(rows)


def _columns(runs: pd.DataFrame) -> Iterable[tuple[str, bool, float]]:
    return zip(runs["line"], runs["failed"], runs["eval_accuracy"], strict=True)


def _cell(failed: bool, accuracy: float) -> str:
    return "failed" if failed else f"{accuracy:.3f}"
