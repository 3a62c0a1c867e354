"""The section `recommend` of `comparison.json`."""

import json

from fake_sweep import make_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.recommend.section import recommend_section
from warmup_lab.comparison.table import read_sweep


def test_other_sweeps_have_none(tmp_path):
    assert recommend_section(read_sweep(make_sweep(tmp_path / "study", seeds=2))) is None


def test_numbers_come_first_and_sentences_apart(decided):
    section = recommend_section(decided)
    json.dumps(section, allow_nan=False)
    assert section["choice"]["lr"] == section["confirmation"]["lr"] == section["recommendation"]["lr"]
    assert {row["start"] for row in section["grid"]} == {"with", "without"}
    assert [stage["kind"] for stage in section["plan"]["stages"]] == ["timing", "ramp", "grid", "confirm"]
    assert len(section["sentences"]) == 3


def test_the_comparison_takes_headline_and_recommendation_from_it(decided):
    _, comparison = build_comparison(decided)
    section = recommend_section(decided)
    assert comparison["headline"] == section["headline"]
    assert comparison["recommendation"] == section["recommendation"]
    assert comparison["summary"][: len(section["sentences"])] == section["sentences"]
    assert "recommendation" not in comparison["recommend"]
    assert comparison["lr_jitter"] is None


def test_without_a_compared_run_the_sentences_stand_alone(ramps_only):
    _, comparison = build_comparison(ramps_only)
    assert comparison["summary"] == recommend_section(ramps_only)["sentences"]


def test_an_answer_that_is_not_final_has_its_training_too(undecided, decided, ramps_only):
    unfinished = recommend_section(undecided)["recommendation"]
    assert unfinished["train_command"].endswith("warmup_steps=0 save_model=true")
    assert "compare.budget_minutes=" in unfinished["next_command"]
    final = recommend_section(decided)["recommendation"]
    assert (final["train_command"], final["next_command"].endswith("save_model=true")) == (None, True)
    assert recommend_section(ramps_only)["recommendation"]["train_command"] is None
