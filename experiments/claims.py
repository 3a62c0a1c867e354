"""The claims that the studies test. `evidence.py` writes the table of docs/claims.md from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import rules
from rules import Finding


@dataclass(frozen=True)
class Claim:
    """A claim from the literature, and the study that tests it."""

    study: str
    """Folder in experiments/."""
    source: str
    says: str
    judge: Callable[[Sequence[pd.DataFrame]], list[Finding]]
    """Tables of runs -> one finding for each verdict."""
    cost: str
    """Wall time of all runs, and where."""
    tables: tuple[str, ...] = ("results.csv",)
    """Tables of runs in the study's folder. The claim is left out until all are there."""
    first_tables: tuple[str, ...] = ()
    """Tables of a first study, repeated since with new seeds. Only the study's page shows what they gave."""


def claims_table(experiments: Path, study: str | None = None) -> str:
    """The table of all claims whose results are there; of one study alone if it is named."""
    rows = [
        "| claim | tested on | runs | estimate [95 %] | verdict at this scale | command | took |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim, findings in _judged(experiments):
        if study in (None, claim.study):
            page = f"../{'' if study else 'experiments/'}{claim.study}/README.md"
            for found in findings:
                rows.append(
                    f"| {claim.says} ({claim.source}) | [{found.tested}]({page}) | {found.num_runs} | {found.estimate} "
                    f"| **{found.verdict}** | {_command(claim, experiments / claim.study)} | {claim.cost} |"
                )
    return "\n".join(rows) + "\n"


def _command(claim: Claim, study: Path) -> str:
    """What trains the runs of the first table, or where the page says how they were read."""
    if not (study / "experiment.yaml").exists():
        return "on the page"
    more = len(claim.tables) - 1
    return f"`experiment={claim.study}`" + (f", {more} more on the page" if more else "")


def verdicts_table(experiments: Path) -> str:
    """The claims, estimates and verdicts alone, for the README."""
    rows = ["| claim | tested on | estimate [95 %] | verdict |", "|---|---|---|---|"]
    for claim, findings in _judged(experiments):
        for found in findings:
            page = f"[{found.tested}](experiments/{claim.study}/README.md)"
            rows.append(f"| {claim.says} ({claim.source}) | {page} | {found.estimate} | **{found.verdict}** |")
    return "\n".join(rows) + "\n"


def first_study(experiments: Path, study: str) -> str:
    """The first study of a repeated claim by the same rule, and the estimate from all seeds of both studies.

    Raises:
        StopIteration: no claim belongs to this study.
        FileNotFoundError: a table of runs is missing.
    """
    claim = next(claim for claim in CLAIMS if claim.study == study)
    first, second = (
        [pd.read_csv(experiments / study / table) for table in tables] for tables in (claim.first_tables, claim.tables)
    )
    found = claim.judge(first)
    pooled = claim.judge([pd.concat(pair, ignore_index=True) for pair in zip(first, second, strict=True)])
    lines = [
        f"{own.num_runs} runs, {own.estimate}: **{own.verdict}**. "
        f"Exploratory, all seeds of both studies: {both.estimate}."
        for own, both in zip(found, pooled, strict=True)
    ]
    return "\n\n".join(lines) + "\n"


def _judged(experiments: Path) -> Iterator[tuple[Claim, list[Finding]]]:
    """The claims whose results are there, with their findings."""
    for claim in CLAIMS:
        paths = [experiments / claim.study / table for table in claim.tables]
        if all(path.exists() for path in paths):
            yield claim, claim.judge([pd.read_csv(path) for path in paths])


_H100 = "6 min for 7 studies together, one H100"
CLAIMS = (
    Claim(
        "best_length_pretrained",
        "google-research/bert",
        "A warmup of 10 % is as good as the best length",
        rules.ten_percent_pretrained,
        _H100,
    ),
    Claim(
        "best_length_scratch",
        "google-research/bert",
        "A warmup of 10 % is as good as the best length",
        rules.ten_percent_scratch,
        _H100,
    ),
    Claim(
        "bias_correction",
        "Mosbach et al. 2021",
        "Without bias correction, warmup matters more",
        rules.bias_correction_matters,
        "75 min, 2 cores",
    ),
    Claim(
        "usable_lr",
        "Kalra & Barkeshli 2024",
        "The usable learning rate grows with the length of the warmup",
        rules.usable_lr_grows,
        "23 and 60 min, 2 cores",
        ("results.csv", "results_unclipped.csv"),
    ),
    Claim(
        "published_usable_lr",
        "Kalra & Barkeshli 2024",
        "The usable learning rate grows with the length of the warmup",
        rules.published_edges,
        "nothing is trained",
    ),
    Claim(
        "warmup_shapes",
        "the rule of equal T_eff",
        "At equal T_eff, the shape of the warmup does not matter",
        rules.shape_does_not_matter,
        "48 min, 2 cores",
    ),
    Claim(
        "lr_sensitivity",
        "Wortsman et al. 2023",
        "A warmup lowers the sensitivity to the learning rate",
        rules.sensitivity_falls,
        _H100,
    ),
    Claim(
        "untuned_warmup",
        "Ma & Yarats 2021",
        "An untuned warmup of 2 / (1 - beta2) updates does as well as RAdam",
        rules.untuned_equals_radam,
        "60 min, 2 cores",
        ("results.csv", "results_radam.csv", "results_cold.csv"),
    ),
    Claim(
        "giadam",
        "Kalra & Barkeshli 2024",
        "GI-Adam needs no warmup",
        rules.giadam_needs_no_warmup,
        _H100,
        ("results.csv", "results_adamw.csv", "results_factor.csv"),
    ),
    Claim(
        "decay_to_zero",
        "Bergsma et al. 2025",
        "A linear decay to zero is better than a cosine decay to 10 %",
        rules.linear_to_zero_is_better,
        "30 min, 2 cores",
        ("results.csv", "results_cosine.csv"),
    ),
    Claim(
        "pre_layer_norm",
        "Xiong et al. 2020",
        "Warmup matters more with post-LN than with pre-LN",
        rules.post_layer_norm_matters,
        "7 min, one H100",
        ("results.csv", "results_pre.csv"),
        ("first_study.csv", "first_study_pre.csv"),
    ),
)
"""In the order of docs/claims.md."""
