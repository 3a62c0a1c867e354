"""The recommendation as the page gets it."""

import shlex
from dataclasses import replace

import pytest
from fake_sweep import make_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.recommend.answer import next_step, recommendation, train_command
from warmup_lab.comparison.recommend.findings import read_findings
from warmup_lab.comparison.recommend.use import used
from warmup_lab.comparison.table import read_sweep


def answer(sweep):
    return recommendation(read_findings(sweep), sweep)


def test_the_keys_are_those_of_every_other_sweep(decided, ramps_only, tmp_path):
    other = build_comparison(read_sweep(make_sweep(tmp_path / "study", seeds=2)))[1]["recommendation"]
    for sweep in (decided, ramps_only):
        assert answer(sweep).keys() == other.keys()
    assert answer(decided)["failed"].keys() == other["failed"].keys()
    assert answer(decided)["warmup"].keys() == other["warmup"].keys()


def test_a_decided_recommendation(decided):
    found = answer(decided)
    assert (found["decided"], found["warmup_decided"]) == (False, True)  # the lr was chosen, not tested
    assert found["warmup"] == {"steps": 12, "percent": 10.0, "name": "warmuplinear"}
    assert found["lr"] == pytest.approx(0.002, rel=0.05)
    assert len(found["lr_tried"]) == 4
    assert (found["seeds"], found["failed"]["total"], found["lr_at_edge"]) == (6, 6, None)
    own = decided.runs[(decided.runs["seed"] >= 10) & (decided.runs["warmup_steps"] > 0)]
    assert found["mean"] == pytest.approx(own["eval_loss"].mean())


def test_a_decided_recommendation_is_followed_by_the_training(decided):
    jobs = [job | {"overrides": [*job["overrides"], "batch_size=8", "compare.margin=0.1"]} for job in decided.jobs]
    words = shlex.split(answer(replace(decided, jobs=jobs))["next_command"])
    assert "batch_size=8" in words
    lr = answer(decided)["lr"]
    assert words[-3:] == [f"optimizer.lr={lr:g}", "warmup_steps=12", "save_model=true"]
    assert not [word for word in words if word.startswith(("-m", "seed=", "experiment=", "compare."))]


def test_what_is_open_is_said(undecided):
    """The mean of the 6 seeds is a little better without warmup."""
    found = answer(undecided)
    assert found["decided"] is False
    assert found["warmup"]["steps"] == 0
    assert found["sentence"].startswith("Without warmup the final evaluation loss is ")
    assert "[" in found["sentence"]
    assert any(text.startswith("Whether a warmup matters: 6 seeds do not decide it") for text in found["unsure"])
    needed = read_findings(undecided).plan.needed_minutes
    assert found["next_command"].endswith(f"compare.budget_minutes={needed}")


def test_ramps_alone_recommend_no_lr(ramps_only):
    found = answer(ramps_only)
    assert (found["lr"], found["warmup"], found["seeds"]) == (None, None, 0)
    assert "Rates to try first: 0.0" in found["sentence"]
    assert "compare.budget_minutes=" in found["next_command"]


def test_runs_with_too_few_updates_are_made_longer(decided):
    """All runs of 120 updates failed; 4 times as many are more than the 200 of the ramps that learned."""
    found = read_findings(decided)
    none = dict.fromkeys(("unstable", "too_slow", "stuck", "too_short"), 0)
    found = replace(found, choice=replace(found.choice, all_failed=True), confirmation=None)
    slow = replace(found, failures=none | {"too_slow": 20, "unstable": 4})
    assert recommendation(slow, decided)["next_command"] == f"{decided.command} max_steps=480"
    assert "20 of 24 failed runs learned too little" in recommendation(slow, decided)["sentence"]
    assert "ramps of 200 updates did learn. Train longer: max_steps=480." in recommendation(slow, decided)["sentence"]
    unstable = recommendation(replace(found, failures=none | {"too_slow": 4, "unstable": 20}), decided)
    assert (unstable["next_command"], unstable["next_note"]) == (None, "")
    assert unstable["sentence"].startswith("20 of 24 failed runs became unstable: the rates are too large")


def test_shortened_runs_recommend_the_warmup_of_a_whole_run(shortened):
    """Runs of 60 of 120 updates with 6 of warmup: 12 of a whole run."""
    found = answer(shortened)
    assert found["decided"] is False
    assert (found["warmup"]["steps"], found["warmup"]["percent"]) == (12, 10.0)
    assert found["unsure"][0].startswith("The lr was chosen on runs of 60 of 120 updates, to fit the budget.")
    findings = read_findings(shortened)
    assert found["next_command"].endswith(f"compare.budget_minutes={findings.plan.needed_minutes}")
    words = shlex.split(train_command(findings, shortened, used(findings)))
    assert "warmup_steps=12" in words
    assert not [word for word in words if word.startswith("max_steps=")]
    asked = replace(shortened, command=f"{shortened.command} epochs=3")
    assert "epochs=3" in shlex.split(train_command(findings, asked, used(findings)))


def test_an_interrupted_recommendation_says_so_and_goes_on_with_its_command(interrupted):
    found, findings = answer(interrupted), read_findings(interrupted)
    assert found["decided"] is False
    assert found["unsure"][0] == "Interrupted: 4 runs left no result yet."
    command, note = next_step(findings, interrupted, used(findings))
    assert (command, note) == (interrupted.command, "The same command continues.")
