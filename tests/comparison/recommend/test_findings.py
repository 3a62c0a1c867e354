"""What the files of a recommendation say at each point."""

import json
from dataclasses import replace

import pytest
from fake_sweep import make_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.recommend.findings import compared_part, read_findings
from warmup_lab.comparison.table import read_sweep


def test_other_sweeps_are_no_recommendation_and_stay_whole(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path / "study", seeds=2))
    assert read_findings(sweep) is None
    assert compared_part(sweep) is sweep
    assert build_comparison(sweep)[1]["recommend"] is None


def test_only_the_runs_that_confirm_are_compared(decided):
    part = compared_part(decided)
    assert set(part.runs["seed"]) == set(range(10, 16))
    assert set(part.runs["scheduler"]) == {"warmuplinear"}
    names = {"warmuplinear-w0", "warmuplinear-w12 (10 %)"}
    assert {name.removesuffix(" (0 %)") for name in part.runs["arm"]} == names
    _, comparison = build_comparison(decided)
    assert comparison["counts"]["runs"] == 12
    assert [arm["num_runs"] for arm in comparison["arms"]] == [6, 6]
    assert {arm["verdict"]["value"] for arm in comparison["arms"]} == {"reference", "worse"}


def test_ramps_are_never_arms(ramps_only):
    runs, comparison = build_comparison(ramps_only)
    assert runs.empty
    assert comparison["arms"] == []


def test_findings_of_a_whole_recommendation(decided):
    found = read_findings(decided)
    assert found.ramp.lr == pytest.approx(0.008, rel=0.05)
    assert found.choice.lr == pytest.approx(0.002, rel=0.05)
    assert (found.confirmation.effect, found.confirmation.judged) == ("needed", 6)
    assert not found.interrupted


def test_a_pair_counts_once_both_runs_have_ended(interrupted):
    found = read_findings(interrupted)
    assert found.num_missing == {"timing": 0, "ramp": 0, "grid": 0, "confirm": 4}
    assert (found.confirmation.num_seeds, found.confirmation.judged) == (2, 0)


def test_the_files_alone_give_the_same_again(decided):
    first = build_comparison(decided)[1]
    assert json.dumps(first) == json.dumps(build_comparison(read_sweep(decided.directory))[1])


def test_more_updates_are_advised_only_where_nothing_learned_for_lack_of_them(decided, shortened):
    found = read_findings(decided)
    assert (found.total_updates, found.advised_updates) == (120, None)
    slow = {"unstable": 1, "too_slow": 0, "stuck": 3, "too_short": 0}
    failed = replace(found, choice=replace(found.choice, all_failed=True), failures=slow)
    assert failed.advised_updates == 480
    assert replace(failed, failures=slow | {"unstable": 5}).advised_updates is None
    both = replace(found, failures=slow, confirmation=replace(found.confirmation, effect="both_fail"))
    assert both.advised_updates == 480
    short = read_findings(shortened)
    assert replace(short, choice=replace(short.choice, all_failed=True), failures=slow).advised_updates is None
