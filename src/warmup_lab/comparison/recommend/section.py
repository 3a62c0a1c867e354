"""The section `recommend` of `comparison.json`: the numbers of each stage, the plan, and sentences."""

from __future__ import annotations

from typing import Any

from warmup_lab.comparison import Sweep
from warmup_lab.comparison.recommend.answer import recommendation
from warmup_lab.comparison.recommend.failures import failing_from
from warmup_lab.comparison.recommend.findings import Findings, read_findings
from warmup_lab.comparison.recommend.ramp import ramp_curves
from warmup_lab.comparison.recommend.sentences import headline
from warmup_lab.comparison.recommend.stage_sentences import budget_sentence, cold_sentence, grid_sentence, ramp_sentence
from warmup_lab.comparison.recommend.use import used
from warmup_lab.metrics import title_and_unit
from warmup_lab.system import to_json


def recommend_section(sweep: Sweep) -> dict[str, Any] | None:
    """The section, with the recommendation itself as `recommendation`; None for a sweep that is no recommendation."""
    found = read_findings(sweep)
    if found is None:
        return None
    answer = recommendation(found, sweep)
    section = {
        "headline": headline(found, used(found)),
        "sentences": _stage_sentences(found),
        "ramp": found.ramp,
        "ramp_curves": ramp_curves(sweep, found.plan.run_ids("ramp")),
        "grid": list(found.grid),
        "failing_from": failing_from(found.grid),
        "choice": found.choice,
        "title": title_and_unit(found.choice.metric if found.choice else found.question.metric),
        "confirmation": found.confirmation,
        "plan": found.plan,
        "missing": found.num_missing,
        "recommendation": answer,
    }
    return to_json(section)  # type: ignore[no-any-return]


def _stage_sentences(found: Findings) -> list[str]:
    sentences = [f"{ramp_sentence(found.ramp)}{cold_sentence(found)}"] if found.ramp and found.choice else []
    sentences += [grid_sentence(found)] if found.choice and not found.choice.all_failed else []
    return [*sentences, *filter(None, [budget_sentence(found)])]
