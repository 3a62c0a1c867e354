"""Draws the pictures of a study's page again, from the results that are committed beside it.

    python experiments/redraw.py ten_percent_pretrained

Only pictures that the page already has are drawn, and only those whose numbers are all in `results.csv`: traces, probes
and ramps are not. The recommended arm is not framed, because its choice needs the sweep itself. Oscillation is not
drawn if the table has it by an older definition, in which `matched/roughness` was not a difference from the reference.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidence import HERE, study_question

from warmup_lab.comparison import compare, reference_arms
from warmup_lab.comparison.rows import arm_rows, rate_section
from warmup_lab.comparison.sections import largest_lr_rows
from warmup_lab.figures import (
    Figure,
    drawn_metrics,
    failures_figure,
    learning_rate_figure,
    make_layout,
    oscillation_figure,
    quality_figure,
    save_figure,
    seed_values,
    usable_lr_figure,
)
from warmup_lab.metrics import title_and_unit
from warmup_lab.system import to_json

_ABSENT: dict[str, Any] = {
    "warmup": "linear",
    "t_eff": np.nan,
    "guess_loss": np.nan,
    "guess_accuracy": np.nan,
    "setting": "",
}
"""Columns that older tables lack."""


def main(studies: list[str]) -> int:
    for study in studies:
        folder = HERE / study / "figures"
        for figure in study_figures(HERE / study):
            target = folder / f"{figure.name}.png"
            if figure.rows and target.exists():
                with tempfile.TemporaryDirectory() as temporary:
                    save_figure(figure, Path(temporary) / figure.name)
                    target.write_bytes((Path(temporary) / target.name).read_bytes())
                print(f"drawn {target.relative_to(HERE)}")
    return 0


def study_figures(folder: Path) -> list[Figure]:
    """The figures over the length of the warmup and over the learning rate, without those of traces."""
    runs = pd.read_csv(folder / "results.csv")
    for name, value in _ABSENT.items():
        runs[name] = runs[name].astype(object).where(runs[name].notna(), value) if name in runs else value
    question = study_question(folder)
    found, references = compare(runs, question), reference_arms(runs, question.reference)
    primary = asdict(question) | dict(zip(("title", "unit"), title_and_unit(question.metric), strict=True))
    sections: dict[str, Any] = to_json(
        {
            "arms": arm_rows(runs, found, references),
            "levels": [level.to_dict() | {"failed": rate_section(level.failed)} for level in found.levels],
            "lr_lines": [line.to_dict() for line in found.lr_lines],
            "largest_lr": largest_lr_rows(found.arms),
        }
    )
    layout, seeds = make_layout(sections["arms"]), seed_values(runs, drawn_metrics(question.metric))
    return [
        failures_figure(sections["levels"], layout),
        usable_lr_figure(sections["lr_lines"], layout),
        quality_figure(primary, layout, seeds),
        *([oscillation_figure(layout, seeds)] if _has_differences(runs, references) else []),
        learning_rate_figure(sections["largest_lr"], {"metric": question.metric, "arm": None}, layout),
    ]


def _has_differences(runs: pd.DataFrame, references: dict[str, str]) -> bool:
    """Whether `matched/roughness` of the references is 0, as it is by the present definition."""
    own = runs.loc[runs["arm"].isin(list(references.values())), "matched/roughness"].dropna()
    return bool((own == 0).all())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
