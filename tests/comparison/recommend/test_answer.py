"""The recommendation as the page gets it."""

import shlex
from dataclasses import replace

import pytest
from fake_recommend import TOTAL
from fake_sweep import make_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.recommend.answer import next_command, recommendation
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
    assert found["decided"] is True
    assert found["warmup"] == {"steps": 12, "percent": 10.0, "name": "warmuplinear"}
    assert found["lr"] == pytest.approx(0.002, rel=0.05)
    assert len(found["lr_tried"]) == 4
    assert (found["seeds"], found["failed"]["total"], found["lr_at_edge"]) == (6, 6, None)
    own = decided.runs[(decided.runs["seed"] >= 10) & (decided.runs["warmup_steps"] > 0)]
    assert found["mean"] == pytest.approx(own["eval_loss"].mean())


def test_a_decided_recommendation_is_followed_by_the_training(decided):
    words = shlex.split(answer(decided)["next_command"])
    lr = answer(decided)["lr"]
    assert words[-3:] == [f"optimizer.lr={lr:g}", "warmup_steps=12", "save_model=true"]
    assert not [word for word in words if word.startswith(("-m", "seed=", "experiment=", "compare."))]


def test_a_tie_keeps_the_warmup_and_says_that_it_is_open(undecided):
    found = answer(undecided)
    assert found["decided"] is False
    assert found["warmup"]["steps"] == TOTAL // 10
    assert found["sentence"].startswith("Without warmup the final evaluation loss is ")
    assert "[" in found["sentence"]
    assert any(text.startswith("Whether a warmup matters: 6 seeds do not decide it") for text in found["unsure"])
    needed = read_findings(undecided).plan.needed_minutes
    assert found["next_command"].endswith(f"compare.budget_minutes={needed}")


def test_ramps_alone_recommend_no_lr(ramps_only):
    found = answer(ramps_only)
    assert (found["lr"], found["warmup"], found["seeds"]) == (None, None, 0)
    assert "The loss breaks at lr 0.008" in found["sentence"]
    assert "compare.budget_minutes=" in found["next_command"]


def test_runs_that_are_too_short_are_made_as_long_as_the_ramps_that_learned(decided):
    """All runs of 120 updates failed, and ramps of 200 learned."""
    found = read_findings(decided)
    found = replace(found, choice=replace(found.choice, all_failed=True), confirmation=None)
    assert recommendation(found, decided)["next_command"] == f"{decided.command} max_steps=200"
    assert "Ramps of 200 updates did learn, so train longer than 120" in recommendation(found, decided)["sentence"]
    stuck = replace(found, ramp=replace(found.ramp, learned=False))
    assert recommendation(stuck, decided)["next_command"] is None


def test_an_interrupted_recommendation_says_so_and_goes_on_with_its_command(interrupted):
    found, findings = answer(interrupted), read_findings(interrupted)
    assert found["decided"] is False
    assert found["unsure"][0] == "Interrupted: 4 runs left no result yet."
    assert next_command(findings, interrupted, used(findings)) == interrupted.command
