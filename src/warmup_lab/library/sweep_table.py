"""The table of runs of a sweep's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_lab.comparison import comparable_runs, read_sweep, reference_arms, stated_question

if TYPE_CHECKING:
    import pandas as pd


def load_runs(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """The runs of a sweep, one row a run, as `results.parquet` has them, also before a report was written.

    Columns: `run_id`, `arm`, `scheduler`, `warmup_steps`, `total_steps`, `lr`, `seed`, `task`, `model`, `optimizer`,
    `warmup` (its shape), `t_eff`, `warmup_asked`, `setting`, `status`, `failed_to_learn`, `failure_kind`, the metrics
    (`eval_loss`, `eval_accuracy`, `whole/roughness`, ...), `guess_loss` (H) and `guess_accuracy` of guessing, `error`,
    `seconds`. A run without a result has the status `unfinished`; one that ended in an error, `error`.

    Args:
        folder: A sweep's folder, such as `runs/ten_percent`.

    Raises:
        ValueError: there is no sweep in `folder`.
    """
    sweep = read_sweep(Path(folder))
    question = stated_question(sweep)
    return comparable_runs(sweep, question, reference_arms(sweep.runs, question.reference))
