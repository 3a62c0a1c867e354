"""The recommendation: which lr and warmup, how far that is decided, and what to run next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from warmup_lab.comparison import Rate, Sweep
from warmup_lab.comparison.recommend.findings import Findings
from warmup_lab.comparison.recommend.sentences import answer_sentence, unsure_sentences
from warmup_lab.comparison.recommend.stage_sentences import duration
from warmup_lab.comparison.recommend.use import Use, used, warmup_percent
from warmup_lab.metrics import title_and_unit

_BUDGET = "compare.budget_minutes"
_LENGTHS = ("epochs", "max_steps")
_SET_HERE = (
    "seed", "save_model", "optimizer.lr", "warmup_ratio", "warmup_steps", "warmup_epochs", "experiment", "study",
    "compare.",
)  # fmt: skip


_DECIDED = ("needed", "harmful", "same", "small")
"""Effects of the warmup that a test has shown."""


def recommendation(found: Findings, sweep: Sweep) -> dict[str, Any]:
    """The section `recommendation` of `comparison.json`, with the keys that `comparison.recommendation` documents."""
    use, choice = used(found), found.choice
    metric = choice.metric if choice else found.question.metric
    confirmation = found.confirmation
    is_decided = confirmation is not None and confirmation.effect in _DECIDED and use is not None
    num_lrs = len(choice.lrs) if choice else 0
    sentence, (command, note) = answer_sentence(found, use), next_step(found, sweep, use)
    failed = use.failed if use else Rate(0, 0, None, None)
    train = train_command(found, sweep, use) if use else None
    return {
        "lr": use.lr if use else None,
        "lr_tried": list(choice.lrs) if choice else [],
        "lr_at_edge": choice.edge if choice and use else None,
        "warmup": _warmup(found, use, sweep) if use else None,
        "arm": use.arm if use else None,
        "setting": "",
        "seeds": use.seeds if use else 0,
        "metric": metric,
        "title": title_and_unit(metric)[0],
        "mean": use.mean if use else None,
        "interval": use.interval if use else None,
        "failed": failed.to_dict() | {"share": failed.share if failed.total else None},
        "decided": is_decided and num_lrs == 1,  # the lr is chosen, not tested
        "warmup_decided": is_decided,
        "effect_shown": False,
        "num_candidates": 2 * num_lrs,
        "sentence": sentence,
        "basis": sentence,
        "unsure": unsure_sentences(found, use),
        "next_command": command,
        "next_note": note,
        "train_command": train if train != command else None,
    }


def _warmup(found: Findings, use: Use, sweep: Sweep) -> dict[str, Any]:
    percent = warmup_percent(use.warmup_steps, found.total_updates)
    name = _job_of(found, sweep, use)["strategy"]["scheduler"]
    return {"steps": use.warmup_steps, "percent": percent, "name": name}


def _job_of(found: Findings, sweep: Sweep, use: Use) -> Mapping[str, Any]:
    """A job of the arm. Its name would not do, because a name shows what differs among some of the runs."""
    trained = found.plan.run_ids("confirm") if found.confirmation and found.confirmation.judged else set()
    trained = trained or found.plan.choosing_ids
    own = use.lr, use.run_warmup_steps
    return next(
        job
        for job in sweep.jobs
        if job["run_id"] in trained and (job["strategy"]["lr"], job["strategy"]["warmup_steps"]) == own
    )


def next_step(found: Findings, sweep: Sweep, use: Use | None) -> tuple[str | None, str]:
    """The command to run next, and what it does.

    It continues an interrupted sweep, trains longer or has a larger budget. If none of these is needed, it trains the
    model.
    """
    if found.interrupted:
        return sweep.command, "The same command continues."
    if found.advised_updates is not None:
        command = _with(sweep.command, f"max_steps={found.advised_updates}", without=_LENGTHS)
        return command, f"The same with {found.advised_updates} instead of {found.total_updates} updates."
    if found.plan.needed_minutes is not None:
        command = _with(sweep.command, f"{_BUDGET}={found.plan.needed_minutes}", without=(_BUDGET,))
        minutes, kept = found.plan.needed_minutes, found.plan.kept_seconds
        time = f"{minutes} min in all" if kept is None else f"up to {duration(60 * minutes - kept)} more"
        return command, f"The same with a larger budget: it continues, and takes {time}."
    if use is None:
        return None, ""
    return train_command(found, sweep, use), "Trains one model with this lr and warmup, and keeps it."


def _with(command: str, word: str, *, without: Sequence[str]) -> str:
    """The command with one more word, and without these keys."""
    words = [one for one in shlex.split(command) if _key(one) not in without]
    return shlex.join([*words, word])


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def train_command(found: Findings, sweep: Sweep, use: Use) -> str:
    """One training with the recommended lr and warmup that keeps its model."""
    words = shlex.split(sweep.command)
    program = words[: next((place for place, word in enumerate(words) if word == "-m" or "=" in word), len(words))]
    overrides = [text for text in _job_of(found, sweep, use)["overrides"] if _key(text) not in _LENGTHS]
    length = [text for text in words if _key(text) in _LENGTHS]
    settings = [text for text in [*overrides, *length] if not _key(text).startswith(_SET_HERE)]
    chosen = [f"optimizer.lr={use.lr:g}", f"warmup_steps={use.warmup_steps}", "save_model=true"]
    return shlex.join([*program, *settings, *chosen])
