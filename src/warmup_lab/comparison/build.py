"""The result of a sweep in numbers and sentences: the content of `comparison.json`.

Whatever the report shows about more than one update is taken from here, so the file holds every number of the report.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from warmup_lab.comparison.coverage import coverage, with_true_reasons
from warmup_lab.comparison.evidence import make_design
from warmup_lab.comparison.lr_jitter import jitter_section
from warmup_lab.comparison.notes import mixed_versions, report_notes, stated_in_advance, statements_of
from warmup_lab.comparison.paired_metrics import reference_arms
from warmup_lab.comparison.pairs_headline import is_tested
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.preliminary import judged_runs
from warmup_lab.comparison.question import comparable_runs, stated_question
from warmup_lab.comparison.recommend import compared_part, recommend_section
from warmup_lab.comparison.recommendation import recommendation_section
from warmup_lab.comparison.rows import arm_rows, counts_section, left_out_rows, rate_section, run_rows, warmup_rows
from warmup_lab.comparison.run_table import UNFINISHED, read_runs
from warmup_lab.comparison.search import search_recommendation, search_section
from warmup_lab.comparison.sections import (
    NO_VERDICTS,
    largest_lr_rows,
    looks_section,
    own_best_lr_section,
    secondary_sections,
    smallest_warmup_rows,
    variance_section,
)
from warmup_lab.comparison.seed_batches import AddedSeeds, added_seeds, judged_part, pooled_rows
from warmup_lab.comparison.statistics import ALPHA
from warmup_lab.comparison.summary import summary_sentences
from warmup_lab.comparison.sweep_log import SweepLog, read_log
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Comparison, Question
from warmup_lab.metrics import title_and_unit
from warmup_lab.system import to_json


def build_comparison(sweep: Sweep) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of runs with `PAIRED_METRICS`, and the content of `comparison.json`.

    Raises:
        ConfigError: `compare.metric` or `compare.reference` is unknown.
    """
    log, sweep = read_log(sweep.directory), with_true_reasons(sweep)
    recommend, whole, sweep = recommend_section(sweep), sweep, compared_part(sweep)
    jitter = None if recommend else jitter_section(sweep)
    search = search_section(sweep)
    own_answer = recommend or jitter or search
    added = None if own_answer else added_seeds(sweep, log)
    every, sweep = sweep, judged_part(sweep, added.judged if added else None)
    question = stated_question(sweep)
    references = reference_arms(sweep.runs, question.reference)
    runs = comparable_runs(sweep, question, references)
    primary = compare(runs, question)
    judged = judged_runs(runs, primary)
    parts = {
        "primary": asdict(question) | dict(zip(("title", "unit"), title_and_unit(question.metric), strict=True)),
        "counts": counts_section(runs, primary),
        "arms": arm_rows(judged, primary, references),
        "warmups": warmup_rows(sweep),
        **_judgements(judged, primary, question),
        "runs": run_rows(runs, question.metric),
        "errors": left_out_rows(whole.runs, "error"),
        "unfinished": left_out_rows(whole.runs, UNFINISHED),
        **_about_the_folder(whole, log, added, is_grid=not own_answer),
        "pooled": pooled_rows(every) if added else [],
    }
    advice = recommend.pop("recommendation") if recommend else None
    advice = advice or (search and search_recommendation(sweep, judged, question, search))
    advice = _runnable(sweep, advice or recommendation_section(sweep, judged, primary, jitter))
    head = {
        "schema": 1,
        "study": sweep.directory.resolve().name,
        "headline": own_answer["headline"] if own_answer else _headline(primary, advice),
        "summary": _summary(parts, primary, own_answer, advice),
        "recommendation": advice,
        "lr_jitter": jitter,
        "recommend": recommend,
        "search": search,
    }
    return runs, to_json(head | parts | _origin(sweep) | {"seconds": float(runs["seconds"].sum())})


def _summary(
    parts: dict[str, Any], primary: Comparison, own_answer: dict[str, Any] | None, advice: dict[str, Any]
) -> list[str]:
    """The sentences below the headline."""
    if own_answer and not parts["counts"]["runs"]:
        return _not_said_yet(own_answer["sentences"], advice)
    sentences = summary_sentences(parts, primary.arms, own_answer, advise=advice["lr"] is not None)
    return _not_said_yet(sentences, advice) + ([] if own_answer else _untested(primary))


def _origin(sweep: Sweep) -> dict[str, Any]:
    """How the runs were made."""
    # A single run refuses a length for a schedule that has none, and a sweep ignores it.
    jobs = sorted(sweep.jobs, key=lambda job: job["asked"] is None)
    return {
        "command": sweep.command,
        "example_overrides": jobs[0]["overrides"] if jobs else [],
        "versions": sweep.versions,
    }


def _about_the_folder(whole: Sweep, log: SweepLog, added: AddedSeeds | None, *, is_grid: bool) -> dict[str, Any]:
    """What was stated and when, what of the folder the report covers, and the notes on both."""
    statements, covered = statements_of(whole, log), coverage(whole, is_grid=is_grid)
    return {
        "notes": report_notes(whole, log, covered, added),
        "statements": [one.to_dict() for one in statements],
        "stated_in_advance": stated_in_advance(statements),
        "coverage": covered.to_dict(),
        "added_seeds": added.to_dict() if added else None,
        "mixed_versions": mixed_versions(whole.versions),
    }


def _runnable(sweep: Sweep, advice: dict[str, Any]) -> dict[str, Any]:
    """The advice, without a command if the runs were imported: no command of this program trained them."""
    return advice if sweep.command else advice | {"next_command": None, "next_note": ""}


def _headline(primary: Comparison, advice: dict[str, Any]) -> str:
    """The headline of the comparison. If no arm was compared with another one, the recommendation."""
    if primary.preliminary or is_tested(primary) or any(trend.p_adjusted < ALPHA for trend in primary.trends):
        return primary.headline
    sentence: str = advice["sentence"]
    return sentence


def _untested(primary: Comparison) -> list[str]:
    """Why no arm was compared with another one, if several were tried."""
    return [] if primary.preliminary or is_tested(primary) or len(primary.arms) < 2 else [primary.headline]


def _not_said_yet(sentences: list[str], advice: dict[str, Any]) -> list[str]:
    """The sentences without those of the recommendation, which has a place of its own."""
    said = {advice["sentence"], *advice["unsure"]}
    return [sentence for sentence in sentences if sentence not in said]


def _judgements(judged: pd.DataFrame, primary: Comparison, question: Question) -> dict[str, Any]:
    """The sections that follow from the runs behind the verdicts."""
    design = make_design(read_runs(judged, None).arms, question.reference)
    found = {
        "trends": [trend.to_dict() for trend in primary.trends],
        "levels": [level.to_dict() | {"failed": rate_section(level.failed)} for level in primary.levels],
        "lr_lines": [line.to_dict() for line in primary.lr_lines],
        "looks": looks_section(primary),
        "largest_lr": largest_lr_rows(primary.arms),
    }
    if primary.preliminary:
        return found | NO_VERDICTS
    return found | {
        "smallest_warmup": smallest_warmup_rows(judged, question, primary),
        "own_best_lr": own_best_lr_section(judged, question),
        "variance": variance_section(judged, question, design),
        "oscillation": secondary_sections(judged, question),
    }
