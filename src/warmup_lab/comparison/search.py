"""The section `search` of `comparison.json`: what Optuna found, from `search.json` of `hydra/sweeper=optuna`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.recommendation import recommendation_section
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Question
from warmup_lab.metrics import title_and_unit

SEARCH_FILE = "search.json"


def search_section(sweep: Sweep) -> dict[str, Any] | None:
    """The content of `search.json` with `headline`, `cautions` and `sentences`; None if the sweep is no search.

    A file of an earlier search in the same folder names another command.
    """
    path = sweep.directory / SEARCH_FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if found.get("command") != sweep.command:
        return None
    guess_loss = sweep.runs["guess_loss"].min() if found["objective"] == "eval_loss" else None
    words = {"headline": _headline(found), "cautions": _cautions(found, guess_loss), "sentences": _importance(found)}
    return found | words


def search_recommendation(sweep: Sweep, runs: pd.DataFrame, question: Question, search: dict[str, Any]) -> Any:
    """The section `recommendation` of a search: its best trial, which its own run has chosen.

    None if no trial has a value or the run of the best one is not in the folder.
    """
    best = search["best"] and runs[runs["run_id"] == search["best"]["run_id"]]
    if best is None or best.empty:
        return None
    advice = recommendation_section(sweep, best, compare(best, question), None)
    basis = f"the best of {count(len(search['trials']), 'trial')}."
    words = {"sentence": f"Use {params_text(search['best']['params'])}: {basis}", "basis": basis.capitalize()}
    tried = sorted(set(runs["lr"]))
    return advice | words | {"unsure": search["cautions"], "decided": False, "lr_tried": tried}


def params_text(params: Mapping[str, Any]) -> str:
    """`optimizer.lr=0.00123, warmup_ratio=0.05`, with four digits."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()
    )


def _headline(search: Mapping[str, Any]) -> str:
    best, num_trials = search["best"], len(search["trials"])
    trials = count(num_trials, "trial")
    if num_trials < search["num_planned"]:
        trials = f"{num_trials} of {search['num_planned']} trials"
    if best is None:
        return f"None of {trials} learned."
    title, _ = title_and_unit(search["objective"])
    return f"Best of {trials}: {params_text(best['params'])}, {title} {best['value']:.4g} (trial {best['number']})."


def _cautions(search: Mapping[str, Any], guess_loss: float | None) -> list[str]:
    best = search["best"]
    if best is None:
        return []
    chosen = ["This value is the one that chose the trial, so expect a worse one at other seeds."]
    if guess_loss is not None and best["value"] >= guess_loss:
        return [f"This is no better than guessing ({guess_loss:.4g}): train longer, or search other values.", *chosen]
    return chosen


def _importance(search: Mapping[str, Any]) -> list[str]:
    note = search["importance_note"]
    if search["best"] is None:
        return []
    if search["importance"] is None:
        return [f"The importance of the parameters is not known: {note}."]
    shares = ", ".join(f"{key} {100 * share:.0f} %" for key, share in search["importance"].items())
    return [f"Importance of the parameters: {shares}{f' ({note})' if note else ''}."]
