"""The section `recommend` of `comparison.json`: the numbers of each stage, the plan, and sentences."""

from __future__ import annotations

from typing import Any

from warmup_lab.comparison import Sweep
from warmup_lab.comparison.recommend.answer import recommendation
from warmup_lab.comparison.recommend.findings import Findings, read_findings
from warmup_lab.comparison.recommend.sentences import (
    budget_sentence,
    confirmation_sentence,
    grid_sentence,
    ramp_sentence,
)
from warmup_lab.metrics import title_and_unit
from warmup_lab.system import to_json


def recommend_section(sweep: Sweep) -> dict[str, Any] | None:
    """The section, with the recommendation itself as `recommendation`; None for a sweep that is no recommendation."""
    found = read_findings(sweep)
    if found is None:
        return None
    answer = recommendation(found, sweep)
    section = {
        "headline": answer["sentence"],
        "sentences": [*_stage_sentences(found), *_closing_sentences(found, answer)],
        "ramp": found.ramp,
        "grid": list(found.grid),
        "choice": found.choice,
        "confirmation": found.confirmation,
        "plan": found.plan,
        "missing": found.num_missing,
        "recommendation": answer,
    }
    return to_json(section)  # type: ignore[no-any-return]


def _stage_sentences(found: Findings) -> list[str]:
    title = title_and_unit(found.question.metric)[0]
    sentences = [ramp_sentence(found.ramp)] if found.ramp and found.choice else []
    sentences += [grid_sentence(found)] if found.choice else []
    sentences += [confirmation_sentence(found.confirmation, title)] if found.confirmation else []
    return [*sentences, *filter(None, [budget_sentence(found)])]


def _closing_sentences(found: Findings, answer: dict[str, Any]) -> list[str]:
    sentences = [f"Not sure: {text}" for text in answer["unsure"]]
    if answer["next_command"]:
        lead = "To train with it"
        if found.interrupted:
            lead = "To continue"
        elif found.plan.needed_minutes is not None:
            lead = "To be surer"
        sentences.append(f"{lead}: {answer['next_command']}")
    return sentences
